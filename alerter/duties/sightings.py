"""Receivers that cannot be reached, as all replicas see it.

Whoever cannot reach one says so in the store for as long as that lasts. Others that can, or that have just started and
do not know yet, leave the alert about it alone: it ends when nobody says so any more.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alerter.intake.booking import remember
from alerter.model import digest
from alerter.store.schema import facts
from chassis.clock import Clock

BELIEVED = 180.0  # seconds for which a word counts that nobody renews: who said it may come back, and need a minute
_RENEWED = 30.0  # seconds
_PREFIX = "failing/"


class Sightings:
    """One alerter's part in it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._own = f"{_PREFIX}{uuid.uuid4().hex[:16]}/"
        self._said: dict[str, float] = {}  # receivers, and when that was said by the monotonic clock
        self._stale: list[str] = []

    def of_others(self, connection: Connection, now: float) -> dict[str, str]:
        """Receivers that others cannot reach, and their last errors. `now` by the wall clock."""
        found: dict[str, str] = {}
        self._stale = []
        for name, value in connection.execute(
            sa.select(facts.c.name, facts.c.value).where(facts.c.name.startswith(_PREFIX))
        ):
            if name.startswith(self._own):
                continue
            said = json.loads(value)
            if abs(now - said["at"]) < BELIEVED:
                found[said["receiver"]] = said["error"]
            else:
                self._stale.append(name)
        return found

    def is_news(self, failing: Mapping[str, str]) -> bool:
        """Whether `say` would change something."""
        moment = self._clock.monotonic()
        return (
            bool(self._stale)
            or failing.keys() != self._said.keys()
            or any(moment - said >= _RENEWED for said in self._said.values())
        )

    def say(self, connection: Connection, failing: Mapping[str, str], now: float) -> None:
        """Writes down which receivers cannot be reached from here, and their last errors."""
        for receiver, error in failing.items():
            remember(connection, self._name(receiver), json.dumps({"receiver": receiver, "error": error, "at": now}))
        gone = [*self._stale, *(self._name(receiver) for receiver in self._said.keys() - failing.keys())]
        if gone:
            connection.execute(sa.delete(facts).where(facts.c.name.in_(gone)))
        self._said = dict.fromkeys(failing, self._clock.monotonic())

    def _name(self, receiver: str) -> str:
        return f"{self._own}{digest(receiver)[:32]}"
