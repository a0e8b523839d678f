"""Looks each second at what has become due. Each look is one transaction, so that replicas do nothing twice."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from alerter.intake import booking
from alerter.model import Action, Mark, Reason, Status
from alerter.outbox.rows import DEAD, LIFE, PENDING, SUPERSEDED, About, Tray
from alerter.routing.policy import Policy
from alerter.store.schema import episodes, is_dead, is_pending, outbox, tellings

_AT_ONCE = 500  # rows of each kind in one transaction


@dataclass
class Done:
    """What one look did."""

    fallbacks: int = 0
    escalations: int = 0
    repeats: int = 0
    expired: list[str] = field(default_factory=list)  # the receiver of each
    wake: set[str] = field(default_factory=set)

    @property
    def any(self) -> bool:
        """Whether it did something."""
        return bool(self.fallbacks or self.escalations or self.repeats or self.expired)


def look(connection: Connection, policy: Policy, unreachable: Iterable[str], now: float) -> Done:
    """Does what is due at `now`. Receivers that are `unreachable` until somebody acts are not waited for."""
    done = Done()
    tray = Tray(connection, policy.receivers, now)
    done.expired = _expire(connection, now)
    _fall_back(connection, tray, done, tuple(unreachable), now)
    _escalate(connection, tray, done, now)
    _repeat(connection, tray, done, now)
    done.wake = tray.write()
    return done


def due(now: float, unreachable: Iterable[str]) -> sa.Select[Any]:
    """Asks, without a lock, whether a look would find anything."""
    return sa.select(
        sa.or_(
            sa.exists().where(_late(now, tuple(unreachable))),
            sa.exists().where(episodes.c.escalate_at <= now),
            sa.exists().where(tellings.c.repeat_at <= now),
            sa.exists().where(is_pending, outbox.c.expires_at <= now),
        )
    )


def _late(now: float, unreachable: tuple[str, ...]) -> sa.ColumnElement[bool]:
    dead = sa.exists().where(
        outbox.c.episode_id == tellings.c.episode_id,
        outbox.c.receiver == tellings.c.receiver,
        outbox.c.action == Action.TRIGGER,
        is_dead,
    )
    lost = sa.or_(tellings.c.receiver.in_(unreachable), dead)
    return sa.and_(tellings.c.fallback_at.is_not(None), sa.or_(tellings.c.fallback_at <= now, lost))


def _expire(connection: Connection, now: float) -> list[str]:
    gone = (is_pending, outbox.c.expires_at <= now)
    free = sa.or_(outbox.c.lease_until.is_(None), outbox.c.lease_until < now)
    statement = sa.update(outbox).where(*gone, free).returning(outbox.c.receiver)
    text = sa.case(
        (outbox.c.error == "", "never tried: the receiver was busy, or is not configured"), else_=outbox.c.error
    )
    values = {"state": DEAD, "finished_at": now, "reason": Reason.EXPIRED, "error": text}
    return list(connection.execute(statement.values(values)).scalars())


def _fall_back(connection: Connection, tray: Tray, done: Done, unreachable: tuple[str, ...], now: float) -> None:
    late = connection.execute(sa.select(tellings).where(_late(now, unreachable)).limit(_AT_ONCE)).all()
    found = _episodes(connection, late)
    for telling in late:
        _note(connection, telling, fallback_at=None)
        row = found[telling.episode_id]
        others = json.loads(telling.fallback)
        note = f"{telling.receiver} could not be reached."
        done.fallbacks += _tell(connection, tray, row, others, "fallback", Mark.FALLBACK, note)


def _escalate(connection: Connection, tray: Tray, done: Done, now: float) -> None:
    rows = connection.execute(sa.select(episodes).where(episodes.c.escalate_at <= now).limit(_AT_ONCE)).all()
    for row in rows:
        steps = json.loads(row.escalations)
        later = [step for step in steps if step[0] > now]
        connection.execute(
            sa.update(episodes)
            .where(episodes.c.id == row.id)
            .values(escalate_at=later[0][0] if later else None, escalations=json.dumps(later))
        )
        if row.status == Status.FIRING and row.acknowledged_at is None:
            others = [receiver for step in steps if step[0] <= now for receiver in step[1]]
            done.escalations += _tell(connection, tray, row, others, "escalation", Mark.ESCALATION, "")


def _repeat(connection: Connection, tray: Tray, done: Done, now: float) -> None:
    late = connection.execute(sa.select(tellings).where(tellings.c.repeat_at <= now).limit(_AT_ONCE)).all()
    found = _episodes(connection, late)
    for telling in late:
        row = found[telling.episode_id]
        goes_on = row.status == Status.FIRING and row.acknowledged_at is None
        _note(connection, telling, repeat_at=now + telling.repeat_every if goes_on else None)
        if goes_on and telling.told_at is not None:
            tray.put(telling.receiver, About.of(row), Action.TRIGGER, marks=[Mark.REPEAT])
            done.repeats += 1


def _tell(
    connection: Connection, tray: Tray, row: Row[Any], receivers: Iterable[str], role: str, mark: Mark, note: str
) -> int:
    """Tells those who were not told yet; those who were, again, if it is an escalation. Answers how many."""
    query = sa.select(tellings.c.receiver).where(tellings.c.episode_id == row.id)
    known = set(connection.execute(query).scalars())
    count = 0
    for receiver in dict.fromkeys(receivers):
        if receiver in known and mark is Mark.FALLBACK:
            continue
        if receiver not in known:
            connection.execute(sa.insert(tellings).values(booking.telling(row.id, receiver, role)))
        tray.put(receiver, About.of(row), Action.TRIGGER, marks=[mark], note=note, received_at=row.received_at)
        count += 1
    return count


def _note(connection: Connection, telling: Row[Any], **values: Any) -> None:
    where = (tellings.c.episode_id == telling.episode_id, tellings.c.receiver == telling.receiver)
    connection.execute(sa.update(tellings).where(*where).values(values))


def _episodes(connection: Connection, late: Iterable[Row[Any]]) -> dict[int, Row[Any]]:
    ids = {telling.episode_id for telling in late}
    return {row.id: row for row in connection.execute(sa.select(episodes).where(episodes.c.id.in_(ids)))}


def retry(connection: Connection, ids: list[int], now: float) -> int:
    """Plays dead letters again; answers how many. Those whose alert ended only if it is the end that they tell."""
    rows = connection.execute(
        sa.select(
            outbox.c.id, outbox.c.episode_id, outbox.c.receiver, outbox.c.action, outbox.c.urgent, episodes.c.status
        )
        .join(episodes, episodes.c.id == outbox.c.episode_id)
        .where(outbox.c.id.in_(ids), is_dead)
    ).all()
    ended = [row for row in rows if row.status == Status.RESOLVED and row.action != Action.RESOLVE]
    over = {row.id for row in ended if not row.urgent}
    # What opens an incident now is followed by what closes it.
    closing = _ends(connection, {(row.episode_id, row.receiver) for row in ended if row.urgent})
    played = [row.id for row in rows if row.id not in over]
    again = {"state": PENDING, "next_at": now, "expires_at": now + LIFE, "finished_at": None, "ambiguities": 0}
    connection.execute(sa.update(outbox).where(outbox.c.id.in_(over)).values(state=SUPERSEDED))
    connection.execute(sa.update(outbox).where(outbox.c.id.in_([*played, *closing])).values(again))
    return len(played)


def _ends(connection: Connection, told: set[tuple[int, str]]) -> list[int]:
    """Rows that would have told the ends of these episodes to these receivers, who needed no word."""
    query = sa.select(outbox.c.id, outbox.c.episode_id, outbox.c.receiver).where(
        outbox.c.episode_id.in_({episode for episode, _ in told}),
        outbox.c.action == Action.RESOLVE,
        outbox.c.state == SUPERSEDED,
    )
    return [row.id for row in connection.execute(query) if (row.episode_id, row.receiver) in told] if told else []
