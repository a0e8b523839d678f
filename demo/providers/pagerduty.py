"""PagerDuty's Events API v2. Source: https://developer.pagerduty.com/docs/events-api-v2/trigger-events/"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from demo.providers.exchange import Reply, Request, read_json
from demo.providers.server import Limit, StandIn

LARGEST = 512 << 10  # bytes
_FIELDS = frozenset("routing_key event_action dedup_key payload links images client client_url".split())  # noqa: SIM905
_PAYLOAD = frozenset("summary source severity timestamp component group class custom_details".split())  # noqa: SIM905


@dataclass
class Incident:
    """One incident: `events` are those that changed it, or came while it was open."""

    key: str
    status: str  # triggered, acknowledged, resolved
    summary: str
    severity: str
    events: list[dict[str, Any]] = field(default_factory=list)


class PagerDuty(StandIn):
    """Events by key; a resolve or an acknowledgement of what is not open is dropped without a word."""

    def __init__(
        self, routing_key: str = "0123456789abcdef0123456789abcdef", *, rate: int = 120, delay: float = 0.0
    ) -> None:
        """`rate` is the events a minute that a key may send."""
        super().__init__(delay=delay)
        self.routing_key = routing_key
        self.events: list[dict[str, Any]] = []  # as accepted, in order
        self.dropped: list[dict[str, Any]] = []  # accepted, and of no effect
        self.incidents: list[Incident] = []
        self._open: dict[str, Incident] = {}
        self._limit = Limit(rate, 60.0)

    @property
    def open(self) -> Mapping[str, Incident]:
        """Incidents that are not resolved, by their dedup key."""
        return dict(self._open)

    def answer(self, request: Request) -> Reply:
        if request.method != "POST" or request.path != "/v2/enqueue":
            return Reply(404, {"status": "not found"})
        if len(request.body) > LARGEST:
            return Reply(413, {"status": "payload too large"})
        event = read_json(request)
        if event is None:
            return _invalid("body is no JSON object")
        mistakes = list(_mistakes(event, self.routing_key))
        if mistakes:
            return _invalid(*mistakes)
        if wait := self._limit.take(event["routing_key"], request.at):
            return Reply(429, {"status": "throttle exceeded"}, {"Retry-After": str(math.ceil(wait))})
        key = event.get("dedup_key") or uuid.uuid4().hex
        self.events.append(event)
        self._apply(key, event)
        return Reply(202, {"status": "success", "message": "Event processed", "dedup_key": key})

    def _apply(self, key: str, event: dict[str, Any]) -> None:
        incident = self._open.get(key)
        if event["event_action"] == "trigger":
            if incident is None:
                payload = event["payload"]
                incident = Incident(key, "triggered", payload["summary"], payload["severity"])
                self._open[key] = incident
                self.incidents.append(incident)
            incident.events.append(event)
        elif incident is None:
            self.dropped.append(event)
        else:
            incident.events.append(event)
            incident.status = "acknowledged" if event["event_action"] == "acknowledge" else "resolved"
            if incident.status == "resolved":
                del self._open[key]

    def acknowledgement(self, key: str, who: str, *secrets: str) -> tuple[bytes, dict[str, str]]:
        """Body and headers of the webhook (v3) that tells that `who` took the incident `key`."""
        return self.webhook("incident.acknowledged", key, who, *secrets)

    def webhook(
        self, event_type: str, key: str, who: str, *secrets: str, at: float | None = None
    ) -> tuple[bytes, dict[str, str]]:
        """Body and headers of a webhook (v3) about the incident `key`, signed by each of `secrets`.

        Nobody did it if `who` is empty, such as a timer; `at` is when, in epoch seconds, by default now.
        Source: https://developer.pagerduty.com/docs/webhooks-overview
        """
        content = {
            "event": {
                "id": uuid.uuid4().hex,
                "event_type": event_type,
                "resource_type": "incident",
                "occurred_at": datetime.fromtimestamp(time.time() if at is None else at, UTC).isoformat(),
                "agent": {"id": "PLH1HKV", "summary": who, "type": "user_reference"} if who else None,
                "client": {"name": "PagerDuty"} if who else None,
                "data": {
                    "id": "PGR0VU2",
                    "type": "incident",
                    "number": 2,
                    "status": event_type.rpartition(".")[2],
                    "incident_key": key,
                    "title": "A little bump in the road",
                    "service": {"id": "PF9KMXH", "summary": "API Service", "type": "service_reference"},
                },
            }
        }
        body = json.dumps(content, ensure_ascii=False).encode()
        signatures = [hmac.new(secret.encode(), body, hashlib.sha256).hexdigest() for secret in secrets]
        signed = {"X-PagerDuty-Signature": ",".join(f"v1={each}" for each in signatures)} if secrets else {}
        return body, {"Content-Type": "application/json", **signed}


def _invalid(*errors: str) -> Reply:
    return Reply(400, {"status": "invalid event", "message": "Event object is invalid", "errors": list(errors)})


def _mistakes(event: dict[str, Any], routing_key: str) -> Iterator[str]:
    key = event.get("routing_key")
    if not isinstance(key, str) or len(key) != 32:
        yield "Length of 'routing_key' is incorrect (should be 32 characters)"
    elif key != routing_key:
        yield "'routing_key' is invalid"
    yield from (f"'{name}' is not a known field" for name in sorted(event.keys() - _FIELDS))
    action = event.get("event_action")
    if action not in ("trigger", "acknowledge", "resolve"):
        yield "'event_action' is invalid (must be one of: trigger, acknowledge, resolve)"
    dedup = event.get("dedup_key")
    if dedup is not None and (not isinstance(dedup, str) or not 0 < len(dedup) <= 255):
        yield "'dedup_key' must be a string of at most 255 characters"
    if dedup is None and action != "trigger":
        yield "'dedup_key' is missing or blank"
    if action == "trigger":
        yield from _payload_mistakes(event.get("payload"))
    links = event.get("links", [])
    if not isinstance(links, list) or not all(isinstance(each, dict) and _is_url(each.get("href")) for each in links):
        yield "'links' must be a list of objects with 'href'"
    if "client_url" in event and not _is_url(event["client_url"]):
        yield "'client_url' must be a URL"


def _payload_mistakes(payload: object) -> Iterator[str]:
    if not isinstance(payload, dict):
        yield "'payload' is missing or blank"
        return
    yield from (f"'payload.{name}' is not a known field" for name in sorted(payload.keys() - _PAYLOAD))
    for name in ("summary", "source", "severity"):
        if not isinstance(payload.get(name), str) or not payload[name].strip():
            yield f"'payload.{name}' is missing or blank"
    if len(str(payload.get("summary", ""))) > 1024:
        yield "'payload.summary' is longer than 1024 characters"
    if payload.get("severity") not in ("critical", "error", "warning", "info"):
        yield "'payload.severity' is invalid (must be one of: critical, error, warning, info)"
    if "timestamp" in payload:
        try:
            datetime.fromisoformat(payload["timestamp"])
        except (TypeError, ValueError):
            yield "'payload.timestamp' is no ISO 8601 timestamp"
    for name in ("component", "group", "class"):
        if name in payload and not isinstance(payload[name], str):
            yield f"'payload.{name}' must be a string"


def _is_url(value: object) -> bool:
    return isinstance(value, str) and value.startswith(("http://", "https://"))
