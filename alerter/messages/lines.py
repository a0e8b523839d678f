"""One alert of a delivery in words: where, since when, how bad, whom it hurts, and where to look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from alerter.messages.clean import clean, line, link
from alerter.messages.times import moment, span
from alerter.model import Alert, Severity, Status, Told
from alerter.routing.matchers import Matcher

# Labels that say where it is, in the order in which a person would say it.
_PLACE = [
    "queue",
    "priority",
    "target",
    "kind",
    "worker",
    "ip",
    "blocklist",
    "database",
    "redis",
    "pool",
    "table",
    "mount",
    "device",
    "source",
    "receiver",
    "instance",
]
_NO_PLACE = {"alertname", "severity", "service", "job", "summary"}

# What is at stake where an alert does not say it itself (annotation `impact`), by service.
_IMPACT = {
    "queues": "Jobs wait longer than they should; mail may go out late.",
    "workers": "Fewer jobs are worked off; mail may go out late.",
    "database": "Jobs may neither be taken nor finished; customers may see errors.",
    "postgres": "Jobs may neither be taken nor finished; customers may see errors.",
    "redis": "Jobs may not be handed to workers; mail may go out late.",
    "smtp": "Mail may not be accepted or delivered.",
    "reputation": "Mail to some providers may be refused or end as spam.",
    "api": "Customers may see errors.",
}


@dataclass(frozen=True)
class Line:
    """One alert, in words that are fit for any protocol. Times are epoch seconds; empty: not said."""

    id: int
    name: str
    firing: bool
    severity: Severity
    service: str
    where: str
    summary: str
    description: str
    impact: str
    since: float
    until: float | None
    acknowledged_by: str
    note: str
    runbook: str
    dashboard: str
    silence: str
    graph: str
    news: bool
    source: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]

    def data(self, now: float) -> dict[str, Any]:
        """What templates see, as plain data."""
        return {
            "id": self.id,
            "name": self.name,
            "status": "firing" if self.firing else "resolved",
            "severity": self.severity.value,
            "service": self.service,
            "where": self.where,
            "summary": self.summary,
            "description": self.description,
            "impact": self.impact,
            "since": moment(self.since),
            "until": "" if self.until is None else moment(self.until),
            "lasted": span((now if self.until is None else self.until) - self.since),
            "acknowledged_by": self.acknowledged_by,
            "note": self.note,
            "runbook_url": self.runbook,
            "dashboard_url": self.dashboard,
            "silence_url": self.silence,
            "graph_url": self.graph,
            "news": self.news,
            "source": self.source,
            "labels": dict(self.labels),
            "annotations": dict(self.annotations),
        }


def in_words(told: Told, *, news: bool) -> Line:
    """What is said of one alert; `news`: whether it is for its sake that anything is said."""
    alert = told.alert
    labels = {line(name, 200): clean(value, 1000) for name, value in alert.labels.items()}
    notes = {line(name, 200): clean(value, 4000) for name, value in alert.annotations.items()}
    service = line(alert.service, 100)
    firing = alert.status is Status.FIRING
    return Line(
        id=told.id,
        name=line(alert.name, 200),
        firing=firing,
        severity=alert.severity,
        service=service,
        where=_where(labels),
        summary=line(alert.summary, 500),
        description=clean(alert.annotations.get("description", ""), 2000).strip(),
        impact=line(alert.annotations.get("impact", ""), 500)
        or (_IMPACT.get(service.lower(), "") if alert.severity in (Severity.CRITICAL, Severity.WARNING) else ""),
        since=alert.starts_at,
        until=None if firing else alert.ends_at,
        acknowledged_by=line(told.acknowledged_by, 100),
        note=line(told.note, 500),
        runbook=link(alert.annotations.get("runbook_url", "")),
        dashboard=link(alert.annotations.get("dashboard_url", "")),
        silence=_silence(alert),
        graph=link(alert.generator_url),
        news=news,
        source=line(alert.source, 100),
        labels=labels,
        annotations=notes,
    )


def _where(labels: Mapping[str, str]) -> str:
    named = [f"{name} {line(labels[name], 120)}" for name in _PLACE if labels.get(name)]
    if not named:
        named = [f"{name} {line(value, 120)}" for name, value in sorted(labels.items()) if name not in _NO_PLACE]
    return ", ".join(named[:6])


def _silence(alert: Alert) -> str:
    """Alertmanager's form for a new silence, filled with the alert's labels."""
    home = link(alert.external_url)
    if not home:
        return ""
    matchers = [str(Matcher(clean(name), "=", clean(value, 500))) for name, value in sorted(alert.labels.items())]
    return link(f"{home.rstrip('/')}/#/silences/new?filter={quote('{' + ', '.join(matchers) + '}', safe='')}")


def lasting(each: Line, now: float) -> str:
    """Since when, or how long it was: 'since 2026-11-22 03:12 UTC (12 min)'."""
    if each.until is None:
        return f"since {moment(each.since)} ({span(now - each.since)})"
    return f"from {moment(each.since)}, for {span(each.until - each.since)}"
