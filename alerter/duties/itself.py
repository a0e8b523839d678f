"""What the alerter has to say about itself, as alerts that are routed like all others."""

from __future__ import annotations

import json
from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alerter.model import OWN_SOURCE, Alert, Severity, Status, digest
from alerter.outbox.rows import DEAD
from alerter.routing.policy import DEADMAN
from alerter.store.schema import episodes, outbox

DEAD_LETTERS, FAILING = "PostwatchDeadLetters", "PostwatchReceiverFailing"
TOO_LARGE, TRUNCATED = "PostwatchWebhookTooLarge", "PostwatchWebhookTruncated"
PASSING = 3600.0  # seconds after which what happened once is not news any more
RECENT = 24 * 3600.0  # seconds for which a dead letter is worth an alert
_ONCE = (TOO_LARGE, TRUNCATED)

_SUMMARIES = {
    DEADMAN: "No watchdog arrives: alerts do not get through to the alerter",
    DEAD_LETTERS: "Messages could not be delivered to {receiver}",
    FAILING: "Receiver {receiver} cannot be reached",
    TOO_LARGE: "A webhook was too large and is lost",
    TRUNCATED: "Alertmanager left alerts out of its webhooks",
}
_ADVICE = {
    DEADMAN: "Look whether Prometheus and Alertmanager run, and whether Alertmanager's log tells of failed webhooks.",
    DEAD_LETTERS: "`postwatch-alerter list --state dead` shows them, `postwatch-alerter retry` plays them again.",
    FAILING: "Its last error: {error}",
    TOO_LARGE: "Nobody will send it again. Group by more labels, or raise web.max_body.",
    TRUNCATED: "Set max_alerts: 0 in Alertmanager's webhook_configs.",
}


def alert(
    name: str, severity: Severity, now: float, *, receiver: str = "", error: str = "", over: bool = False
) -> Alert:
    """An alert of our own, as if a webhook had told it; `over`: its end."""
    labels = {"alertname": name, "severity": severity.value, "service": "alerter"}
    if receiver:
        labels["receiver"] = receiver
    words = {"receiver": receiver, "error": error or "none"}
    return Alert(
        source=OWN_SOURCE,
        fingerprint=digest(name, receiver)[:16],
        status=Status.RESOLVED if over else Status.FIRING,
        labels=labels,
        annotations={"summary": _SUMMARIES[name].format(**words), "description": _ADVICE[name].format(**words)},
        starts_at=now,
        ends_at=now if over else None,
        group_key=f"{OWN_SOURCE}/{name}",
    )


def firing(connection: Connection) -> dict[tuple[str, str], tuple[Severity, float]]:
    """Own alerts that fire: name and receiver; how bad, and since when."""
    query = sa.select(episodes).where(episodes.c.source == OWN_SOURCE, episodes.c.status == Status.FIRING)
    found = {}
    for row in connection.execute(query):
        labels = json.loads(row.labels)
        found[labels["alertname"], labels.get("receiver", "")] = (Severity(row.severity), row.received_at)
    return found


def news(
    connection: Connection,
    failing: Mapping[str, str],
    *,
    watchdog_missing: bool,
    now: float,
) -> list[Alert]:
    """What begins and what ends. `failing`: receivers that cannot be reached, and their last errors."""
    known = firing(connection)
    wanted: dict[tuple[str, str], tuple[Severity, str]] = {}
    if watchdog_missing:
        wanted[DEADMAN, ""] = (Severity.CRITICAL, "")
    for receiver, error in failing.items():
        wanted[FAILING, receiver] = (Severity.CRITICAL, error)
    dead = (
        sa.select(outbox.c.receiver)
        .where(outbox.c.state == DEAD, outbox.c.finished_at > now - RECENT)
        .group_by(outbox.c.receiver)
    )
    for receiver in connection.execute(dead).scalars():
        wanted[DEAD_LETTERS, receiver] = (Severity.CRITICAL, "")
    begins = [
        alert(name, severity, now, receiver=receiver, error=error)
        for (name, receiver), (severity, error) in wanted.items()
        if (name, receiver) not in known
    ]
    ends = [
        alert(name, severity, now, receiver=receiver, over=True)
        for (name, receiver), (severity, since) in known.items()
        if (name, receiver) not in wanted and (name not in _ONCE or now - since > PASSING)
    ]
    return begins + ends
