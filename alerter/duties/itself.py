"""What the alerter has to say about itself, as alerts that are routed like all others."""

from __future__ import annotations

import json
from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alerter.intake.booking import RUNBOOKS, recall
from alerter.model import OWN_SOURCE, Alert, Severity, Status, alert_key, digest
from alerter.routing.policy import DEADMAN
from alerter.store.schema import episodes, is_dead, is_firing, is_latest, outbox

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
    name: str,
    severity: Severity,
    now: float,
    *,
    receiver: str = "",
    error: str = "",
    over: bool = False,
    runbooks: str | None = None,
) -> Alert:
    """An alert of our own, as if a webhook had told it; `over`: its end. `runbooks`: where they are served."""
    labels = {"alertname": name, "severity": severity.value, "service": "alerter"}
    if receiver:
        labels["receiver"] = receiver
    words = {"receiver": receiver, "error": error or "none"}
    notes = {"summary": _SUMMARIES[name].format(**words), "description": _ADVICE[name].format(**words)}
    if runbooks:
        notes["runbook_url"] = f"{runbooks}/alerter-says.md#{name.lower()}"
    return Alert(
        source=OWN_SOURCE,
        fingerprint=_fingerprint(name, receiver),
        status=Status.RESOLVED if over else Status.FIRING,
        labels=labels,
        annotations=notes,
        starts_at=now,
        ends_at=now if over else None,
        group_key=f"{OWN_SOURCE}/{name}",
    )


def _fingerprint(name: str, receiver: str) -> str:
    return digest(name, receiver)[:16]


def firing(connection: Connection) -> dict[tuple[str, str], tuple[Severity, float]]:
    """Own alerts that fire: name and receiver; how bad, and since when."""
    query = sa.select(episodes).where(episodes.c.source == OWN_SOURCE, is_firing)
    found = {}
    for row in connection.execute(query):
        labels = json.loads(row.labels)
        found[labels["alertname"], labels.get("receiver", "")] = (Severity(row.severity), row.received_at)
    return found


def fires(connection: Connection, name: str) -> bool:
    """Whether an own alert that is about no receiver does."""
    query = sa.select(episodes.c.id).where(episodes.c.key == alert_key(OWN_SOURCE, _fingerprint(name, "")), is_latest)
    return connection.execute(query.where(is_firing)).first() is not None


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
    dead = sa.select(outbox.c.receiver).where(is_dead, outbox.c.finished_at > now - RECENT).group_by(outbox.c.receiver)
    for receiver in connection.execute(dead).scalars():
        wanted[DEAD_LETTERS, receiver] = (Severity.CRITICAL, "")
    runbooks = recall(connection, RUNBOOKS)
    begins = [
        alert(name, severity, now, receiver=receiver, error=error, runbooks=runbooks)
        for (name, receiver), (severity, error) in wanted.items()
        if (name, receiver) not in known
    ]
    ends = [
        alert(name, severity, now, receiver=receiver, over=True, runbooks=runbooks)
        for (name, receiver), (severity, since) in known.items()
        if (name, receiver) not in wanted and (name not in _ONCE or now - since > PASSING)
    ]
    return begins + ends
