"""A message made of rows of the outbox: of one alert, of a group as it is now, or of a storm."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from alerter.model import Action, Mark, Severity, Status, Told
from alerter.outbox.rows import ACCEPTED, COLLAPSED, SUPERSEDED
from alerter.receivers.base import Memory, Message, Storm
from alerter.store import episodes as rows
from alerter.store.schema import (
    episodes,
    in_state,
    is_firing,
    is_pending,
    memories,
    never_went_out,
    outbox,
    tellings,
)

NAMED = 40  # alerts of a storm that a message may name
_WORTH = 1000  # alerts of a group that are looked at


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


def single(connection: Connection, row: Row[Any]) -> Claim:
    """Of one alert."""
    telling = _telling(connection, row)
    if telling is not None and telling.storm and row.action != Action.TRIGGER:
        return _after_storm(connection, row, telling.storm)
    if telling is not None and telling.told_at is None and row.action != Action.TRIGGER and _is_lost(connection, row):
        return _settled(_claim(connection, row, Action(row.action), (), row.subject, (row.episode_id,)), SUPERSEDED)
    told = _told(connection, [row.episode_id])
    return _claim(connection, row, Action(row.action), told, _opened_as(row, telling) or row.subject, (row.episode_id,))


def _telling(connection: Connection, row: Row[Any]) -> Any:
    """How the receiver was told of the row's alert; None if it was not to be."""
    query = sa.select(tellings.c.storm, tellings.c.told_at)
    where = (tellings.c.episode_id == row.episode_id, tellings.c.receiver == row.receiver)
    return connection.execute(query.where(*where)).first()


def _opened_as(row: Row[Any], telling: Any) -> str | None:
    """What the alert's end will close; None if it was not told yet. What is told again opens nothing else beside it."""
    if telling is None or telling.told_at is None or row.grouped:
        return None
    return str(telling.storm or row.subject)


def _is_lost(connection: Connection, row: Row[Any]) -> bool:
    """Whether nobody was told that it began, and nobody will be: a dead letter."""
    query = sa.select(never_went_out).where(
        outbox.c.episode_id == row.episode_id, outbox.c.receiver == row.receiver, outbox.c.action == Action.TRIGGER
    )
    triggers = connection.execute(query).scalars().all()
    return bool(triggers) and all(triggers)


def grouped(connection: Connection, row: Row[Any]) -> Claim:
    """All alerts of the group that this receiver was told of, since it last was all over, as they are now."""
    news = tuple(json.loads(row.news))
    query = (
        sa.select(
            *(episodes.c.id, episodes.c.status, episodes.c.severity, episodes.c.ended_at),
            *(tellings.c.storm, tellings.c.told_at),
        )
        .join(tellings, sa.and_(tellings.c.episode_id == episodes.c.id, tellings.c.receiver == row.receiver))
        .where(episodes.c.group_id == row.subject)
        .where(sa.or_(episodes.c.status == Status.FIRING, episodes.c.id >= min(news)))
        .order_by(episodes.c.id.desc())
        .limit(_WORTH)
    )
    members = connection.execute(query).all()
    firing = [each for each in members if each.status == Status.FIRING]
    memory = _memory(connection, row.receiver, row.subject)
    fresh = set(news)
    storms = {each.storm for each in members if each.id in fresh and each.storm}
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
    began = any(each.told_at is not None for each in members if each.id in fresh)
    if not firing and not memory and not began and not row.maybe and not critical:
        return _settled(claimed, SUPERSEDED)  # nobody was told that it began
    late = [_heard_of_its_end(each) for each in members if each.id in fresh]
    if not firing and not memory and row.action == Action.RESOLVE and late and all(late):
        return _settled(claimed, SUPERSEDED)  # it was told so late that its end came with it
    return claimed


def _heard_of_its_end(member: Any) -> bool:
    """Whether the receiver first heard of an alert when it had ended."""
    return member.told_at is not None and member.ended_at is not None and member.told_at >= member.ended_at


def storm(connection: Connection, name: str, members: Sequence[Row[Any]]) -> Claim:
    """All alerts of a storm; `members` are its rows."""
    ids = tuple(episode for row in members for episode in json.loads(row.news))
    told, whole = _storm_of(connection, ids)
    subject = _opened_as(members[0], _telling(connection, members[0])) or name
    claimed = _claim(connection, members[0], Action.TRIGGER, told, subject, ids, whole)
    return replace(claimed, ids=tuple(row.id for row in members), storm=name)


def _after_storm(connection: Connection, row: Row[Any], name: str) -> Claim:
    """The end of what was told in a storm is told once, when all of it has ended; the others' ends need no word."""
    told_in_it = (tellings.c.receiver == row.receiver, tellings.c.storm == name)
    of_episode = tellings.c.episode_id == episodes.c.id
    still = connection.execute(
        sa.select(episodes.c.id).join(tellings, of_episode).where(*told_in_it, is_firing).limit(1)
    ).first()
    ids, news = _beside(connection, row, name)
    if still is not None:
        return replace(_settled(_claim(connection, row, Action.RESOLVE, (), name, news), COLLAPSED), ids=ids)
    members = connection.execute(sa.select(tellings.c.episode_id).where(*told_in_it)).scalars().all()
    told, whole = _storm_of(connection, members)
    return replace(_claim(connection, row, Action.RESOLVE, told, name, news, whole), ids=ids)


def _beside(connection: Connection, row: Row[Any], name: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Rows that wait to tell how alerts of the same storm go on, `row` the first, and the episodes they are about."""
    before = outbox.alias("before")
    # What is told again before it ends still needs its own end.
    behind = sa.exists().where(
        before.c.receiver == outbox.c.receiver,
        before.c.subject == outbox.c.subject,
        in_state(before, "pending"),
        before.c.action == Action.TRIGGER,
        before.c.id < outbox.c.id,
    )
    found = connection.execute(
        sa.select(outbox.c.id, outbox.c.subject, outbox.c.news)
        .join(
            tellings,
            sa.and_(tellings.c.episode_id == outbox.c.episode_id, tellings.c.receiver == outbox.c.receiver),
        )
        .where(tellings.c.storm == name, outbox.c.receiver == row.receiver, is_pending)
        .where(outbox.c.action != Action.TRIGGER, outbox.c.lease_until.is_(None), outbox.c.id != row.id)
        .where(~behind)
    ).all()
    remembered = _remembered(connection, row.receiver, {each.subject for each in found}) if row.grouped else set()
    free = [each for each in found if each.subject not in remembered]
    news = [*json.loads(row.news), *(about for each in free for about in json.loads(each.news))]
    return (row.id, *(each.id for each in free)), tuple(dict.fromkeys(news))


def _remembered(connection: Connection, receiver: str, subjects: Collection[str]) -> set[str]:
    """Groups that have a message of their own."""
    found: set[str] = set()
    for some in rows.chunks(list(subjects)):
        query = sa.select(memories.c.subject).where(memories.c.receiver == receiver, memories.c.subject.in_(some))
        found |= set(connection.execute(query).scalars())
    return found


def _storm_of(connection: Connection, ids: Sequence[int]) -> tuple[tuple[Told, ...], Storm]:
    services: Counter[str] = Counter()
    severities: Counter[Severity] = Counter()
    firing = 0
    ranked: list[tuple[int, int]] = []
    for some in rows.chunks(list(ids)):
        query = sa.select(episodes.c.id, episodes.c.service, episodes.c.severity, episodes.c.status)
        for number, service, severity, status in connection.execute(query.where(episodes.c.id.in_(some))):
            services[service] += 1
            severities[Severity(severity)] += 1
            firing += status == Status.FIRING
            ranked.append((Severity(severity).rank, number))
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
    fresh = set(about) if row.grouped and storm is None else set()
    message = Message(
        action=action,
        alerts=told,
        delivery_id=row.delivery_id,
        dedup_key=subject,
        created_at=row.created_at,
        news=frozenset(each.alert.fingerprint for each in told if each.id in fresh),
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
    return replace(claimed, message=None, settled=state)


def _memory(connection: Connection, receiver: str, subject: str) -> Memory:
    query = sa.select(memories.c.memory).where(memories.c.receiver == receiver, memories.c.subject == subject)
    text = connection.execute(query).scalar()
    found: Memory = json.loads(text) if text else {}
    return found
