"""`POST /webhook[/SOURCE]`: 200 after the commit, 400 what cannot be decoded, 413 too large, 503 come again."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar, TypeVarTuple
from urllib.parse import urlsplit

import anyio
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from alerter.intake.desk import Intake, Overloaded
from alerter.intake.payload import BadPayload, PayloadTooLarge, Webhook, decode, unpack
from alerter.model import OWN_SOURCE
from alerter.store.engine import StoreFailed
from alerter.tally import Tally
from chassis.log import get_logger

log = get_logger(__name__)

Given = TypeVarTuple("Given")
Done = TypeVar("Done")
_SOURCE = re.compile(r"[A-Za-z0-9_.-]{1,63}", re.ASCII)
_PATIENCE = 60.0  # seconds for the commit; a sender that waits has more patience than one that tries again
_NAMED = 3  # alerts that make no sense; the rest is counted
_SMALL = 16 << 10  # bytes of a body whose decoding nobody notices; changing threads would take longer


class Door:
    """ASGI middleware before all others: counts what webhooks are answered, and hears of those that are lost."""

    def __init__(
        self,
        app: ASGIApp,
        tally: Tally,
        too_large: Callable[[], None],
        refused: Callable[[str, str], None],
        home: str = "",
    ) -> None:
        """`too_large` and `refused` (a client's address, a path) are called in threads of their own.

        `home` is the alerter's address as browsers know it, if that is not what they ask for.
        """
        self._app = app
        self._home = urlsplit(home).netloc
        self._tally = tally
        self._too_large = too_large
        self._refused = refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["method"] == "POST" and not self._is_meant(Headers(scope=scope)):
            answer = _error(403, "a page of somebody else's sent this by your browser, and is not listened to")
            await answer(scope, receive, send)
            return
        is_webhook = scope["path"] == "/webhook" or scope["path"].startswith("/webhook/")
        status = 0  # until it is answered, which a sender that breaks off is not

        async def look(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, look)
        finally:
            if is_webhook and status:
                self._tally.webhook(status)
        if is_webhook and status == 413:
            await anyio.to_thread.run_sync(self._too_large)
        if status == 401:
            client = scope.get("client") or ("", 0)
            await anyio.to_thread.run_sync(self._refused, str(client[0]), scope["path"])

    def _is_meant(self, headers: Headers) -> bool:
        """Browsers say whose page makes them ask, since they would prove who they are for any. No program does."""
        origin = headers.get("origin")
        if origin is None:
            return True
        try:
            return urlsplit(origin).netloc in {headers.get("host", ""), self._home} - {""}
        except ValueError:
            return False


def routes(intake: Intake, tally: Tally, limit: int, truncated: Callable[[], None]) -> list[Route]:
    """The webhook's. `limit` in bytes, for what is unpacked as well; `truncated`: a sender left alerts out."""

    async def answer(request: Request) -> Response:
        source = request.path_params.get("source", "default")
        if not _SOURCE.fullmatch(source) or source == OWN_SOURCE:
            return _error(400, "the source in the path may have letters, digits, _ . - and be no longer than 63")
        body = await request.body()
        encoding = request.headers.get("content-encoding", "")
        large = len(body) > _SMALL or bool(encoding)
        try:
            webhook = await _beside(large, _read, body, encoding, limit, source)
        except BadPayload as error:
            log.warning("webhook refused", reason=str(error), source=source)
            return _error(400, str(error))
        except PayloadTooLarge:
            return _error(413, f"unpacked, the body is too large; at most {limit} bytes")
        try:
            # Shielded: what the intake holds is committed, whether or not the sender waits for it.
            changes = await asyncio.wait_for(
                asyncio.shield(asyncio.wrap_future(intake.take(webhook.alerts))), _PATIENCE
            )
        except Overloaded as error:
            return _error(503, str(error))
        except StoreFailed as error:
            return _error(503, str(error))
        except TimeoutError:
            return _error(503, "the store takes too long")
        await _beside(large, tally.taken, webhook.alerts)
        if webhook.truncated > 0:
            log.warning("alertmanager left alerts out", count=webhook.truncated, advice="set max_alerts: 0")
            await anyio.to_thread.run_sync(truncated)
        counts = {"alerts": len(webhook.alerts), **{change.value: count for change, count in changes.items()}}
        log.debug("webhook", source=source, **counts)
        if webhook.unread:  # the others are stored: nobody will send them again
            reason = _some(webhook.unread)
            log.warning("webhook refused", reason=reason, source=source, taken=len(webhook.alerts))
            return JSONResponse({"error": reason, **counts}, 400)
        return JSONResponse(counts)

    post = partial(Route, endpoint=answer, methods=["POST"])
    return [post("/webhook"), post("/webhook/{source}")]


async def _beside(large: bool, work: Callable[[*Given], Done], *given: *Given) -> Done:
    """What `work` answers, by another thread where it is much, so that others are answered meanwhile."""
    return await anyio.to_thread.run_sync(work, *given) if large else work(*given)


def _read(body: bytes, encoding: str, limit: int, source: str) -> Webhook:
    return decode(unpack(body, encoding, limit), source)


def _some(reasons: Sequence[str]) -> str:
    more = len(reasons) - _NAMED
    return "; ".join(reasons[:_NAMED]) + (f"; and {more} more" if more > 0 else "")


def _error(status: int, text: str) -> JSONResponse:
    return JSONResponse({"error": text}, status)
