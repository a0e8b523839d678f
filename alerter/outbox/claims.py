"""Who sends which delivery now: leases, order and storms.

Of the deliveries of one receiver about one subject only the oldest unfinished one may be sent. A lease keeps it from
other threads and replicas; it ends by itself, if its holder does. Whoever claims or collapses has the receiver's turn
(`Store.touch`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from alerter.model import Action, digest
from alerter.outbox.claim import Claim, grouped, single, storm
from alerter.store import episodes as rows
from alerter.store.schema import in_state, is_pending, outbox

LEASE = 30.0  # seconds; a receiver's time limits are shorter


def heads(receiver: str, moment: float, *, urgent: bool | None = None) -> sa.Select[Any]:
    """Rows that may be sent now, those that overtake first."""
    before = outbox.alias("before")
    query = (
        sa.select(outbox)
        .where(outbox.c.receiver == receiver, is_pending, outbox.c.next_at <= moment, _free(moment))
        .where(
            ~sa.exists().where(
                before.c.receiver == outbox.c.receiver,
                before.c.subject == outbox.c.subject,
                in_state(before, "pending"),
                before.c.id < outbox.c.id,
            )
        )
        .order_by(outbox.c.urgent.desc(), outbox.c.id)
    )
    return query if urgent is None else query.where(outbox.c.urgent.is_(urgent))


def _free(moment: float) -> sa.ColumnElement[bool]:
    return sa.or_(outbox.c.lease_until.is_(None), outbox.c.lease_until < moment)


def waiting(connection: Connection, receiver: str, moment: float, limit: int, *, urgent: bool) -> int:
    """How many triggers may be sent now, counted up to `limit`."""
    query = heads(receiver, moment, urgent=urgent).where(outbox.c.action == Action.TRIGGER, outbox.c.storm.is_(None))
    some = query.with_only_columns(outbox.c.id).order_by(None).limit(limit).subquery()
    return connection.execute(sa.select(sa.func.count()).select_from(some)).scalar_one()


def claim(
    connection: Connection, receiver: str, holder: str, moment: float, count: int, *, urgent: bool | None
) -> list[Claim]:
    """Up to `count` messages that are `holder`'s to send from `moment` on."""
    found = connection.execute(
        heads(receiver, moment, urgent=urgent).limit(count).with_for_update(skip_locked=True)
    ).all()
    claims: list[Claim] = []
    taken: set[int] = set()
    for row in found:
        if row.id not in taken:  # else it goes with an earlier one
            claims.append(_made(connection, row, moment))
            taken.update(claims[-1].ids)
    _lease(connection, taken, holder, moment)
    return claims


def _made(connection: Connection, row: Row[Any], moment: float) -> Claim:
    if row.storm and row.action == Action.TRIGGER:
        members = sa.select(outbox).where(outbox.c.receiver == row.receiver, is_pending, outbox.c.storm == row.storm)
        return storm(
            connection, row.storm, connection.execute(members.where(_free(moment)).order_by(outbox.c.id)).all()
        )
    return grouped(connection, row) if row.grouped else single(connection, row)


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
    name = digest("storm", receiver, str(min(ids)), str(moment))
    for some in rows.chunks(list(ids)):
        connection.execute(sa.update(outbox).where(outbox.c.id.in_(some)).values(storm=name))
    return len(ids)


def _lease(connection: Connection, ids: Iterable[int], holder: str, moment: float) -> None:
    for some in rows.chunks(list(ids)):
        connection.execute(
            sa.update(outbox)
            .where(outbox.c.id.in_(some))
            .values(lease_until=moment + LEASE, lease_by=holder, attempts=outbox.c.attempts + 1, maybe=True)
        )
