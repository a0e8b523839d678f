"""The wall clock was set, by NTP or by hand: what was to happen in so many seconds still does.

Only on SQLite, whose one alerter made all deadlines by its own clock. On PostgreSQL leases go by the database's.
What was written between the step and its discovery, within a second, is told apart by its own time, or is moved to
the harmless side: told too early, kept too long.
"""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alerter.intake.booking import LAST_SEEN, recall, remember
from alerter.outbox.claims import LEASE
from alerter.store.schema import episodes, is_pending, outbox, tellings
from chassis.clock import Clock

NOTICED = 5.0  # seconds; less is slewing, or a thread that had to wait
_SLACK = 2.0  # seconds in which a step is discovered


class Steps:
    """Compares the two clocks."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset = clock.now() - clock.monotonic()

    def take(self) -> float:
        """By how many seconds the wall clock was set since the last call; 0 if it was not."""
        offset = self._clock.now() - self._clock.monotonic()
        step, self._offset = offset - self._offset, offset
        return step if abs(step) > NOTICED else 0.0


def move(connection: Connection, step: float, now: float) -> None:
    """Moves all deadlines with the clock, which shows `now` after a `step` in seconds."""
    before = now - step + _SLACK  # by the old time
    heard = episodes.c.received_at <= before if step > 0 else sa.true()
    for column in (tellings.c.fallback_at, tellings.c.repeat_at):
        about = tellings.c.episode_id.in_(sa.select(episodes.c.id).where(heard))
        connection.execute(sa.update(tellings).where(column.is_not(None), about).values({column: column + step}))
    _move_escalations(connection, heard, step)
    created = outbox.c.created_at <= before if step > 0 else outbox.c.created_at > now + _SLACK
    _move_pending(connection, [created], expires_at=outbox.c.expires_at + step)
    if step > 0:  # an early retry does no harm, an early end of a lease tells twice
        _move_pending(connection, [outbox.c.lease_until <= before + LEASE], lease_until=outbox.c.lease_until + step)
    else:
        _move_pending(connection, [], next_at=outbox.c.next_at + step)
        _move_pending(
            connection, [outbox.c.lease_until > now + LEASE + _SLACK], lease_until=outbox.c.lease_until + step
        )
    seen = recall(connection, LAST_SEEN)
    if seen is not None and (step < 0 or float(seen) <= before):
        remember(connection, LAST_SEEN, str(float(seen) + step))


def _move_pending(connection: Connection, conditions: list[sa.ColumnElement[bool]], **values: Any) -> None:
    connection.execute(sa.update(outbox).where(is_pending, *conditions).values(values))


def _move_escalations(connection: Connection, heard: sa.ColumnElement[bool], step: float) -> None:
    query = sa.select(episodes.c.id, episodes.c.escalations).where(episodes.c.escalate_at.is_not(None), heard)
    for number, text in connection.execute(query).all():
        steps = [[at + step, receivers] for at, receivers in json.loads(text)]
        values = {"escalate_at": steps[0][0], "escalations": json.dumps(steps)}
        connection.execute(sa.update(episodes).where(episodes.c.id == number).values(values))
