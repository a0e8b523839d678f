"""Who sends which delivery now: leases, order and storms; and what became of it.

Of the deliveries of one receiver about one subject only the oldest unfinished one may be sent. A lease keeps it from
other threads and replicas; it ends by itself, if its holder does.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from alerter.model import Action, Mark, Reason, Severity, Status, Told, digest
from alerter.outbox.rows import ACCEPTED, COLLAPSED, DEAD, PENDING, SUPERSEDED
from alerter.receivers.base import Accepted, DeliveryFailed, Memory, Message, Storm
from alerter.store import episodes as rows
from alerter.store.schema import episodes, memories, outbox, tellings

LEASE = 30.0  # seconds; a receiver's time limits are shorter
NAMED = 40  # alerts of a storm that a message may name
_WORTH = 1000  # heads looked at once
SURELY_NOT = frozenset({Reason.REJECTED, Reason.RATE_LIMITED, Reason.AUTH, Reason.TOO_LARGE, Reason.TEMPLATE})
"""Reasons that say that nothing arrived."""


@dataclass(frozen=True)
class Claim:
    """One message to send now, and the rows that it settles."""

    ids: tuple[int, ...]
    receiver: str
    subject: str  # that its memory is kept under
    action: Action
    message: Message | None  # None: there is nothing to say any more; `settled` says what it ends as
    urgent: bool
    severity: Severity
    received_at: float  # the oldest of its rows
    created_at: float
    attempts: int  # this one included
    ambiguities: int
    episodes: tuple[int, ...]
    storm: str | None = None
    settled: str = ACCEPTED


def heads(receiver: str, moment: float, *, urgent: bool | None = None) -> sa.Select[Any]:
    """Rows that may be sent now, those that overtake first."""
    before = outbox.alias("before")
    query = (
        sa.select(outbox)
        .where(outbox.c.receiver == receiver, outbox.c.state == PENDING, outbox.c.next_at <= moment)
        .where(sa.or_(outbox.c.lease_until.is_(None), outbox.c.lease_until < moment))
        .where(
            ~sa.exists().where(
                before.c.receiver == outbox.c.receiver,
                before.c.subject == outbox.c.subject,
                before.c.state == PENDING,
                before.c.id < outbox.c.id,
            )
        )
        .order_by(outbox.c.urgent.desc(), outbox.c.id)
    )
    return query if urgent is None else query.where(outbox.c.urgent.is_(urgent))


def waiting(connection: Connection, receiver: str, moment: float, limit: int, *, urgent: bool) -> int:
    """How many triggers may be sent now, counted up to `limit`."""
    query = heads(receiver, moment, urgent=urgent).where(outbox.c.action == Action.TRIGGER, outbox.c.storm.is_(None))
    return connection.execute(sa.select(sa.func.count()).select_from(query.limit(limit).subquery())).scalar_one()


def claim(
    connection: Connection, receiver: str, holder: str, moment: float, count: int, *, urgent: bool | None
) -> list[Claim]:
    """Up to `count` messages that are `holder`'s to send from `moment` on."""
    found = connection.execute(
        heads(receiver, moment, urgent=urgent).limit(count).with_for_update(skip_locked=True)
    ).all()
    claims: list[Claim] = []
    storms: set[str] = set()
    for row in found:
        if row.storm and row.action == Action.TRIGGER:
            if row.storm not in storms:
                storms.add(row.storm)
                claims.append(_storm(connection, row.storm, receiver, holder, moment))
            continue
        _lease(connection, [row.id], holder, moment)
        claims.append(_grouped(connection, row) if row.grouped else _single(connection, row))
    return claims


def collapse(connection: Connection, receiver: str, moment: float, *, urgent: bool) -> int:
    """Makes one message of all triggers that may be sent now; answers of how many."""
    ids = connection.execute(
        heads(receiver, moment, urgent=urgent)
        .where(outbox.c.action == Action.TRIGGER, outbox.c.storm.is_(None), outbox.c.attempts == 0)
        .with_only_columns(outbox.c.id)
        .with_for_update(skip_locked=True)
    ).scalars().all()  # fmt: skip
    if len(ids) < 2:
        return 0
    storm = digest("storm", receiver, str(min(ids)), str(moment))
    for some in rows.chunks(list(ids)):
        connection.execute(sa.update(outbox).where(outbox.c.id.in_(some)).values(storm=storm))
    return len(ids)


def _lease(connection: Connection, ids: Sequence[int], holder: str, moment: float) -> None:
    for some in rows.chunks(list(ids)):
        connection.execute(
            sa.update(outbox)
            .where(outbox.c.id.in_(some))
            .values(lease_until=moment + LEASE, lease_by=holder, attempts=outbox.c.attempts + 1, maybe=True)
        )


def _single(connection: Connection, row: Row[Any]) -> Claim:
    telling = connection.execute(
        sa.select(tellings).where(tellings.c.episode_id == row.episode_id, tellings.c.receiver == row.receiver)
    ).first()
    if telling is not None and telling.storm and row.action != Action.TRIGGER:
        return _after_storm(connection, row, telling.storm)
    told = _told(connection, [row.episode_id])
    return _claim(connection, row, Action(row.action), told, row.subject, (row.episode_id,))


def _grouped(connection: Connection, row: Row[Any]) -> Claim:
    """All alerts of the group that this receiver was told of, since it last was all over, as they are now."""
    news = tuple(json.loads(row.news))
    query = (
        sa.select(episodes.c.id, episodes.c.status, episodes.c.severity, tellings.c.storm)
        .join(tellings, sa.and_(tellings.c.episode_id == episodes.c.id, tellings.c.receiver == row.receiver))
        .where(episodes.c.group_id == row.subject)
        .where(sa.or_(episodes.c.status == Status.FIRING, episodes.c.id.in_(news), episodes.c.id >= min(news)))
        .order_by(episodes.c.id.desc())
        .limit(_WORTH)
    )
    members = connection.execute(query).all()
    firing = [each for each in members if each.status == Status.FIRING]
    memory = _memory(connection, row.receiver, row.subject)
    storms = {each.storm for each in members if each.id in news and each.storm}
    if not memory and storms and row.action != Action.TRIGGER:
        return _after_storm(connection, row, min(storms))
    action = Action.RESOLVE if not firing else Action(row.action)
    if action is Action.RESOLVE and firing:
        action = Action.UPDATE
    if action is Action.UPDATE and not memory:
        action = Action.TRIGGER if firing else Action.RESOLVE
    told = _told(connection, [each.id for each in members] or list(news))
    claimed = _claim(connection, row, action, told, row.subject, news)
    critical = any(each.severity == Severity.CRITICAL for each in members)
    if not firing and not memory and not row.maybe and not critical:
        return _settled(claimed, SUPERSEDED)  # nobody was told that it began
    return claimed


def _after_storm(connection: Connection, row: Row[Any], storm: str) -> Claim:
    """The end of what was told in a storm is told when all of it has ended."""
    members = (
        sa.select(episodes.c.id, episodes.c.status)
        .join(tellings, sa.and_(tellings.c.episode_id == episodes.c.id, tellings.c.receiver == row.receiver))
        .where(tellings.c.storm == storm)
    )
    found = connection.execute(members.order_by(episodes.c.id)).all()
    news = tuple(json.loads(row.news))
    ended = all(each.status == Status.RESOLVED for each in found)
    told, whole = _storm_of(connection, [each.id for each in found])
    claimed = _claim(connection, row, Action.RESOLVE, told, storm, news, whole)
    return claimed if ended and found else _settled(claimed, COLLAPSED)


def _storm(connection: Connection, storm: str, receiver: str, holder: str, moment: float) -> Claim:
    members = connection.execute(
        sa.select(outbox)
        .where(outbox.c.storm == storm, outbox.c.receiver == receiver, outbox.c.state == PENDING)
        .order_by(outbox.c.id)
    ).all()
    _lease(connection, [row.id for row in members], holder, moment)
    ids = tuple(episode for row in members for episode in json.loads(row.news))
    told, whole = _storm_of(connection, ids)
    first = members[0]
    claimed = _claim(connection, first, Action.TRIGGER, told, storm, ids, whole)
    return Claim(**{**vars(claimed), "ids": tuple(row.id for row in members), "storm": storm})


def _storm_of(connection: Connection, ids: Sequence[int]) -> tuple[tuple[Told, ...], Storm]:
    services: Counter[str] = Counter()
    severities: Counter[Severity] = Counter()
    firing = 0
    ranked: list[tuple[int, int]] = []
    for some in rows.chunks(list(ids)):
        query = sa.select(episodes.c.id, episodes.c.service, episodes.c.severity, episodes.c.status)
        for row in connection.execute(query.where(episodes.c.id.in_(some))):
            services[row.service] += 1
            severities[Severity(row.severity)] += 1
            firing += row.status == Status.FIRING
            ranked.append((Severity(row.severity).rank, row.id))
    worst = min(severities, key=lambda each: each.rank, default=Severity.OTHER)
    named = _told(connection, [each for _, each in sorted(ranked)[:NAMED]])
    return named, Storm(len(ranked), worst, firing, dict(services.most_common(10)))


def _told(connection: Connection, ids: Sequence[int]) -> tuple[Told, ...]:
    """The worst first, then the latest."""
    found = [rows.told(row) for row in rows.by_id(connection, ids).values()]
    return tuple(sorted(found, key=lambda each: (each.alert.severity.rank, -each.id)))


def _claim(
    connection: Connection,
    row: Row[Any],
    action: Action,
    told: tuple[Told, ...],
    subject: str,
    about: tuple[int, ...],
    storm: Storm | None = None,
) -> Claim:
    news = frozenset(each.alert.fingerprint for each in told if each.id in set(about)) if row.grouped else frozenset()
    message = Message(
        action=action,
        alerts=told,
        delivery_id=row.delivery_id,
        dedup_key=subject,
        created_at=row.created_at,
        news=news if storm is None else frozenset(),
        storm=storm,
        marks=frozenset(Mark(mark) for mark in row.marks.split(",") if mark),
        note=row.note,
        memory=_memory(connection, row.receiver, subject),
        progress=json.loads(row.progress),
    )
    return Claim(
        ids=(row.id,),
        receiver=row.receiver,
        subject=subject,
        action=action,
        message=message,
        urgent=row.urgent,
        severity=Severity(row.severity),
        received_at=row.received_at,
        created_at=row.created_at,
        attempts=row.attempts + 1,
        ambiguities=row.ambiguities,
        episodes=about,
    )


def _settled(claimed: Claim, state: str) -> Claim:
    return Claim(**{**vars(claimed), "message": None, "settled": state})


def _memory(connection: Connection, receiver: str, subject: str) -> Memory:
    query = sa.select(memories.c.memory).where(memories.c.receiver == receiver, memories.c.subject == subject)
    text = connection.execute(query).scalar()
    found: Memory = json.loads(text) if text else {}
    return found


def accept(connection: Connection, claimed: Claim, holder: str, accepted: Accepted, now: float) -> bool:
    """The provider has it; answers whether the lease was still ours, since else another tells of it."""
    ours = _finish(connection, claimed, holder, now, state=ACCEPTED, reason="", error=accepted.note)
    told: dict[str, Any] = {"told_at": now, "fallback_at": None}
    if claimed.storm:
        told["storm"] = claimed.storm
    for some in rows.chunks(list(claimed.episodes)):
        connection.execute(
            sa.update(tellings)
            .where(tellings.c.receiver == claimed.receiver, tellings.c.episode_id.in_(some))
            .where(tellings.c.told_at.is_(None))
            .values(told)
        )
    _keep(connection, claimed, accepted, now)
    _touch(connection, claimed.episodes, now)
    return ours


def settle(connection: Connection, claimed: Claim, holder: str, now: float) -> None:
    """It needs no word any more."""
    _finish(connection, claimed, holder, now, state=claimed.settled, reason="", error="")
    _touch(connection, claimed.episodes, now)


def postpone(
    connection: Connection, claimed: Claim, holder: str, failed: DeliveryFailed, until: float, *, counts: bool
) -> None:
    """It is tried again `until`; unless it `counts`, as if it had not been tried."""
    changes: dict[str, Any] = {
        "lease_until": None,
        "lease_by": None,
        "next_at": until,
        "reason": failed.reason,
        "error": failed.text,
        "ambiguities": claimed.ambiguities + failed.ambiguous,
    }
    if failed.progress:
        changes["progress"] = json.dumps(dict(failed.progress))
    if not counts:
        changes["attempts"] = outbox.c.attempts - 1
    _change(connection, claimed, holder, changes)
    if failed.reason in SURELY_NOT and claimed.attempts == 1:
        _change(connection, claimed, None, {"maybe": False})


def bury(connection: Connection, claimed: Claim, holder: str, failed: DeliveryFailed, now: float) -> None:
    """It is not tried any more: a dead letter, until somebody plays it again."""
    _finish(connection, claimed, holder, now, state=DEAD, reason=failed.reason, error=failed.text)
    if failed.reason in SURELY_NOT and claimed.attempts == 1:
        _change(connection, claimed, None, {"maybe": False})
    _touch(connection, claimed.episodes, now)


def _finish(connection: Connection, claimed: Claim, holder: str, now: float, **values: Any) -> bool:
    return _change(connection, claimed, holder, {"finished_at": now, "lease_until": None, "lease_by": None, **values})


def _change(connection: Connection, claimed: Claim, holder: str | None, values: Mapping[str, Any]) -> bool:
    changed = 0
    for some in rows.chunks(list(claimed.ids)):
        statement = sa.update(outbox).where(outbox.c.id.in_(some))
        if holder is not None:
            statement = statement.where(outbox.c.lease_by == holder)
        changed += connection.execute(statement.values(dict(values))).rowcount
    return changed == len(claimed.ids)


def _keep(connection: Connection, claimed: Claim, accepted: Accepted, now: float) -> None:
    where = (memories.c.receiver == claimed.receiver, memories.c.subject == claimed.subject)
    if claimed.action is Action.RESOLVE or accepted.memory == {}:
        connection.execute(sa.delete(memories).where(*where))
    elif accepted.memory is not None:
        values = {"memory": json.dumps(dict(accepted.memory)), "updated_at": now}
        if not connection.execute(sa.update(memories).where(*where).values(values)).rowcount:
            connection.execute(sa.insert(memories).values(receiver=claimed.receiver, subject=claimed.subject, **values))


def _touch(connection: Connection, ids: Sequence[int], now: float) -> None:
    """The feed shows how each delivery went."""
    for some in rows.chunks(list(ids)):
        connection.execute(sa.update(episodes).where(episodes.c.id.in_(some)).values(changed_at=now))
