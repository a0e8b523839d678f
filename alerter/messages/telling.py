"""From a delivery to what a person needs at three in the morning: what, where, since when, how bad, what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from alerter.messages.clean import clean, line, link
from alerter.messages.message import Message
from alerter.model import Action, Alert, Mark, Severity, Status, Told

NAMED = 40  # alerts told one by one in a message; the others are counted

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
_REMARKS = {
    Mark.TEST: "This is a test: nothing is wrong.",
    Mark.FALLBACK: "You are told because those who should have been could not be reached in time.",
    Mark.ESCALATION: "You are told because nobody has acknowledged it in time.",
    Mark.REPEAT: "You were told before; it still goes on.",
    Mark.RECONCILED: "Alertmanager does not report it any more, or it is silenced there.",
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


@dataclass(frozen=True)
class Telling:
    """What one delivery says."""

    action: Action
    word: str  # CRITICAL, WARNING, INFO, ALERT, RESOLVED, ACKNOWLEDGED, TEST
    severity: Severity  # the worst of those that fire; of all, if none does
    service: str
    headline: str
    lines: tuple[Line, ...]  # the worst first, at most NAMED
    count: int  # alerts in all
    firing: int
    remarks: tuple[str, ...]
    services: Mapping[str, int]
    storm: bool
    now: float
    home: str  # the alerter's own address; empty if it has none
    marks: frozenset[Mark] = field(default_factory=frozenset)

    @property
    def over(self) -> bool:
        """Whether nothing of it fires any more."""
        return self.firing == 0

    @property
    def title(self) -> str:
        """One line: how bad, what."""
        service = f"{self.service}: " if self.service and not self.headline.startswith(self.service) else ""
        return f"{self.word}: {service}{self.headline}"

    @property
    def since(self) -> float:
        """Epoch seconds since when the oldest of those that fire does."""
        firing = [each.since for each in self.lines if each.firing]
        return min(firing or [each.since for each in self.lines])

    @property
    def more(self) -> int:
        """Alerts that are counted but not named."""
        return self.count - len(self.lines)

    def data(self) -> dict[str, Any]:
        """What templates see, as plain data."""
        return {
            "action": self.action.value,
            "status": "resolved" if self.over else "firing",
            "word": self.word,
            "title": self.title,
            "headline": self.headline,
            "severity": self.severity.value,
            "service": self.service,
            "count": self.count,
            "firing": self.firing,
            "storm": self.storm,
            "services": dict(self.services),
            "remarks": list(self.remarks),
            "marks": sorted(mark.value for mark in self.marks),
            "now": moment(self.now),
            "url": self.home,
            "alerts": [_line_data(each, self.now) for each in self.lines],
        }


def tell(message: Message, now: float, external_url: str) -> Telling:
    """What `message` says at the moment `now`."""
    lines = sorted(
        (_line(told, not message.news or told.alert.fingerprint in message.news) for told in message.alerts),
        key=lambda each: (not each.firing, each.severity.rank, not each.news, each.since),
    )
    storm = message.storm
    count = storm.count if storm else len(lines)
    firing = storm.firing if storm else sum(each.firing for each in lines)
    counted = [each for each in lines if each.firing] or lines
    worst = storm.worst if storm else min((each.severity for each in counted), key=lambda each: each.rank)
    services = {each.service for each in lines}
    return Telling(
        action=message.action,
        word=_word(message, worst, firing),
        severity=worst,
        service=services.pop() if len(services) == 1 else "",
        headline=_headline(lines, count, firing, storm is not None),
        lines=tuple(lines[:NAMED]),
        count=count,
        firing=firing,
        remarks=tuple(_remarks(message, lines, count)),
        services={line(name, 100): number for name, number in storm.services.items()} if storm else {},
        storm=storm is not None,
        now=now,
        home=link(external_url),
        marks=message.marks,
    )


def _word(message: Message, worst: Severity, firing: int) -> str:
    if Mark.TEST in message.marks:
        return "TEST"
    if message.action is Action.RESOLVE or firing == 0:
        return "RESOLVED"
    if message.action is Action.ACKNOWLEDGE:
        return "ACKNOWLEDGED"
    return "ALERT" if worst is Severity.OTHER else worst.value.upper()


def _headline(lines: list[Line], count: int, firing: int, storm: bool) -> str:
    first = lines[0].summary
    if count == 1:
        return first
    if storm:
        return f"{count} alerts at once, {firing} of them firing; the worst: {first}"
    names = {each.name for each in lines}
    what = next(iter(names)) if len(names) == 1 else "alerts"
    state = f"{firing} firing" if firing == count else f"{firing} of {count} firing"
    return f"{what}: all {count} over" if not firing else f"{what}, {state}: {first}"


def _remarks(message: Message, lines: list[Line], count: int) -> Iterator[str]:
    yield from (text for mark, text in _REMARKS.items() if mark in message.marks)
    if message.note:
        yield line(message.note, 500)
    if count == 1:
        if lines[0].acknowledged_by:
            yield f"Acknowledged by {lines[0].acknowledged_by}."
        if lines[0].note and lines[0].note != line(message.note, 500):
            yield lines[0].note


def _line(told: Told, news: bool) -> Line:
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
    matchers = [f"{name}={_quoted(clean(value, 500))}" for name, value in sorted(alert.labels.items())]
    return link(f"{home.rstrip('/')}/#/silences/new?filter={quote('{' + ', '.join(matchers) + '}', safe='')}")


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _line_data(each: Line, now: float) -> dict[str, Any]:
    return {
        "id": each.id,
        "name": each.name,
        "status": "firing" if each.firing else "resolved",
        "severity": each.severity.value,
        "service": each.service,
        "where": each.where,
        "summary": each.summary,
        "description": each.description,
        "impact": each.impact,
        "since": moment(each.since),
        "until": "" if each.until is None else moment(each.until),
        "lasted": span((now if each.until is None else each.until) - each.since),
        "acknowledged_by": each.acknowledged_by,
        "note": each.note,
        "runbook_url": each.runbook,
        "dashboard_url": each.dashboard,
        "silence_url": each.silence,
        "graph_url": each.graph,
        "news": each.news,
        "source": each.source,
        "labels": dict(each.labels),
        "annotations": dict(each.annotations),
    }


def moment(at: float) -> str:
    """Epoch seconds as a person reads them, in UTC: '2026-11-22 03:12 UTC'."""
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (ValueError, OverflowError, OSError):
        return "an unknown time"


def span(seconds: float) -> str:
    """A length of time, to two units: '45 s', '12 min', '3 h 20 min', '2 d 4 h'."""
    seconds = max(seconds, 0.0)
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = int(seconds // 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def lasting(each: Line, now: float) -> str:
    """Since when, or how long it was: 'since 2026-11-22 03:12 UTC (12 min)'."""
    if each.until is None:
        return f"since {moment(each.since)} ({span(now - each.since)})"
    return f"from {moment(each.since)}, for {span(each.until - each.since)}"
