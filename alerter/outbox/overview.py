"""What people and metrics are shown of the outbox."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from alerter.model import Status
from alerter.outbox.rows import DEAD, PENDING
from alerter.store.engine import Store
from alerter.store.schema import episodes, is_pending, outbox

_LONGEST = 3600.0  # seconds that a provider may ask us to wait


@dataclass(frozen=True)
class Backlog:
    """Of one receiver. `oldest` in seconds since the epoch."""

    pending: int
    oldest: float | None
    dead: int


def backlog(connection: Connection) -> dict[str, Backlog]:
    """By receiver, of those that have something."""
    pending = outbox.c.state == PENDING
    query = (
        sa.select(
            outbox.c.receiver,
            sa.func.count().filter(pending).label("pending"),
            sa.func.min(outbox.c.created_at).filter(pending).label("oldest"),
            sa.func.count().filter(outbox.c.state == DEAD).label("dead"),
        )
        .where(outbox.c.state.in_((PENDING, DEAD)))
        .group_by(outbox.c.receiver)
    )
    return {row.receiver: Backlog(row.pending, row.oldest, row.dead) for row in connection.execute(query)}


def last(
    connection: Connection, limit: int, *, state: str | None = None, receiver: str | None = None
) -> Sequence[Row[Any]]:
    """Deliveries with the alert that they tell, the latest first."""
    query = sa.select(outbox, episodes.c.message, episodes.c.status.label("alert_status")).join(
        episodes, episodes.c.id == outbox.c.episode_id
    )
    if state:
        query = query.where(outbox.c.state == state)
    if receiver:
        query = query.where(outbox.c.receiver == receiver)
    return connection.execute(query.order_by(outbox.c.id.desc()).limit(limit)).all()


def firing(connection: Connection, limit: int) -> Sequence[Row[Any]]:
    """What fires, the latest first."""
    query = sa.select(episodes).where(episodes.c.status == Status.FIRING)
    return connection.execute(query.order_by(episodes.c.id.desc()).limit(limit)).all()


def free_leases(connection: Connection, store: Store, now: float) -> None:
    """On SQLite there is one alerter: at its start nobody else holds a lease, and no wait is longer than the longest.

    The clock may have been set back meanwhile.
    """
    if store.is_sqlite:
        held = (is_pending, outbox.c.lease_until.is_not(None))
        connection.execute(sa.update(outbox).where(*held).values(lease_until=None, lease_by=None))
        connection.execute(sa.update(outbox).where(is_pending, outbox.c.next_at > now + _LONGEST).values(next_at=now))
