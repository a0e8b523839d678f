"""The alerter's store with the clock in the test's hand: alerts are heard and delivered without a daemon."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from alerter.duties import due
from alerter.intake import booking
from alerter.model import Action, Alert, Reason, Status
from alerter.outbox import claims, outcomes
from alerter.outbox.claim import Claim
from alerter.receivers.base import Accepted, DeliveryFailed
from alerter.routing.policy import Ability, Policy
from alerter.settings import AlerterSettings
from alerter.store.engine import Store
from alerter.store.schema import outbox
from chassis.clock import ManualClock
from chassis.secrets import SecretUrl
from chassis.settings import parse
from tests.support.databases import create_database, drop_database

STORES = ["sqlite", "postgresql"]
SETTINGS = """
receivers:
  - {name: oncall, kind: webhook, url: https://a.example.com, secret: s}
  - {name: ops, kind: webhook, url: https://b.example.com, secret: s}
  - {name: sms, kind: webhook, url: https://c.example.com, secret: s}
  - {name: chat, kind: webhook, url: https://d.example.com, secret: s}
routes:
  - match: ['severity="critical"', 'team!="chat"']
    receivers: [oncall]
    fallback: {after: 30s, receivers: [sms]}
    escalate: {after: 10m, receivers: [ops]}
  - {match: ['team="chat"'], receivers: [chat]}
  - {match: ['severity="warning"'], receivers: [ops], repeat: 4h}
default: {receivers: []}
deadman: {match: ['alertname="Watchdog"'], every: 3m, receivers: [oncall]}
"""


class World:
    """A store, a policy, a clock, and a receiver that does as it is told."""

    def __init__(self, url: str) -> None:
        self.clock = ManualClock()
        self.store = Store(SecretUrl(url), self.clock)
        self.store.open()
        if not self.store.is_sqlite:  # leases by the test's clock
            self.store.moment = lambda connection: self.clock.now()  # type: ignore[method-assign]
        settings = settings_of(SETTINGS)
        every = frozenset(Action)
        names = [options.name for options in settings.receiver_options()]
        assert settings.deadman is not None
        self.policy = Policy(
            settings.routing,
            {name: Ability(name == "chat", every) for name in names},
            settings.deadman.match,
            settings.deadman.receivers,
        )

    def hear(self, *alerts: Alert) -> Any:
        with self.store.write() as connection:
            return booking.take(connection, self.policy, alerts, self.clock.now())

    def claim(self, receiver: str, holder: str = "me", count: int = 100) -> list[Claim]:
        with self.store.touch() as connection:
            return claims.claim(connection, receiver, holder, self.clock.now(), count, urgent=None)

    def accept(self, claimed: Claim, memory: dict[str, str] | None = None, holder: str = "me") -> None:
        with self.store.touch() as connection:
            outcomes.accept(connection, claimed, holder, Accepted(memory), self.clock.now())

    def postpone(self, claimed: Claim, seconds: float = 60.0) -> None:
        """The provider was away; it is tried again after so many seconds."""
        failure = DeliveryFailed(Reason.UNAVAILABLE, "503", retry=True)
        with self.store.touch() as connection:
            outcomes.postpone(connection, claimed, "me", failure, self.clock.now() + seconds, counts=True)

    def deliver(self, receiver: str) -> list[tuple[str, str]]:
        """Everything that may be sent, accepted: action and the first alert's name."""
        told = []
        while claimed := self.claim(receiver):
            for each in claimed:
                if each.message is None:
                    with self.store.touch() as connection:
                        outcomes.settle(connection, each, "me", self.clock.now())
                    continue
                told.append((str(each.action), each.message.alerts[0].alert.name))
                self.accept(each)
        return told

    def look(self, *unreachable: str) -> due.Done:
        with self.store.write() as connection:
            return due.look(connection, self.policy, unreachable, self.clock.now())

    def states(self) -> list[tuple[str, str, str]]:
        query = sa.select(outbox.c.receiver, outbox.c.action, outbox.c.state).order_by(outbox.c.id)
        with self.store.read() as connection:
            return [tuple(row) for row in connection.execute(query)]


def settings_of(text: str) -> AlerterSettings:
    """The configuration in a text."""
    return parse(text, AlerterSettings, {})


@contextmanager
def world(store: str, request: pytest.FixtureRequest, folder: Path) -> Iterator[World]:
    """One of STORES, empty."""
    if store == "sqlite":
        made = World(f"sqlite:///{folder / 'alerter.db'}")
        yield made
        made.store.close()
        return
    database = create_database(request.getfixturevalue("pg15"), "empty")
    made = World(database.url.replace("postgresql://", "postgresql+psycopg://", 1))
    yield made
    made.store.close()
    drop_database(database)


def firing(name: str = "A", severity: str = "critical", group: str = "g", **labels: str) -> Alert:
    named = {"alertname": name, "severity": severity, "service": "queues", **labels}
    return Alert("default", name, Status.FIRING, named, {"summary": name}, 1000.0, None, "", "http://am-0:9093", group)


def over(alert: Alert) -> Alert:
    return replace(alert, status=Status.RESOLVED, ends_at=2000.0)


def with_notes(alert: Alert, **annotations: str) -> Alert:
    return replace(alert, annotations={**alert.annotations, **annotations})
