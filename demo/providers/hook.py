"""A receiver of Postwatch's own webhook, as somebody else would write it from the documentation."""

from __future__ import annotations

import hashlib
import hmac
import time
from typing import Any

from demo.providers.exchange import Reply, Request, read_json
from demo.providers.server import StandIn


class Hook(StandIn):
    """Takes what is rightly signed; a repetition by its key once."""

    def __init__(self, secret: str = "stand-in-webhook-secret", *, delay: float = 0.0) -> None:  # noqa: S107
        super().__init__(delay=delay)
        self.secret = secret
        self.taken: list[dict[str, Any]] = []
        self._seen: set[str] = set()

    def answer(self, request: Request) -> Reply:
        stamp = request.headers.get("x-postwatch-timestamp", "")
        proof = hmac.new(self.secret.encode(), stamp.encode() + b"." + request.body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(request.headers.get("x-postwatch-signature", ""), f"sha256={proof}"):
            return Reply(401, {"error": "the signature is wrong"})
        if not stamp.isdecimal() or abs(time.time() - int(stamp)) > 300:
            return Reply(401, {"error": "the timestamp is too old"})
        key, content = request.headers.get("idempotency-key", ""), read_json(request)
        if not key or content is None:
            return Reply(400, {"error": "no key, or no JSON"})
        if key not in self._seen:
            self._seen.add(key)
            self.taken.append(content)
        return Reply(204)
