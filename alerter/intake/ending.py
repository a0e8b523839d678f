"""Ends episodes, and tells those who were told of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from alerter.model import Action, Mark, Severity, Status
from alerter.outbox.rows import PENDING, SUPERSEDED, About, Tray
from alerter.store import bulk
from alerter.store import episodes as rows
from alerter.store.schema import episodes, never_went_out, outbox, tellings


def end(
    connection: Connection,
    tray: Tray,
    ended: Sequence[tuple[Row[Any], dict[str, Any]]],
    now: float,
    marks: Iterable[Mark] = (),
) -> None:
    """Ends episodes, and tells all who were told of them, by the same ways, whatever the routes say by now."""
    bulk.update(connection, episodes, [{"id": row.id, **values} for row, values in ended])
    by_id = {row.id: row for row, _ in ended}
    for ids in rows.chunks(list(by_id)):
        told = connection.execute(sa.select(tellings).where(tellings.c.episode_id.in_(ids))).all()
        quiet = {"fallback_at": None, "repeat_at": None}
        connection.execute(sa.update(tellings).where(tellings.c.episode_id.in_(ids)).values(quiet))
        mute = _withdraw(connection, tray, ids, now)
        for each in told:
            state = SUPERSEDED if (each.episode_id, each.receiver) in mute and each.told_at is None else PENDING
            tray.put(each.receiver, About.of(by_id[each.episode_id]), Action.RESOLVE, marks=marks, state=state)


def _withdraw(connection: Connection, tray: Tray, ids: list[int], now: float) -> set[tuple[int, str]]:
    """Triggers that never went out are not sent any more, except critical ones; whose end needs no word then."""
    triggers = (
        outbox.c.episode_id.in_(ids),
        outbox.c.action == Action.TRIGGER,
        outbox.c.grouped.is_(False),
    )
    waiting = (
        *triggers,
        outbox.c.maybe.is_(False),
        outbox.c.storm.is_(None),
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
    dead = connection.execute(sa.select(outbox.c.episode_id, outbox.c.receiver).where(*triggers, never_went_out)).all()
    tray.superseded.update(row.receiver for row in gone)
    if gone:
        # Neither is news of its change, or its acknowledgement, which stood behind it.
        # It is looked for first: mostly there is none.
        news = (outbox.c.state == PENDING, outbox.c.attempts == 0, outbox.c.action != Action.TRIGGER)
        query = sa.select(outbox.c.id, outbox.c.episode_id, outbox.c.receiver).where(
            outbox.c.episode_id.in_(ids), outbox.c.grouped.is_(False), *news
        )
        told_nobody = {tuple(row) for row in gone}
        behind = [row.id for row in connection.execute(query) if (row.episode_id, row.receiver) in told_nobody]
        if behind:
            spared = connection.execute(
                sa.update(outbox)
                .where(outbox.c.id.in_(behind), *news)
                .values(state=SUPERSEDED, finished_at=now)
                .returning(outbox.c.receiver)
            )
            tray.superseded.update(spared.scalars())
    return {(row.episode_id, row.receiver) for row in (*gone, *dead)}


def end_values(ends_at: float | None, by: str, note: str, now: float) -> dict[str, Any]:
    """What an episode's row bears once it has ended; `ends_at` by the sender's clock, None if nobody told the end."""
    return {
        "status": Status.RESOLVED.value,
        "ends_at": ends_at,
        "ended_at": now,
        "ended_by": by,
        "note": note,
        "changed_at": now,
        "escalate_at": None,
    }
