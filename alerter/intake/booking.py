"""Takes alerts in: one transaction for their state, the feed, and who is to be told."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from alerter.intake.states import Change, Episode, decide
from alerter.model import Action, Alert, Mark, Severity, Status
from alerter.outbox.rows import DEAD, PENDING, SUPERSEDED, About, Tray
from alerter.routing.plan import Plan
from alerter.routing.policy import Policy
from alerter.store import episodes as rows
from alerter.store.schema import episodes, facts, outbox, tellings

LAST_SEEN = "deadman_last_seen"


@dataclass
class Taken:
    """What became of the alerts of one transaction."""

    changes: Counter[Change] = field(default_factory=Counter)
    wake: set[str] = field(default_factory=set)  # receivers with something to do


def take(connection: Connection, policy: Policy, alerts: Sequence[Alert], now: float) -> Taken:
    """Books `alerts`, each key once among them, as told at `now`. Raises what the store raises."""
    ordinary = [alert for alert in alerts if not policy.is_watchdog(alert)]
    if any(alert.status is Status.FIRING for alert in alerts if policy.is_watchdog(alert)):
        remember(connection, LAST_SEEN, str(now))
    book = _Book(connection, policy, now)
    known = rows.latest(connection, [alert.key for alert in ordinary])
    for alert in ordinary:
        book.enter(alert, known.get(alert.key))
    return book.close()


class _Book:
    def __init__(self, connection: Connection, policy: Policy, now: float) -> None:
        self._connection = connection
        self._policy = policy
        self._now = now
        self._tray = Tray(connection, policy.receivers, now)
        self._taken = Taken()
        self._opened: list[tuple[dict[str, Any], Plan | None]] = []
        self._replaced: list[int] = []
        self._changed: list[dict[str, Any]] = []
        self._ended: list[tuple[Row[Any], dict[str, Any]]] = []

    def enter(self, alert: Alert, before: Row[Any] | None) -> None:
        content = rows.content_of(alert)
        decision = decide(_episode(before), alert, content, self._now)
        self._taken.changes[decision.change] += 1
        match decision.change:
            case Change.OPENED:
                self._open(alert, content, before, self._policy.plan(alert, self._now))
            case Change.MISSED:
                self._open(alert, content, before, None)
            case Change.CHANGED if before is not None:
                self._changed.append({"row_id": before.id, **rows.words(alert, content, self._now)})
                self._tell_of(before)
            case Change.ENDED if before is not None:
                self._ended.append((before, _end(alert.ends_at, alert.external_url, "", self._now)))

    def _open(self, alert: Alert, content: str, before: Row[Any] | None, plan: Plan | None) -> None:
        row = rows.values(alert, content, self._now)
        ended = alert.status is Status.RESOLVED
        row |= {
            "ends_at": alert.ends_at if ended else None,
            "ended_at": self._now if ended else None,
            "ended_by": alert.external_url if ended else "",
            "because": "; ".join(plan.because) if plan else "only its end was told",
            "escalate_at": None,
            "escalations": "[]",
        }
        if plan and plan.escalations:
            steps = sorted((self._now + step.after, list(step.receivers)) for step in plan.escalations)
            row |= {"escalate_at": steps[0][0], "escalations": json.dumps(steps)}
        if before is not None:
            self._replaced.append(before.id)
        self._opened.append((row, plan))

    def close(self) -> Taken:
        """Writes all of it."""
        for some in rows.chunks(self._replaced):
            self._connection.execute(sa.update(episodes).where(episodes.c.id.in_(some)).values(latest=False))
        rows.update_many(self._connection, self._changed)
        end(self._connection, self._tray, self._ended, self._now)
        self._begin()
        self._taken.wake |= self._tray.write()
        return self._taken

    def _begin(self) -> None:
        told: list[dict[str, Any]] = []
        for start in range(0, len(self._opened), rows.CHUNK):
            some = self._opened[start : start + rows.CHUNK]
            statement = sa.insert(episodes).returning(episodes.c.id, episodes.c.key)
            ids = {row.key: row.id for row in self._connection.execute(statement, [row for row, _ in some])}
            for row, plan in some:
                about = About(ids[row["key"]], row["key"], row["group_id"], row["severity"])
                for planned in plan.told if plan else ():
                    self._tray.put(planned.receiver, about, Action.TRIGGER)
                    told.append(
                        telling(
                            about.id,
                            planned.receiver,
                            "route",
                            fallback_at=None if planned.fallback_after is None else self._now + planned.fallback_after,
                            fallback=planned.fallback,
                            repeat_at=None if planned.repeat is None else self._now + planned.repeat,
                            repeat_every=planned.repeat,
                        )
                    )
        if told:
            self._connection.execute(sa.insert(tellings), told)

    def _tell_of(self, before: Row[Any]) -> None:
        """A change: to those who were told, unless news of it waits there anyway."""
        about = about_row(before)
        waiting = (
            sa.select(outbox.c.receiver)
            .where(outbox.c.state == PENDING, outbox.c.subject == before.key, outbox.c.action == Action.UPDATE)
            .where(outbox.c.attempts == 0)
        )
        busy = set(self._connection.execute(waiting).scalars())
        query = sa.select(tellings.c.receiver).where(tellings.c.episode_id == before.id)
        for receiver in self._connection.execute(query).scalars():
            if receiver not in busy:
                self._tray.put(receiver, about, Action.UPDATE)


def end(
    connection: Connection,
    tray: Tray,
    ended: Sequence[tuple[Row[Any], dict[str, Any]]],
    now: float,
    marks: Iterable[Mark] = (),
) -> None:
    """Ends episodes, and tells all who were told of them, by the same ways, whatever the routes say by now."""
    rows.update_many(connection, [{"row_id": row.id, **values} for row, values in ended])
    by_id = {row.id: row for row, _ in ended}
    for ids in rows.chunks(list(by_id)):
        told = connection.execute(sa.select(tellings).where(tellings.c.episode_id.in_(ids))).all()
        quiet = {"fallback_at": None, "repeat_at": None}
        connection.execute(sa.update(tellings).where(tellings.c.episode_id.in_(ids)).values(quiet))
        mute = _withdraw(connection, ids, now)
        for each in told:
            about = about_row(by_id[each.episode_id])
            state = SUPERSEDED if (each.episode_id, each.receiver) in mute and each.told_at is None else PENDING
            tray.put(each.receiver, about, Action.RESOLVE, marks=marks, state=state)


def _withdraw(connection: Connection, ids: list[int], now: float) -> set[tuple[int, str]]:
    """Triggers that never went out are not sent any more, except critical ones; whose end needs no word then."""
    never = (
        outbox.c.episode_id.in_(ids),
        outbox.c.action == Action.TRIGGER,
        outbox.c.grouped.is_(False),
        outbox.c.maybe.is_(False),
        outbox.c.storm.is_(None),
    )
    waiting = (
        *never,
        outbox.c.state == PENDING,
        outbox.c.lease_until.is_(None),
        outbox.c.severity != Severity.CRITICAL,
    )
    gone = connection.execute(
        sa.update(outbox)
        .where(*waiting)
        .values(state=SUPERSEDED, finished_at=now)
        .returning(outbox.c.episode_id, outbox.c.receiver)
    ).all()
    dead = connection.execute(
        sa.select(outbox.c.episode_id, outbox.c.receiver).where(*never, outbox.c.state == DEAD)
    ).all()
    if gone:
        # Neither is news of its change, or its acknowledgement, which stood behind it.
        connection.execute(
            sa.update(outbox)
            .where(outbox.c.episode_id.in_(ids), outbox.c.state == PENDING, outbox.c.grouped.is_(False))
            .where(sa.tuple_(outbox.c.episode_id, outbox.c.receiver).in_([tuple(row) for row in gone]))
            .where(outbox.c.attempts == 0, outbox.c.action != Action.TRIGGER)
            .values(state=SUPERSEDED, finished_at=now)
        )
    return {(row.episode_id, row.receiver) for row in (*gone, *dead)}


def _end(ends_at: float | None, by: str, note: str, now: float) -> dict[str, Any]:
    return {
        "status": Status.RESOLVED,
        "ends_at": ends_at,
        "ended_at": now,
        "ended_by": by,
        "note": note,
        "changed_at": now,
        "escalate_at": None,
    }


def end_values(by: str, note: str, now: float) -> dict[str, Any]:
    """Of an episode that no Alertmanager ended."""
    return _end(None, by, note, now)


def telling(episode_id: int, receiver: str, role: str, **more: Any) -> dict[str, Any]:
    """A row that says that a receiver is told of an episode; `more` as its columns, but `fallback` as names."""
    row = {"fallback_at": None, "repeat_at": None, "repeat_every": None, **more}
    return {
        **row,
        "episode_id": episode_id,
        "receiver": receiver,
        "role": role,
        "fallback": json.dumps(list(more.get("fallback", ()))),
    }


def about_row(row: Row[Any]) -> About:
    """An episode's row, as the outbox needs it."""
    return About(row.id, row.key, row.group_id, Severity(row.severity))


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
