"""Who may read: basic authentication with bcrypt, or a bearer token."""

import asyncio
import base64
import binascii
import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Mapping

import bcrypt
import structlog
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from chassis.log import Repeats
from chassis.secrets import Secret, SecretUnavailable

# Compared against when there is no such user, so that the time taken does not tell which users there are.
_NOBODY = b"$2b$12$WfFeafHYL/1Orw/Y2fDc4ej.5S88x.YciSHoUSQRDwSnPWzvDRtkO"
_CACHED = 256


class Authentication:
    """ASGI middleware: lets a request through if it proves to be one of `users` or to hold the token.

    Paths in `public` need no proof; without users and token none does. A bcrypt check takes 50 ms or more, so
    successes are remembered by a digest of credentials and hash; failures are not, or guessing would push the
    successes out. Two checks at a time leave the machine to its work however many guess.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        users: Mapping[str, Secret],
        token: Secret | None,
        public: frozenset[str],
        logger: structlog.stdlib.BoundLogger,
    ) -> None:
        self._app = app
        self._users = users
        self._token = token
        self._public = public
        self._repeats = Repeats(logger)
        self._proven: OrderedDict[bytes, None] = OrderedDict()
        self._checks = asyncio.Semaphore(2)
        schemes = ['Basic realm="postwatch", charset="UTF-8"'] if users else []
        self._challenge = ", ".join([*schemes, *(['Bearer realm="postwatch"'] if token else [])])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_open = not self._challenge or scope["type"] != "http" or scope["path"] in self._public
        if is_open or await self._allowed(Headers(scope=scope).get("authorization", "")):
            await self._app(scope, receive, send)
            return
        answer = JSONResponse({"error": "authentication required"}, 401, headers={"WWW-Authenticate": self._challenge})
        await answer(scope, receive, send)

    async def _allowed(self, authorization: str) -> bool:
        scheme, _, credentials = authorization.strip().partition(" ")
        if scheme.lower() == "bearer" and self._token:
            token = self._reveal("bearer_token", self._token)
            return token is not None and hmac.compare_digest(token, credentials.strip().encode("latin-1"))
        if scheme.lower() == "basic" and self._users:
            try:
                user, colon, password = base64.b64decode(credentials, validate=True).partition(b":")
            except binascii.Error:
                return False
            return bool(colon) and await self._is_user(user, password)
        return False

    async def _is_user(self, user: bytes, password: bytes) -> bool:
        secret = self._users.get(user.decode(errors="replace"))
        hashed = self._reveal(f"basic_auth.{user.decode(errors='replace')}", secret) if secret else None
        key = hashlib.sha256(b"\0".join((user, password, hashed or b""))).digest()
        if key in self._proven:
            self._proven.move_to_end(key)
            return True
        async with self._checks:
            matches = await asyncio.to_thread(_matches, password, hashed or _NOBODY)
        if hashed is None or not matches:
            return False
        self._proven[key] = None
        if len(self._proven) > _CACHED:
            self._proven.popitem(last=False)
        return True

    def _reveal(self, name: str, secret: Secret) -> bytes | None:
        try:
            value = secret.reveal().strip().encode()
        except SecretUnavailable as error:
            self._repeats.failed(name, "secret unavailable, so nobody is let in with it", reason=str(error))
            return None
        self._repeats.recovered(name, "secret available again", secret=name)
        return value or None


def _matches(password: bytes, hashed: bytes) -> bool:
    try:
        return bcrypt.checkpw(password[:72], hashed)  # bcrypt itself never looked further than 72 bytes
    except ValueError:  # no bcrypt hash, or a password with a NUL byte
        return False
