"""Deletes what is older than it is kept, a little at a time."""

from __future__ import annotations

import sqlalchemy as sa

from alerter.model import Status
from alerter.outbox.rows import PENDING
from alerter.store.engine import Store
from alerter.store.schema import audit, episodes, memories, outbox, tellings

STEP = 500  # rows in a transaction, so that nobody waits long for it


def sweep(store: Store, history: float, audit_for: float, now: float) -> int:
    """One step; answers how many rows went. `history` and `audit_for` are seconds."""
    with store.write() as connection:
        old = (
            sa.select(episodes.c.id)
            .where(episodes.c.status == Status.RESOLVED, episodes.c.changed_at < now - history)
            .where(~sa.exists().where(outbox.c.episode_id == episodes.c.id, outbox.c.state == PENDING))
            .limit(STEP)
        )
        ids = list(connection.execute(old).scalars())
        if ids:
            connection.execute(sa.delete(outbox).where(outbox.c.episode_id.in_(ids)))
            connection.execute(sa.delete(tellings).where(tellings.c.episode_id.in_(ids)))
            connection.execute(sa.delete(episodes).where(episodes.c.id.in_(ids)))
        entries = list(
            connection.execute(sa.select(audit.c.id).where(audit.c.at < now - audit_for).limit(STEP)).scalars()
        )
        if entries:
            connection.execute(sa.delete(audit).where(audit.c.id.in_(entries)))
        connection.execute(sa.delete(memories).where(memories.c.updated_at < now - history))
    return len(ids) + len(entries)
