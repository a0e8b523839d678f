"""From a delivery to what a person needs at three in the morning: what, where, since when, how bad, what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from alerter.messages.clean import line, link
from alerter.messages.lines import Line, in_words
from alerter.messages.message import Message
from alerter.messages.times import moment
from alerter.model import Action, Mark, Severity

NAMED = 40  # alerts told one by one in a message; the others are counted

_REMARKS = {
    Mark.TEST: "This is a test: nothing is wrong.",
    Mark.FALLBACK: "You are told because those who should have been could not be reached in time.",
    Mark.ESCALATION: "You are told because nobody has acknowledged it in time.",
    Mark.REPEAT: "You were told before; it still goes on.",
    Mark.RECONCILED: "Alertmanager does not report it any more, or it is silenced there.",
}


@dataclass(frozen=True)
class Telling:
    """What one delivery says."""

    action: Action
    word: str  # CRITICAL, WARNING, INFO, ALERT, WAS CRITICAL, RESOLVED, ACKNOWLEDGED, TEST
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
            "alerts": [each.data(self.now) for each in self.lines],
        }


def tell(message: Message, now: float, external_url: str) -> Telling:
    """What `message` says at the moment `now`."""
    lines = sorted(
        (in_words(told, news=not message.news or told.alert.fingerprint in message.news) for told in message.alerts),
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
        word=_word(message, lines, worst, firing),
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


def _word(message: Message, lines: list[Line], worst: Severity, firing: int) -> str:
    if Mark.TEST in message.marks:
        return "TEST"
    if message.action is Action.TRIGGER and firing == 0:
        return f"WAS {_how_bad(worst)}"  # it could not be told before; its end is told behind it
    if message.action is Action.RESOLVE or firing == 0:
        return "RESOLVED"
    # Of a group, whoever takes one alert has not taken the others.
    if message.action is Action.ACKNOWLEDGE and all(each.acknowledged_by for each in lines if each.firing):
        return "ACKNOWLEDGED"
    return _how_bad(worst)


def _how_bad(worst: Severity) -> str:
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
    firing = [each for each in lines if each.firing]
    taken = [each for each in firing if each.acknowledged_by]
    if taken and count > 1 and not message.storm:
        who = sorted({each.acknowledged_by for each in taken})
        yield line(f"{len(taken)} of {len(firing)} acknowledged, by {', '.join(who)}.", 500)
    if count == 1:
        if lines[0].acknowledged_by:
            yield f"Acknowledged by {lines[0].acknowledged_by}."
        if lines[0].note and lines[0].note != line(message.note, 500):
            yield lines[0].note
