"""A signed webhook: what happened as JSON, for buses and tools of one's own.

`X-Postwatch-Signature: sha256=HEX` is the HMAC-SHA-256, by the secret, of `X-Postwatch-Timestamp`, a full stop and
the body. Who checks it should refuse timestamps (epoch seconds) older than some minutes. `Idempotency-Key` is the
same for each attempt of a delivery. Any 2xx is taken for accepted.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any, Literal

from pydantic import Field

from alerter.messages.telling import tell
from alerter.model import Action, Told
from alerter.receivers.base import Accepted, Message, Rate, ReceiverContext, Tells
from alerter.receivers.options import HiddenUrl, HttpOptions
from alerter.receivers.wire import Wire, reveal, reveal_url
from chassis.secrets import Secret

KIND = "webhook"


class Options(HttpOptions):
    """JSON to an address of yours, signed."""

    kind: Literal["webhook"] = Field(description="The way to tell.")
    url: HiddenUrl = Field(description="Where to; https except on this machine.")
    secret: Secret = Field(description="Signs what is sent.")
    rate: Rate = Field(Rate(50, 1), description="Messages at most; above it they are told as one that counts them.")


class WebhookReceiver:
    """One configured webhook."""

    kind = KIND
    tells = Tells.ALERT
    actions = frozenset(Action)

    def __init__(self, options: Options, context: ReceiverContext) -> None:
        self.name = options.name
        self.rate = options.rate
        self._options = options
        self._context = context
        self._wire = Wire(options.timeout, [options.url, options.secret], options.ca_file)

    def send(self, message: Message) -> Accepted:
        """As `Receiver.send`."""
        url = reveal_url(self._options.url, "url")
        secret = reveal(self._options.secret, "secret")
        now = self._context.clock.now()
        content = {**tell(message, now, self._context.external_url).data(), **_facts(message)}
        content.pop("now")  # the same body at each attempt
        body = json.dumps(content, separators=(",", ":")).encode()
        stamp = str(int(now))
        answer = self._wire.post(
            url,
            body,
            "application/json",
            {
                "Idempotency-Key": message.delivery_id,
                "X-Postwatch-Timestamp": stamp,
                "X-Postwatch-Signature": signature(secret, stamp, body),
            },
        )
        if not 200 <= answer.status < 300:
            raise self._wire.failure(answer)
        return Accepted()

    def close(self) -> None:
        """As `Receiver.close`."""
        self._wire.close()


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """The value of `X-Postwatch-Signature`."""
    return f"sha256={hmac.new(secret.encode(), f'{timestamp}.'.encode() + body, hashlib.sha256).hexdigest()}"


def _facts(message: Message) -> dict[str, Any]:
    return {
        "version": 1,
        "delivery_id": message.delivery_id,
        "dedup_key": message.dedup_key,
        "created_at": message.created_at,
        "alerts": [_alert(told) for told in message.alerts],
    }


def _alert(told: Told) -> dict[str, Any]:
    """One alert as it came, times in epoch seconds."""
    alert = told.alert
    return {
        "id": told.id,
        "source": alert.source,
        "fingerprint": alert.fingerprint,
        "status": alert.status.value,
        "severity": alert.severity.value,
        "service": alert.service,
        "summary": alert.summary,
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
        "starts_at": alert.starts_at,
        "ends_at": alert.ends_at,
        "generator_url": alert.generator_url,
        "external_url": alert.external_url,
        "acknowledged_by": told.acknowledged_by,
        "note": told.note,
    }


def build(options: Options, context: ReceiverContext) -> WebhookReceiver:
    """A receiver of this kind."""
    return WebhookReceiver(options, context)
