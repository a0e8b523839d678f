"""`POST /KIND/NAME`: what a provider tells about incidents. Each request proves itself by its signature."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from alerter.receivers.base import Heard, Listening, NotProven, Unintelligible
from alerter.store.engine import StoreFailed
from chassis.log import Repeats, get_logger
from chassis.secrets import SecretUnavailable

log = get_logger(__name__)

LARGEST = 1 << 20  # bytes; whoever posts has proven nothing yet, and PagerDuty sends 256 KB at most


def routes(listening: list[Listening], heard: Callable[[str, Heard], int]) -> list[Route]:
    """One for each of `listening`; `heard` answers of how many alerts it is news, and may raise StoreFailed."""
    return [Route(each.path, _Post(each, heard).answer, methods=["POST"]) for each in listening]


class _Post:
    def __init__(self, listening: Listening, heard: Callable[[str, Heard], int]) -> None:
        self._listening = listening
        self._heard = heard
        self._repeats = Repeats(log)

    async def answer(self, request: Request) -> Response:
        body = bytearray()
        async for piece in request.stream():
            body += piece
            if len(body) > LARGEST:
                return _error(413, f"the body is too large; at most {LARGEST} bytes")
        headers = {name.lower(): value for name, value in request.headers.items()}
        return await anyio.to_thread.run_sync(self._answer, bytes(body), headers)

    def _answer(self, body: bytes, headers: Mapping[str, str]) -> Response:
        name = self._listening.receiver
        try:
            heard = self._listening.ear.hear(body, headers)
            self._repeats.recovered("secret", "what the provider posts can be verified again", receiver=name)
            return JSONResponse({"alerts": 0 if heard is None else self._heard(name, heard)})
        except NotProven:
            return _error(401, "the signature is missing, or is not made with the secret that is configured here")
        except SecretUnavailable as error:
            # The provider comes again after a 5xx, and by then there may be a secret.
            self._repeats.failed(
                "secret", "what the provider posts cannot be verified", reason=str(error), receiver=name
            )
            return _error(503, "the signature cannot be verified now")
        except Unintelligible as error:
            return _error(400, str(error))
        except StoreFailed as error:
            return _error(503, str(error))


def _error(status: int, text: str) -> JSONResponse:
    return JSONResponse({"error": text}, status)
