"""What people and metrics are shown of the outbox."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from alerter.outbox.rows import DEAD, PENDING
from alerter.store import episodes as rows
from alerter.store.engine import Store
from alerter.store.schema import episodes, in_state, is_dead, is_firing, is_pending, outbox

_LONGEST = 3600.0  # seconds that a provider may ask us to wait


@dataclass(frozen=True)
class Backlog:
    """Of one receiver. `oldest` in seconds since the epoch."""

    pending: int
    oldest: float | None
    dead: int


def backlog(connection: Connection) -> dict[str, Backlog]:
    """By receiver, of those that have something."""
    receiver = outbox.c.receiver
    counted = sa.select(receiver, sa.func.count(), sa.func.min(outbox.c.created_at)).group_by(receiver)
    # One after the other: each finds its rows by an index, however many deliveries there were.
    pending = {name: (count, oldest) for name, count, oldest in connection.execute(counted.where(is_pending))}
    dead = {name: count for name, count, _ in connection.execute(counted.where(is_dead))}
    names = dict.fromkeys((*pending, *dead))
    return {name: Backlog(*pending.get(name, (0, None)), dead.get(name, 0)) for name in names}


def last(
    connection: Connection, limit: int, *, state: str | None = None, receiver: str | None = None
) -> Sequence[Row[Any]]:
    """Deliveries with the alert that they tell, the latest first. `state` is a word of ours."""
    query = sa.select(outbox, episodes.c.message, episodes.c.status.label("alert_status")).join(
        episodes, episodes.c.id == outbox.c.episode_id
    )
    if state:
        query = query.where(in_state(outbox, state))
    if receiver:
        query = query.where(outbox.c.receiver == receiver)
    # Few are in these states, and an index has them; by the bare id SQLite would read all that there ever were.
    few = state in (PENDING, DEAD)
    return connection.execute(query.order_by((outbox.c.id + 0 if few else outbox.c.id).desc()).limit(limit)).all()


def firing(connection: Connection, limit: int) -> Sequence[Row[Any]]:
    """What fires, the latest first."""
    # Ordered by the bare id SQLite would read all of history from its end, until it finds enough that fires.
    query = sa.select(episodes.c.id).where(is_firing).order_by((episodes.c.id + 0).desc()).limit(limit)
    found = rows.by_id(connection, connection.execute(query).scalars())
    return sorted(found.values(), key=lambda row: -row.id)


def dead(connection: Connection, receiver: str | None) -> list[int]:
    """Ids of all dead letters, or those of one receiver."""
    query = sa.select(outbox.c.id).where(is_dead)
    if receiver:
        query = query.where(outbox.c.receiver == receiver)
    return sorted(connection.execute(query).scalars())


def free_leases(connection: Connection, store: Store, now: float) -> None:
    """On SQLite there is one alerter: at its start nobody else holds a lease, and no wait is longer than the longest.

    The clock may have been set back meanwhile.
    """
    if store.is_sqlite:
        held = (is_pending, outbox.c.lease_until.is_not(None))
        connection.execute(sa.update(outbox).where(*held).values(lease_until=None, lease_by=None))
        connection.execute(sa.update(outbox).where(is_pending, outbox.c.next_at > now + _LONGEST).values(next_at=now))
