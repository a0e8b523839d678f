"""What is done about a new alert: who is told at once, who if that fails, who if nobody acknowledges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from alerter.routing.matchers import all_match
from alerter.routing.options import Route, Target
from alerter.routing.quiet import QuietPeriod


@dataclass(frozen=True)
class Planned:
    """One receiver who is told at once. Times are seconds from now; `repeat` None: told once."""

    receiver: str
    because: str
    fallback_after: float | None = None
    fallback: tuple[str, ...] = ()
    repeat: float | None = None


@dataclass(frozen=True)
class Later:
    """Who is told if nobody has acknowledged within `after` seconds."""

    after: float
    receivers: tuple[str, ...]
    because: str


@dataclass(frozen=True)
class Plan:
    """All of it; `because` has a sentence for each route that counted, quiet ones too."""

    told: tuple[Planned, ...]
    escalations: tuple[Later, ...]
    because: tuple[str, ...]

    @property
    def quiet(self) -> bool:
        """Whether nobody is told."""
        return not self.told


@dataclass(frozen=True)
class Routing:
    """The routes of one configuration."""

    routes: Sequence[Route]
    default: Target
    periods: Mapping[str, QuietPeriod]

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """All that a plan can depend on, but for the time."""
        return tuple(sorted({matcher.label for route in self.routes for matcher in route.match}))

    def plan(self, labels: Mapping[str, str], now: float) -> Plan:
        """What an alert with `labels` leads to that comes at `now`, seconds since the epoch."""
        told: dict[str, Planned] = {}
        escalations: list[Later] = []
        because: list[str] = []
        for title, target in self._counting(labels):
            period = next((name for name in target.quiet if self.periods[name].holds(now)), None)
            if period is not None:
                because.append(f"{title} matches, and is quiet now ({period})")
                continue
            because.append(f"{title} matches" if target.receivers else f"{title} matches, and tells nobody")
            for receiver in target.receivers:
                told.setdefault(receiver, _planned(receiver, title, target))
            if target.escalate:
                escalations.append(Later(target.escalate.after, target.escalate.receivers, title))
        return Plan(tuple(told.values()), tuple(escalations), tuple(because))

    def decides(self, labels: Mapping[str, str]) -> bool:
        """Whether a route matches, so that `default` does not count."""
        return any(all_match(route.match, labels) for route in self.routes)

    def _counting(self, labels: Mapping[str, str]) -> Iterator[tuple[str, Target]]:
        matched = False
        for position, route in enumerate(self.routes):
            if all_match(route.match, labels):
                matched = True
                yield f"routes[{position}] {route.title}", route
                if not route.go_on:
                    return
        if not matched:
            yield "default: no route", self.default


def _planned(receiver: str, title: str, target: Target) -> Planned:
    if target.fallback is None:
        return Planned(receiver, title, repeat=target.repeat)
    others = tuple(name for name in target.fallback.receivers if name not in target.receivers)
    return Planned(receiver, title, target.fallback.after if others else None, others, target.repeat)
