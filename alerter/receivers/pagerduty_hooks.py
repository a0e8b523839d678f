"""PagerDuty's webhooks, version 3: who has taken an incident there, and who gave it back.

Source: https://developer.pagerduty.com/docs/webhooks-overview and /docs/verifying-webhook-signatures. While a secret is
renewed the header has a signature by each. The incident's key is the dedup key of the event that opened it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from alerter.messages.clean import line
from alerter.receivers.base import Heard, NotProven, Unintelligible
from chassis.secrets import Secret

_HEADER = "x-pagerduty-signature"
_LONGEST = 255  # characters of a dedup key
_SIGNATURES = 16  # that are looked at
_TAKEN = "incident.acknowledged"
_GIVEN_BACK = frozenset({"incident.unacknowledged", "incident.reopened"})
_CLOSED = "incident.resolved"
_PERSON = "user_reference"


class PagerDutyEar:
    """What PagerDuty posts about the incidents of one receiver."""

    def __init__(self, secret: Secret) -> None:
        self._secret = secret

    def hear(self, body: bytes, headers: Mapping[str, str]) -> Heard | None:
        """As `Ear.hear`."""
        # The secret is read anew each time: a renewed one counts at once.
        if not _is_signed(body, headers.get(_HEADER, ""), self._secret.reveal().strip()):
            raise NotProven
        event = _event(body)
        data, kind = event.get("data"), event.get("event_type")
        if not isinstance(kind, str):
            raise Unintelligible("event.event_type: no text")
        if kind not in (_TAKEN, _CLOSED, *_GIVEN_BACK):
            return None
        if not isinstance(data, dict):
            raise Unintelligible("event.data: no JSON object")
        agent = event.get("agent")
        if kind == _CLOSED and not _is_person(agent):
            return None  # by ourselves, since it is over; or by a timer of PagerDuty's, so that nobody sees to it
        key = data.get("incident_key")
        if not isinstance(key, str) or not 0 < len(key) <= _LONGEST or not key.isprintable():
            return None  # it was not opened by us
        return Heard(key=key, taken=kind not in _GIVEN_BACK, who=_name(agent, closed=kind == _CLOSED), at=_time(event))


def _is_signed(body: bytes, header: str, secret: str) -> bool:
    if not secret:
        return False
    expected = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest().encode()
    given = [each.strip() for each in header.split(",")[:_SIGNATURES]]
    found = [each.removeprefix("v1=").encode("utf-8", "replace") for each in given if each.startswith("v1=")]
    return any([hmac.compare_digest(expected, each) for each in found])  # noqa: C419  # all of them, whichever fits


def _event(body: bytes) -> dict[str, Any]:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        raise Unintelligible("the body is no JSON") from None
    event = data.get("event") if isinstance(data, dict) else None
    if not isinstance(event, dict):
        raise Unintelligible("event: no JSON object; only version 3 of PagerDuty's webhooks is known")
    return event


def _is_person(agent: Any) -> bool:
    return isinstance(agent, dict) and agent.get("type") == _PERSON


def _name(agent: Any, *, closed: bool) -> str:
    name = line(str(agent.get("summary") or agent.get("id") or ""), 100) if isinstance(agent, dict) else ""
    return f"{name or 'somebody'} (PagerDuty{', resolved there' if closed else ''})"


def _time(event: Mapping[str, Any]) -> float | None:
    try:
        return datetime.fromisoformat(str(event.get("occurred_at"))).timestamp()
    except (ValueError, OverflowError):
        return None
