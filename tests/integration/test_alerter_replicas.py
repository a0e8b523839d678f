"""Two alerters on one PostgreSQL: they share the work, take over from each other, and outlive the database."""

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from demo.providers import Fault, PagerDuty
from demo.servers import Postgres
from tests.support.alerter import Alerter, alert
from tests.support.databases import Database, create_database
from tests.support.sender import Sender, faults, prove
from tests.support.wait import eventually

LEASE = 6  # seconds; longer than the receiver's time limits, as the usual ones are
MANY = 30


@contextmanager
def replicas(folder: Path, database: Database, provider: PagerDuty) -> Iterator[tuple[Alerter, Alerter]]:
    """Both with the same configuration, as a deployment of two has."""
    receiver = {
        "name": "oncall", "kind": "pagerduty", "url": provider.url, "routing_key": provider.routing_key,
        "rate": "6000/min", "timeout": "3s",
    }  # fmt: skip
    given = {
        "storage": database.url.replace("postgresql://", "postgresql+psycopg://", 1),
        "receivers": [receiver],
        "default": {"receivers": ["oncall"]},
    }
    with ExitStack() as stack:
        both = []
        for name in ("a", "b"):
            (folder / name).mkdir()
            alerter = Alerter(folder / name, given)
            stack.push(alerter)
            alerter.start(by=("tests.support.fleeting", str(LEASE)))
            both.append(alerter)
        yield both[0], both[1]


@pytest.fixture
def provider() -> Iterator[PagerDuty]:
    with PagerDuty(rate=1_000_000, delay=0.02) as it:
        yield it


@pytest.mark.parametrize("database", ["empty@15"], indirect=True)
def test_they_share_the_work_and_tell_nothing_twice(database: Database, provider: PagerDuty, tmp_path: Path) -> None:
    with replicas(tmp_path, database, provider) as both:
        for status, count in (("firing", MANY), ("resolved", 2 * MANY)):
            for number in range(MANY):
                told = alert(f"Shared{number}", status)
                # As the Alertmanagers of a cluster may: each tells both, and now one is first, now the other.
                for alerter in both if number % 2 else reversed(both):
                    assert alerter.send(told, group=f"{{}}:{number}").status_code == 200
            eventually(lambda count=count: len(provider.events) >= count, within=30)  # type: ignore[misc]
        eventually(lambda: not provider.open, within=30)
        assert set(Counter((event["dedup_key"], event["event_action"]) for event in provider.events).values()) == {1}

        def shared() -> None:
            shares = [each.value("postwatch_alerter_deliveries_total", outcome="accepted") or 0 for each in both]
            assert sum(shares) == 2 * MANY
            assert all(shares), shares

        eventually(shared, within=20)


@pytest.mark.parametrize("database", ["empty@15"], indirect=True)
def test_one_is_killed_and_the_other_takes_over(database: Database, provider: PagerDuty, tmp_path: Path) -> None:
    with replicas(tmp_path, database, provider) as (first, second):
        first.kill()
        provider.always(Fault.hang(60))
        second.send(*(alert(f"Held{number}") for number in range(3)))
        eventually(lambda: len(provider.requests) >= 3, within=30)
        held = len(provider.requests)
        second.kill()  # while it waits for answers
        provider.always(None)
        first.start(by=("tests.support.fleeting", str(LEASE)))
        eventually(lambda: len(provider.open) == 3, within=30)
        # Not before the leases had ended: who holds them might live.
        assert provider.requests[held].at - provider.requests[0].at > LEASE - 2
        first.send(*(alert(f"Held{number}", "resolved") for number in range(3)))
        eventually(lambda: not provider.open, within=30)


@pytest.mark.timeout(240)
def test_the_database_is_killed_under_both(own_pg15: Postgres, provider: PagerDuty, tmp_path: Path) -> None:
    chance = random.Random(15)
    with replicas(tmp_path, create_database(own_pg15, "empty"), provider) as both:
        provider.always(faults(15))
        sender = Sender(lambda: chance.choice(both).url, 15)
        for number in range(3):
            came = len(provider.events)
            eventually(lambda came=came: len(provider.events) > came + 20, within=30)  # type: ignore[misc]
            own_pg15.kill()
            if number == 1:  # meanwhile one of them comes back to nothing at all
                both[0].kill()
            own_pg15.start()
            if number == 1:
                both[0].start(by=("tests.support.fleeting", str(LEASE)))
        provider.always(None)
        sender.stop()
        pending = "postwatch_alerter_outbox_pending"
        eventually(lambda: not provider.open and both[0].value(pending) == 0, within=60)
        # What was under way when the outcome could not be noted is told again.
        told = prove(provider, sender, both[1].feed(limit=5000), twice=3 * 2 * 16 + 16)
        assert told > 20
        assert not any(each.logged("delivering failed") for each in both)
