"""Takes alerts in: one transaction for their state, the feed, and who is to be told."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from alerter.intake import echoes
from alerter.intake.ending import end, end_values
from alerter.intake.states import Change, Episode, decide
from alerter.model import Action, Alert, Severity, Status
from alerter.outbox.rows import About, Tray
from alerter.routing.plan import Plan
from alerter.routing.policy import Planner, Policy
from alerter.store import bulk
from alerter.store import episodes as rows
from alerter.store.schema import episodes, facts, is_pending, outbox, tellings

LAST_SEEN = "deadman_last_seen"
RUNBOOKS = "runbooks"  # where they are served, as far as the watchdog's own link tells
_WATCHDOG_PAGE = "/Watchdog.md"
_PIECE = 2000  # alerts whose rows are made and written at a time, so that memory is bounded


@dataclass
class Taken:
    """What became of the alerts of one webhook."""

    changes: Counter[Change] = field(default_factory=Counter)
    wake: set[str] = field(default_factory=set)  # receivers with something to do, of the whole transaction
    superseded: Counter[str] = field(default_factory=Counter)  # by receiver: what needs no word, of all of it too


def take(connection: Connection, policy: Policy, alerts: Sequence[Alert], now: float) -> Taken:
    """Books `alerts`, each key once among them, as told at `now`. Raises what the store raises."""
    return take_all(connection, policy, [alerts], now)[0]


def take_all(
    connection: Connection, policy: Policy, webhooks: Sequence[Sequence[Alert]], now: float
) -> Sequence[Taken]:
    """Books several webhooks in their order, in few statements; answers for each what came of it."""
    planner, whole = Planner(policy, now), Taken()
    taken = [Taken(wake=whole.wake, superseded=whole.superseded) for _ in webhooks]
    watchdog: Alert | None = None
    for run in _runs(taken, webhooks):
        ordinary = [(each, alert) for each, alert in run if not policy.is_watchdog(alert)]
        if len(ordinary) < len(run):
            fires = (alert for _, alert in run if alert.status is Status.FIRING and policy.is_watchdog(alert))
            watchdog = next(fires, watchdog)
        for start in range(0, len(ordinary), _PIECE):
            _book(connection, planner, ordinary[start : start + _PIECE], now, whole)
    if watchdog is not None:
        remember(connection, LAST_SEEN, str(now))
        page = watchdog.annotations.get("runbook_url", "")
        if page.endswith(_WATCHDOG_PAGE):
            remember(connection, RUNBOOKS, page.removesuffix(_WATCHDOG_PAGE))
    return taken


def _runs(taken: Sequence[Taken], webhooks: Sequence[Sequence[Alert]]) -> Iterator[list[tuple[Taken, Alert]]]:
    """All in their order, in stretches in which no alert is there twice: the second is judged by what the first did."""
    run: list[tuple[Taken, Alert]] = []
    keys: set[str] = set()
    for each, alerts in zip(taken, webhooks, strict=True):
        if not keys.isdisjoint(alert.key for alert in alerts):
            yield run
            run, keys = [], set()
        run += [(each, alert) for alert in alerts]
        keys.update(alert.key for alert in alerts)
    yield run


def _book(
    connection: Connection, planner: Planner, entries: Sequence[tuple[Taken, Alert]], now: float, whole: Taken
) -> None:
    book = _Book(connection, planner, now)
    known = rows.latest(connection, [alert.key for _, alert in entries])
    for taken, alert in entries:
        taken.changes[book.enter(alert, known.get(alert.key))] += 1
    whole.wake.update(book.close())
    whole.superseded.update(book.superseded)


class _Book:
    def __init__(self, connection: Connection, planner: Planner, now: float) -> None:
        self._connection = connection
        self._planner = planner
        self._now = now
        self._tray = Tray(connection, planner.policy.receivers, now)
        self._opened: list[tuple[dict[str, Any], Plan | None]] = []
        self._replaced: list[int] = []
        self._changed: list[tuple[Row[Any], dict[str, Any]]] = []
        self._ended: list[tuple[Row[Any], dict[str, Any]]] = []
        self._put_by: list[tuple[Alert, Row[Any]]] = []
        self._taken_back: list[Row[Any]] = []

    @property
    def superseded(self) -> Counter[str]:
        """By receiver, of what has been closed."""
        return self._tray.superseded

    def enter(self, alert: Alert, before: Row[Any] | None) -> Change:
        content = rows.content_of(alert)
        decision = decide(_episode(before), alert, content, self._now)
        match decision.change:
            case Change.OPENED:
                self._open(alert, content, before, self._planner.plan(alert))
            case Change.MISSED:
                self._open(alert, content, before, None)
            case Change.CHANGED if before is not None:
                self._changed.append((before, rows.words(alert, content, self._now)))
            case Change.ENDED if before is not None:
                self._ended.append((before, end_values(alert.ends_at, alert.external_url, "", self._now)))
            case Change.ECHO if before is not None and alert.status is Status.FIRING:
                self._put_by.append((alert, before))
            case Change.ECHO if before is not None:
                self._taken_back.append(before)
        return decision.change

    def _open(self, alert: Alert, content: str, before: Row[Any] | None, plan: Plan | None) -> None:
        row = rows.values(alert, content, self._now)
        ended = alert.status is Status.RESOLVED
        row["ends_at"] = alert.ends_at if ended else None
        row["ended_at"] = self._now if ended else None
        row["ended_by"] = alert.external_url if ended else ""
        row["because"] = "; ".join(plan.because) if plan else "only its end was told"
        row["escalate_at"] = None
        row["escalations"] = "[]"
        if plan and plan.escalations:
            steps = sorted((self._now + step.after, list(step.receivers)) for step in plan.escalations)
            row["escalate_at"] = steps[0][0]
            row["escalations"] = json.dumps(steps)
        if before is not None:
            self._replaced.append(before.id)
        self._opened.append((row, plan))

    def close(self) -> set[str]:
        """Writes all of it; answers the receivers that have something to do."""
        for some in rows.chunks(self._replaced):
            self._connection.execute(sa.update(episodes).where(episodes.c.id.in_(some)).values(latest=False))
        self._begin()
        bulk.update(self._connection, episodes, [{"id": row.id, **words} for row, words in self._changed])
        for changed in rows.chunks([row for row, _ in self._changed]):
            self._tell_of(changed)
        end(self._connection, self._tray, self._ended, self._now)
        echoes.put_by(self._connection, self._put_by)
        echoes.take_back(self._connection, self._taken_back)
        return self._tray.write()

    def _begin(self) -> None:
        if not self._opened:
            return
        told: list[dict[str, Any]] = []
        for number, (row, plan) in zip(
            bulk.reserve(self._connection, episodes, len(self._opened)), self._opened, strict=True
        ):
            row["id"] = number
            about = About(number, row["key"], row["group_id"], Severity(row["severity"]))
            for planned in plan.told if plan else ():
                self._tray.put(planned.receiver, about, Action.TRIGGER)
                told.append(
                    telling(
                        number,
                        planned.receiver,
                        "route",
                        fallback_at=None if planned.fallback_after is None else self._now + planned.fallback_after,
                        fallback=planned.fallback,
                        repeat_at=None if planned.repeat is None else self._now + planned.repeat,
                        repeat_every=planned.repeat,
                    )
                )
        bulk.insert(self._connection, episodes, [row for row, _ in self._opened])
        bulk.insert(self._connection, tellings, told)

    def _tell_of(self, changed: list[Row[Any]]) -> None:
        """A change: to those who were told, unless news of it waits there anyway."""
        by_id = {row.id: row for row in changed}
        waiting = (
            sa.select(outbox.c.receiver, outbox.c.subject)
            .where(is_pending, outbox.c.action == Action.UPDATE, outbox.c.attempts == 0)
            .where(outbox.c.receiver.in_(list(self._planner.policy.receivers)))
            .where(outbox.c.subject.in_([row.key for row in changed]))
        )
        busy = {tuple(row) for row in self._connection.execute(waiting)}
        query = sa.select(tellings.c.episode_id, tellings.c.receiver).where(tellings.c.episode_id.in_(list(by_id)))
        for episode_id, receiver in self._connection.execute(query).all():
            row = by_id[episode_id]
            if (receiver, row.key) not in busy:
                self._tray.put(receiver, About.of(row), Action.UPDATE)


def telling(
    episode_id: int,
    receiver: str,
    role: str,
    *,
    fallback_at: float | None = None,
    fallback: tuple[str, ...] = (),
    repeat_at: float | None = None,
    repeat_every: float | None = None,
) -> dict[str, Any]:
    """A row that says that a receiver is told of an episode; times in epoch seconds, `repeat_every` in seconds."""
    return {
        "episode_id": episode_id,
        "receiver": receiver,
        "role": role,
        "fallback_at": fallback_at,
        "fallback": _names(fallback),
        "repeat_at": repeat_at,
        "repeat_every": repeat_every,
    }


@lru_cache(256)
def _names(receivers: tuple[str, ...]) -> str:
    return json.dumps(receivers)


def remember(connection: Connection, name: str, value: str) -> None:
    """Keeps a fact, in place of what was known."""
    changed = connection.execute(sa.update(facts).where(facts.c.name == name).values(value=value))
    if not changed.rowcount:
        connection.execute(sa.insert(facts).values(name=name, value=value))


def recall(connection: Connection, name: str) -> str | None:
    """A fact, if it is known."""
    return connection.execute(sa.select(facts.c.value).where(facts.c.name == name)).scalar()


def _episode(row: Row[Any] | None) -> Episode | None:
    if row is None:
        return None
    return Episode(Status(row.status), row.starts_at, row.ends_at, row.ended_at, row.ended_by, row.content)
