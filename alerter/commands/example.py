"""An alert to try things with."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping

from alerter.model import Action, Alert, Mark, Status, Told, digest
from alerter.receivers.base import Message


class BadLabels(ValueError):
    """Labels on the command line that are none."""


def labels_of(texts: Iterable[str]) -> dict[str, str]:
    """The labels in `severity=critical,service=smtp`. Raises BadLabels."""
    found: dict[str, str] = {}
    for pair in (pair for text in texts for pair in text.split(",") if pair.strip()):
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise BadLabels(f"{pair!r} is no label; write e.g. --alert severity=critical,service=smtp")
        found[name.strip()] = value.strip().strip('"')
    return found


def message(
    labels: Mapping[str, str], now: float, *, marks: frozenset[Mark], action: Action = Action.TRIGGER
) -> Message:
    """A message about one alert with `labels`, as if it had just come."""
    named = {"alertname": "PostwatchTest", "severity": "info", "service": "alerter", **labels}
    fingerprint = digest("test", str(uuid.uuid4()))[:16]
    alert = Alert(
        source="test",
        fingerprint=fingerprint,
        status=Status.FIRING if action is not Action.RESOLVE else Status.RESOLVED,
        labels=named,
        annotations={
            "summary": "A message to try the way to you" if Mark.TEST in marks else "An example",
            "description": "Sent by `postwatch-alerter send-test`; nothing is wrong.",
        },
        starts_at=now,
        ends_at=now if action is Action.RESOLVE else None,
        group_key="test",
    )
    return Message(
        action=action,
        alerts=(Told(0, alert, now),),
        delivery_id=str(uuid.uuid4()),
        dedup_key=alert.key,
        created_at=now,
        marks=marks,
    )
