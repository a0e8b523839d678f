"""Who sends which delivery now: leases, order and storms.

Of the deliveries of one receiver about one subject only the oldest unfinished one may be sent. A lease keeps it from
other threads and replicas; it ends by itself, if its holder does. Whoever claims or collapses has the receiver's turn
(`Store.touch`).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from alerter.model import Action, digest
from alerter.outbox.claim import Claim, grouped, single, storm
from alerter.store import episodes as rows
from alerter.store.schema import in_state, is_pending, outbox, tellings

LEASE = 30.0  # seconds; whoever needs longer renews it


@cache  # making a statement takes as long as asking it
def heads(urgent: bool | None = None) -> sa.Select[Any]:
    """Rows of `:receiver` that may be sent at `:moment`, those that overtake first."""
    before = outbox.alias("before")
    query = (
        sa.select(outbox)
        .where(outbox.c.receiver == sa.bindparam("receiver"), is_pending, outbox.c.next_at <= sa.bindparam("moment"))
        .where(_is_free)
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


_is_free = sa.or_(outbox.c.lease_until.is_(None), outbox.c.lease_until < sa.bindparam("moment"))
_a_trigger = sa.and_(outbox.c.action == Action.TRIGGER, outbox.c.storm.is_(None))
_told_before = sa.exists().where(
    tellings.c.episode_id == outbox.c.episode_id,
    tellings.c.receiver == outbox.c.receiver,
    tellings.c.told_at.is_not(None),
)


@cache
def _first() -> sa.Select[Any]:
    return heads().with_only_columns(outbox.c.urgent).limit(1)


@cache
def _count(urgent: bool) -> sa.Select[Any]:
    query = heads(urgent).where(_a_trigger).with_only_columns(outbox.c.id).order_by(None)
    return sa.select(sa.func.count()).select_from(query.limit(sa.bindparam("most")).subquery())


@cache
def _some(urgent: bool | None) -> sa.Select[Any]:
    return heads(urgent).limit(sa.bindparam("most")).with_for_update(skip_locked=True)


def look(connection: Connection, receiver: str, moment: float) -> bool | None:
    """Whether something urgent may be sent now; None: nothing may."""
    found: bool | None = connection.execute(_first(), {"receiver": receiver, "moment": moment}).scalar()
    return found


def waiting(connection: Connection, receiver: str, moment: float, limit: int, *, urgent: bool) -> int:
    """How many triggers may be sent now, counted up to `limit`."""
    given = {"receiver": receiver, "moment": moment, "most": limit}
    return int(connection.execute(_count(urgent), given).scalar_one())


def claim(
    connection: Connection, receiver: str, holder: str, moment: float, count: int, *, urgent: bool | None
) -> list[Claim]:
    """Up to `count` messages that are `holder`'s to send from `moment` on."""
    given = {"receiver": receiver, "moment": moment, "most": count}
    found = connection.execute(_some(urgent), given).all()
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
        members = (
            sa.select(outbox)
            .where(outbox.c.receiver == row.receiver, is_pending, outbox.c.storm == row.storm, _is_free)
            .order_by(outbox.c.id)
        )
        return storm(connection, row.storm, connection.execute(members, {"moment": moment}).all())
    return grouped(connection, row) if row.grouped else single(connection, row)


def collapse(connection: Connection, receiver: str, moment: float, *, urgent: bool) -> int:
    """Makes one message of all triggers that may be sent now; answers of how many.

    What is told again is told apart: it has been opened under other names, which its end closes.
    """
    found = connection.execute(
        heads(urgent)
        .where(_a_trigger, outbox.c.attempts == 0)
        .with_only_columns(outbox.c.id, _told_before.label("again"))
        .with_for_update(skip_locked=True),
        {"receiver": receiver, "moment": moment},
    ).all()  # fmt: skip
    collapsed = 0
    for again in (False, True):
        ids = [row.id for row in found if bool(row.again) is again]
        if len(ids) > 1:
            name = digest("storm", receiver, str(min(ids)), str(moment))
            for some in rows.chunks(ids):
                connection.execute(sa.update(outbox).where(outbox.c.id.in_(some)).values(storm=name))
            collapsed += len(ids)
    return collapsed


def renew(connection: Connection, ids: Iterable[int], holder: str, moment: float) -> None:
    """What `holder` is still at stays its own for another lease."""
    for some in rows.chunks(list(ids)):
        where = (outbox.c.id.in_(some), is_pending, outbox.c.lease_by == holder)
        connection.execute(sa.update(outbox).where(*where).values(lease_until=moment + LEASE))


def _lease(connection: Connection, ids: Iterable[int], holder: str, moment: float) -> None:
    for some in rows.chunks(list(ids)):
        connection.execute(
            sa.update(outbox)
            .where(outbox.c.id.in_(some))
            .values(lease_until=moment + LEASE, lease_by=holder, attempts=outbox.c.attempts + 1, maybe=True)
        )
