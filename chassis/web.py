"""The web shell of every daemon: health, readiness, metrics and the daemon's own pages behind one door."""

import functools
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from chassis.auth import Authentication
from chassis.requests import BodyLimit, RequestContext
from chassis.server import ListenFailed, PortTaken, Server
from chassis.tls import TlsSettings
from chassis.websettings import WebSettings

__all__ = [
    "ListenFailed",
    "MetricsEndpoint",
    "PortTaken",
    "Ready",
    "Server",
    "TlsSettings",
    "WebSettings",
    "build_app",
]


@dataclass(frozen=True)
class Ready:
    """Whether a daemon can do its work, and a sentence that says why or why not."""

    ok: bool
    sentence: str


class MetricsEndpoint(Protocol):
    """What `/metrics` serves. `accept` is the request's header, `names` the families asked for or ()."""

    def body(self, accept: str, names: tuple[str, ...]) -> tuple[bytes, str]:
        """The exposition and its content type."""
        ...

    def gzipped(self, accept: str, names: tuple[str, ...]) -> tuple[bytes, str]:
        """The same compressed, and the content type of what is inside."""
        ...


def build_app(
    routes: Sequence[BaseRoute],
    settings: WebSettings,
    *,
    metrics: MetricsEndpoint,
    ready: Callable[[], Ready],
    logger: structlog.stdlib.BoundLogger,
    signed: Collection[str] = (),
) -> Starlette:
    """The daemon's `routes` with `/healthz`, `/readyz` and `/metrics`, behind authentication and limits.

    `/healthz` and `/readyz` are open to all, since an orchestrator's probes bear no credentials; so are the paths in
    `signed`, whose routes verify each request by its signature.
    """
    own = [
        Route("/healthz", _healthz),
        Route("/readyz", functools.partial(_readyz, ready)),
        Route("/metrics", functools.partial(_metrics, metrics)),
    ]
    return Starlette(
        routes=[*own, *routes],
        middleware=[
            Middleware(RequestContext, logger=logger),
            Middleware(
                Authentication,
                users=settings.basic_auth,
                token=settings.bearer_token,
                public=frozenset({"/healthz", "/readyz", *signed}),
                logger=logger,
            ),
            Middleware(BodyLimit, limit=settings.max_body),
        ],
        exception_handlers={HTTPException: _http_error},
    )


async def _healthz(_request: Request) -> Response:
    return PlainTextResponse("alive\n")


async def _readyz(ready: Callable[[], Ready], _request: Request) -> Response:
    state = ready()
    return PlainTextResponse(f"{state.sentence}\n", 200 if state.ok else 503)


async def _metrics(metrics: MetricsEndpoint, request: Request) -> Response:
    accept = request.headers.get("accept", "")
    names = tuple(request.query_params.getlist("name[]"))
    headers = {"Vary": "Accept, Accept-Encoding"}
    if _accepts_gzip(request.headers.get("accept-encoding", "")):
        body, content_type = metrics.gzipped(accept, names)
        headers["Content-Encoding"] = "gzip"
    else:
        body, content_type = metrics.body(accept, names)
    # Not `media_type`, to which Starlette adds a charset; OpenMetrics has its own, in its own place.
    return Response(body, headers={**headers, "Content-Type": content_type})


def _accepts_gzip(accept_encoding: str) -> bool:
    """RFC 9110 section 12.5.3: by name or by `*`, unless its weight is 0."""
    weights: dict[str, float] = {}
    for item in accept_encoding.lower().split(","):
        coding, _, parameters = item.strip().partition(";")
        key, _, weight = parameters.strip().partition("=")
        try:
            weights[coding.strip()] = float(weight) if key.strip() == "q" else 1.0
        except ValueError:
            weights[coding.strip()] = 0.0
    return weights.get("gzip", weights.get("*", 0.0)) > 0


async def _http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    content = {"error": error.detail, "request_id": request.state.request_id}
    return JSONResponse(content, error.status_code, headers=error.headers)
