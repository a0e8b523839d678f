"""The desk that takes in: what it promises it keeps, whatever the store does meanwhile, and at the end."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from starlette.applications import Starlette

from alerter.intake.desk import WAITING, Intake, Overloaded
from alerter.intake.states import Change
from alerter.store.schema import episodes
from alerter.tally import Tally
from alerter.web import webhook
from tests.support import booked
from tests.support.alerter import alert, payload
from tests.support.booked import World, firing, over
from tests.support.wait import eventually

PROMISED = 2.0  # seconds in which `stop` comes back


class Bench:
    """An intake before a store that can be made to hang."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world = world
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.waits = threading.Event()
        self.tally = Tally()
        self.intake = Intake(world.store, world.clock, world.policy, lambda _names: None, self.tally.superseded)
        self._write = world.store.write
        monkeypatch.setattr(world.store, "write", self.write)

    def write(self) -> AbstractContextManager[Connection]:
        if not self.goes_on.is_set():
            self.waits.set()
            assert self.goes_on.wait(60)
        return self._write()

    def fill(self) -> list[Future[Counter[Change]]]:
        """The store hangs, and as much waits for it as may."""
        self.goes_on.clear()
        taken = [self.intake.take([firing("A0")])]
        assert self.waits.wait(20)
        taken += [self.intake.take([firing(f"A{number + 1}")]) for number in range(WAITING)]
        return taken

    def names(self) -> set[str]:
        with self.world.store.read() as connection:
            return set(connection.execute(sa.select(episodes.c.fingerprint)).scalars())

    def post(self, number: int) -> int:
        """The status that a webhook is answered with."""
        app = Starlette(routes=webhook.routes(self.intake, self.tally, 1 << 20, lambda: None))

        async def ask() -> int:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client:
                return (await client.post("/webhook", json=payload(alert(f"P{number}")))).status_code

        return asyncio.run(ask())


@pytest.fixture
def bench(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with booked.world("sqlite", request, tmp_path) as world:
        made = Bench(world, monkeypatch)
        made.intake.start()
        yield made
        made.goes_on.set()
        made.intake.stop(20)


def test_it_ends_in_time_while_the_store_hangs_and_loses_nothing_that_it_said_to_have(bench: Bench) -> None:
    taken = bench.fill()
    began = time.monotonic()
    bench.intake.stop(PROMISED)
    assert time.monotonic() - began < 1.7 * PROMISED
    assert not any(each.done() for each in taken)  # nobody was told that it is kept
    with pytest.raises(Overloaded, match="stopping"):
        bench.intake.take([firing("B")])
    # The store comes back before the process has gone.
    bench.goes_on.set()
    assert all(each.result(20) for each in taken)
    assert bench.names() == {f"A{number}" for number in range(WAITING + 1)}
    eventually(lambda: not bench.intake._thread.is_alive(), within=20)


def test_what_was_handed_in_before_the_end_is_committed_by_then(bench: Bench) -> None:
    taken = [bench.intake.take([firing(f"A{number}")]) for number in range(50)]
    bench.intake.stop(20)
    assert all(each.done() and not each.exception() for each in taken)
    assert len(bench.names()) == 50


def test_whoever_comes_to_a_full_desk_or_to_one_that_closes_is_asked_to_come_again(bench: Bench) -> None:
    assert bench.post(0) == 200
    taken = bench.fill()
    assert bench.post(1) == 503
    bench.goes_on.set()
    assert all(each.result(20) for each in taken)
    assert bench.post(2) == 200
    bench.intake.stop(20)
    assert bench.post(3) == 503
    # What was taken in is counted, and nothing else.
    words = {"status": "firing", "alert_severity": "critical"}
    assert [one.value for one in bench.tally.readings([]) if words.items() <= one.labels.items()] == [2]


def test_nobody_waits_for_ever_for_a_store_that_hangs(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was handed in is kept all the same, once it can be."""
    monkeypatch.setattr(webhook, "_PATIENCE", 0.2)
    bench.goes_on.clear()
    assert bench.post(1) == 503
    bench.goes_on.set()
    eventually(lambda: len(bench.names()) == 1, within=20)


def test_one_that_cannot_be_taken_in_costs_no_other(bench: Bench) -> None:
    """All that come while somebody writes are one transaction."""
    good, bad = firing("good"), replace(firing("bad"), starts_at=None)  # type: ignore[arg-type]  # no store takes it
    bench.goes_on.clear()
    first = bench.intake.take([firing("first")])
    assert bench.waits.wait(20)
    taken = [bench.intake.take([each]) for each in (good, bad, firing("last"))]
    bench.goes_on.set()
    assert first.result(20)
    assert [type(each.exception(20)) is type(None) for each in taken] == [True, False, True]
    assert bench.names() == {"first", "good", "last"}


def test_what_is_spared_is_counted(bench: Bench) -> None:
    waits = firing("waits", "warning")
    bench.intake.take([waits]).result(20)
    bench.intake.take([over(waits)]).result(20)
    words = {"receiver": "ops", "outcome": "superseded"}
    eventually(
        lambda: [one.value for one in bench.tally.readings(["ops"]) if words.items() <= one.labels.items()] == [2]
    )
