"""Several replicas and one rate: a provider counts all that comes with its key, whoever sends it.

Each writes down in the store what it has sent lately, in the transaction in which it claims; whoever claims has the
receiver's turn, so that two never use the same room. Times are the store's, in steps of a fraction of the rate's
window, rounded to the later side.
"""

from __future__ import annotations

import json
import math
import uuid
from collections import Counter

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alerter.delivery.pace import Pace
from alerter.intake.booking import remember
from alerter.model import digest
from alerter.store.engine import Store
from alerter.store.schema import facts
from chassis.clock import Clock

_STEPS = 50  # in a window


class Shared:
    """One alerter's part of a receiver's rate. Nothing to do on SQLite, where there is one alerter."""

    def __init__(self, store: Store, clock: Clock, pace: Pace, receiver: str) -> None:
        self._store = store
        self._clock = clock
        self._pace = pace
        self._prefix = f"sent/{digest(receiver)[:24]}/"
        self._own = f"{self._prefix}{uuid.uuid4().hex[:24]}"
        self._step = pace.window / _STEPS
        self._sent: Counter[int] = Counter()

    def listen(self, connection: Connection, moment: float) -> None:
        """What others have sent counts as if it had been sent here. `moment` by the store's clock."""
        if self._store.is_sqlite:
            return
        now, horizon = self._clock.monotonic(), moment - self._pace.window
        times: list[float] = []
        silent: list[str] = []
        query = sa.select(facts.c.name, facts.c.value).where(facts.c.name.startswith(self._prefix))
        for name, value in connection.execute(query.where(facts.c.name != self._own)):
            sent = [(at, count) for at, count in json.loads(value) if at > horizon]
            times += [now - (moment - at) for at, count in sent for _ in range(count)]
            if not sent:
                silent.append(name)  # who has nothing to say any more may be gone
        if silent:
            connection.execute(sa.delete(facts).where(facts.c.name.in_(silent)))
        self._pace.hear(times)

    def tell(self, connection: Connection, moment: float, count: int) -> None:
        """So many are sent now from here."""
        if self._store.is_sqlite or not count:
            return
        self._sent[math.ceil(moment / self._step)] += count
        oldest = (moment - self._pace.window) / self._step
        self._sent = Counter({step: number for step, number in self._sent.items() if step > oldest})
        remember(connection, self._own, json.dumps([(step * self._step, n) for step, n in self._sent.items()]))
