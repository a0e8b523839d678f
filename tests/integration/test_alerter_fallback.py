"""Slack and PagerDuty are both dead: the critical alert is accepted elsewhere within 35 s; time is the test's."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from alerter.delivery.office import Office
from alerter.duties.crew import TICK, Duties
from alerter.intake import booking
from alerter.model import Alert, Status
from alerter.settings import AlerterSettings
from alerter.store.engine import Store
from alerter.tally import Tally
from chassis.clock import ManualClock
from chassis.settings import parse
from demo.providers import Fault
from tests.support.providers import Providers, with_fallback
from tests.support.wait import eventually

WITHIN = 35.0  # seconds from the webhook


class Daemon:
    """All of the alerter but the web, and its clock stands until the test lets time go by."""

    def __init__(self, settings: AlerterSettings) -> None:
        self.clock = ManualClock()
        self.store = Store(settings.storage, self.clock)
        self.store.open()
        tally = Tally()
        self.office = Office(settings, self.store, self.clock, tally)
        self.duties = Duties(self.store, self.clock, settings, self.office.policy, self, tally)
        self.office.start()

    def failing(self, after: float) -> dict[str, tuple[str, bool]]:
        return {}

    def wake(self, receivers: set[str]) -> None:
        for name in receivers:
            self.office.desks[name].wake()

    def hear(self, *alerts: Alert) -> None:
        with self.store.write() as connection:
            taken = booking.take(connection, self.office.policy, alerts, self.clock.now())
        self.wake(taken.wake)

    def stop(self) -> None:
        self.office.stop(10)
        self.store.close()


@pytest.fixture
def providers(tmp_path: Path) -> Iterator[Providers]:
    with ExitStack() as stack:
        yield Providers(tmp_path, stack)


def test_sms_and_mail_have_it_within_35_s(providers: Providers, tmp_path: Path) -> None:
    given = with_fallback(providers, "30s") | {"storage": f"sqlite:///{tmp_path / 'alerter.db'}"}
    providers.pagerduty.stop()
    providers.slack.always(Fault.status(503))
    daemon = Daemon(parse(yaml.safe_dump(given), AlerterSettings, {}))
    try:
        labels = {"alertname": "Backlog", "severity": "critical", "service": "queues"}
        heard = daemon.clock.now()
        daemon.hear(Alert("default", "f1", Status.FIRING, labels, {"summary": "Backlog"}, heard - 60))
        eventually(lambda: providers.slack.requests, within=20)
        while not daemon.duties.figures.fallbacks:
            assert daemon.clock.now() - heard < WITHIN
            assert not providers.twilio.sent
            assert not providers.mailbox.mails
            daemon.clock.advance(TICK)
            daemon.duties.tick()
        # From here on the clock stands: what is accepted now is accepted in time.
        assert 30 <= daemon.clock.now() - heard < WITHIN
        eventually(lambda: providers.twilio.sent and providers.mailbox.mails, within=20)
        assert "[fallback]" in providers.twilio.sent[0].body
        assert daemon.clock.now() - heard < WITHIN
    finally:
        daemon.stop()
