"""Somebody sees to an alert, or does not any more: here by hand, or as a provider tells."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from alerter.messages.clean import line
from alerter.model import Action, Status
from alerter.outbox.rows import About, Tray
from alerter.receivers.base import Heard
from alerter.routing.policy import Policy
from alerter.store import auditing
from alerter.store.auditing import Deed
from alerter.store.engine import Store
from alerter.store.schema import episodes, is_firing, is_latest, tellings
from chassis.clock import Clock
from chassis.log import get_logger

log = get_logger(__name__)

SKEW = 60.0  # seconds that a provider's clock may be behind ours


class Taking:
    """Acknowledgements, each with its entry in the audit table. Safe to share among threads."""

    def __init__(
        self, store: Store, clock: Clock, policy: Callable[[], Policy], wake: Callable[[set[str]], None]
    ) -> None:
        self._store = store
        self._clock = clock
        self._policy = policy
        self._wake = wake

    def by_hand(self, number: int, who: str) -> bool | None:
        """Whether it is acknowledged then, which one that is over is not any more; None if there is no such alert.

        One that was acknowledged stays as it is. Raises StoreFailed.
        """
        now, who = self._clock.now(), line(who, 100) or "somebody"
        with self._store.write() as connection:
            row = connection.execute(sa.select(episodes).where(episodes.c.id == number)).first()
            if row is None:
                return None
            if row.status != Status.FIRING:
                return row.acknowledged_at is not None
            wake = acknowledge(connection, self._policy(), [row], who, now)
            auditing.write_down(connection, who, Deed.ACKNOWLEDGED, f"alert {number}", now)
        self._wake(wake)
        return True

    def heard(self, receiver: str, heard: Heard) -> int:
        """What `receiver`'s provider tells; answers of how many alerts that is news. Raises StoreFailed."""
        now, policy = self._clock.now(), self._policy()
        with self._store.write() as connection:
            rows = [row for row in about(connection, receiver, heard) if (row.acknowledged_at is None) is heard.taken]
            if heard.taken:
                wake = acknowledge(connection, policy, rows, heard.who, now, teller=receiver)
            else:
                wake = give_back(connection, policy, rows, heard.who, now, teller=receiver)
            deed = Deed.ACKNOWLEDGED if heard.taken else Deed.GIVEN_BACK
            for row in rows:
                auditing.write_down(connection, heard.who, deed, f"alert {row.id}, told by {receiver}", now)
        self._wake(wake)
        log.info("heard", receiver=receiver, taken=heard.taken, who=heard.who, episodes=[row.id for row in rows])
        return len(rows)


def about(connection: Connection, receiver: str, heard: Heard) -> Sequence[Row[Any]]:
    """The firing alerts that an incident of `receiver`'s stands for: one, or all that were told in one storm."""
    told = (
        sa.select(episodes)
        .join(tellings, sa.and_(tellings.c.episode_id == episodes.c.id, tellings.c.receiver == receiver))
        .where(is_firing)
        .order_by(episodes.c.id)
    )
    if heard.at is not None:
        # What comes late may be about an earlier time that the alert fired.
        told = told.where(episodes.c.received_at <= heard.at + SKEW)
    one = connection.execute(told.where(episodes.c.key == heard.key, is_latest)).all()
    return one or connection.execute(told.where(tellings.c.storm == heard.key)).all()


def acknowledge(
    connection: Connection, policy: Policy, rows: Sequence[Row[Any]], who: str, now: float, teller: str = ""
) -> set[str]:
    """No repeats, no escalation, and those who were told see it, but the `teller`; answers who has something to do."""
    tray = Tray(connection, policy.receivers, now)
    for row in rows:
        if row.acknowledged_at is not None or row.status != Status.FIRING:
            continue
        values = {"acknowledged_at": now, "acknowledged_by": who, "escalate_at": None, "changed_at": now}
        connection.execute(sa.update(episodes).where(episodes.c.id == row.id).values(values))
        told = connection.execute(sa.select(tellings).where(tellings.c.episode_id == row.id)).all()
        connection.execute(sa.update(tellings).where(tellings.c.episode_id == row.id).values(repeat_at=None))
        for telling in told:
            if telling.receiver != teller:
                tray.put(telling.receiver, About.of(row), Action.ACKNOWLEDGE)
    return tray.write()


def give_back(
    connection: Connection, policy: Policy, rows: Sequence[Row[Any]], who: str, now: float, teller: str = ""
) -> set[str]:
    """Nobody sees to it any more: repeats go on, and an escalation whose time has come is told at once."""
    tray = Tray(connection, policy.receivers, now)
    for row in rows:
        steps = json.loads(row.escalations)
        values = {"acknowledged_at": None, "acknowledged_by": "", "changed_at": now}
        values["escalate_at"] = steps[0][0] if steps else None
        connection.execute(sa.update(episodes).where(episodes.c.id == row.id).values(values))
        told = connection.execute(sa.select(tellings).where(tellings.c.episode_id == row.id)).all()
        for telling in told:
            if telling.repeat_every is not None:
                connection.execute(
                    sa.update(tellings)
                    .where(tellings.c.episode_id == row.id, tellings.c.receiver == telling.receiver)
                    .values(repeat_at=now + telling.repeat_every)
                )
            if telling.receiver != teller:
                note = f"Not acknowledged any more: given back by {who}."
                tray.put(telling.receiver, About.of(row), Action.UPDATE, note=note)
    return tray.write()
