"""What every request gets: an id, a log line, headers for browsers, a size limit, an answer to a crash."""

import re
import time
import uuid
from collections.abc import Mapping

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

DRAINED = 128 << 20  # bytes of a body that was refused for its size which are read all the same
_SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,128}", re.ASCII)
SECURITY_HEADERS: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "Referrer-Policy": "no-referrer",
}


class RequestContext:
    """ASGI middleware, the outermost: nothing leaves without a request id, no crash without one log line."""

    def __init__(self, app: ASGIApp, *, logger: structlog.stdlib.BoundLogger) -> None:
        self._app = app
        self._logger = logger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        asked = Headers(scope=scope).get("x-request-id", "")
        request_id = asked if _SANE_ID.fullmatch(asked) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        started = time.perf_counter()
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            request = {"method": scope["method"], "path": scope["path"]}
            try:
                await self._app(scope, receive, send_with_headers)
            except ClientDisconnect:
                self._logger.debug("client went away", **request)
            except Exception:  # a defect; the client is told without details, and other requests go on
                self._logger.exception("request failed", **request)
                if not status:  # else the answer is cut short, which tells the client enough
                    crash = {"error": "internal error", "request_id": request_id}
                    await JSONResponse(crash, 500)(scope, receive, send_with_headers)
            took = round((time.perf_counter() - started) * 1000, 3)
            self._logger.debug("request", **request, status=status, duration_ms=took)


class BodyLimit:
    """ASGI middleware: answers 413 to a body of more than `limit` bytes, announced or not.

    The answer goes out at once, and then the rest of the body is read and thrown away, up to DRAINED bytes: a
    connection that is closed with something unread is reset, and most senders would never see the answer.
    """

    def __init__(self, app: ASGIApp, *, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        announced = headers.get("content-length", "0")
        if announced.isdecimal() and int(announced) > self._limit:
            # Whoever waits to be asked for the body sends none.
            waits = headers.get("expect", "").lower() == "100-continue"
            await self._refuse(scope, receive, send, 0 if waits else DRAINED)
            return
        received, started = 0, False

        async def receive_within_limit() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._limit:
                raise _BodyTooLarge
            return message

        async def send_and_note(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive_within_limit, send_and_note)
        except _BodyTooLarge:
            if started:
                raise
            await self._refuse(scope, receive, send, DRAINED)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, drained: int) -> None:
        content = {"error": f"body too large; at most {self._limit} bytes"}
        if request_id := scope.get("state", {}).get("request_id"):
            content["request_id"] = request_id
        answer = JSONResponse(content, 413, headers={"Connection": "close"})
        await send({"type": "http.response.start", "status": answer.status_code, "headers": answer.raw_headers})
        await send({"type": "http.response.body", "body": answer.body, "more_body": True})
        while drained > 0:
            message = await receive()
            drained -= len(message.get("body", b""))
            if message["type"] != "http.request" or not message.get("more_body", False):
                break
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class _BodyTooLarge(Exception):
    """A body without an announced length went beyond the limit."""
