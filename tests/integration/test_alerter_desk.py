"""A desk before a receiver that does as the test wants: leases, outcomes that cannot be noted, and what is counted."""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alerter.delivery.desk import ORDINARY, Desk
from alerter.delivery.leases import LONGEST
from alerter.model import Action
from alerter.outbox import claims, outcomes
from alerter.outbox.claim import Claim
from alerter.receivers.base import Accepted, Message, Rate, Tells
from alerter.store.engine import StoreFailed
from alerter.store.schema import outbox
from alerter.tally import Tally
from tests.support.booked import World, firing, over
from tests.support.wait import eventually

QUICK = Rate(1000, 1.0)


class Slow:
    """A receiver that accepts once it may."""

    kind = "slow"
    tells = Tells.ALERT
    actions = frozenset(Action)

    def __init__(self, name: str, rate: Rate) -> None:
        self.name = name
        self.rate = rate
        self.sent: list[Message] = []
        self.may = threading.Event()

    def send(self, message: Message) -> Accepted:
        self.sent.append(message)
        assert self.may.wait(60)
        return Accepted()

    def close(self) -> None:
        pass


class Bench:
    """A world one of whose receivers is served by a desk."""

    def __init__(self, world: World, name: str, rate: Rate) -> None:
        self.world = world
        self.receiver = Slow(name, rate)
        self.tally = Tally()
        self.desk = Desk(self.receiver, world.store, world.clock, self.tally)

    def ended(self, outcome: str) -> float:
        """Deliveries that are counted with this outcome."""
        labels = {"receiver": "ops", "outcome": outcome}
        name = "postwatch_alerter_deliveries_total"
        (value,) = [each.value for each in self.tally.readings(["ops"]) if (each.metric, each.labels) == (name, labels)]
        assert isinstance(value, int | float)
        return value

    def leased_until(self) -> float:
        with self.world.store.read() as connection:
            return float(connection.execute(sa.select(sa.func.min(outbox.c.lease_until))).scalar() or 0.0)


@pytest.fixture
def bench(world: World) -> Iterator[Bench]:
    with served(world, "ops") as made:
        yield made


@contextmanager
def served(world: World, name: str, rate: Rate = QUICK) -> Iterator[Bench]:
    made = Bench(world, name, rate)
    try:
        yield made
    finally:
        made.receiver.may.set()
        made.desk.stop(10)


def test_what_takes_longer_than_a_lease_is_not_sent_twice(world: World, bench: Bench) -> None:
    world.hear(firing("W", "warning"))
    bench.desk.start()
    eventually(lambda: bench.receiver.sent, within=20)
    for _ in range(2):
        world.clock.advance(claims.LEASE * 0.9)
        eventually(lambda: bench.leased_until() == world.clock.now() + claims.LEASE, within=20)
    world.clock.advance(claims.LEASE * 0.9)
    assert world.claim("ops", "another") == []
    bench.receiver.may.set()
    eventually(lambda: world.states() == [("ops", "trigger", "accepted")], within=20)
    assert len(bench.receiver.sent) == 1


def test_nobody_waits_for_ever_for_a_receiver_that_hangs(world: World, bench: Bench) -> None:
    world.hear(firing("W", "warning"))
    bench.desk.start()
    eventually(lambda: bench.receiver.sent, within=20)
    world.clock.advance(LONGEST + 1)
    eventually(lambda: len(bench.receiver.sent) == 2, within=20)


def test_an_outcome_that_cannot_be_noted_at_once_is_noted_later(
    world: World, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = iter([True, True, True])
    touch = world.store.touch

    def failing(turn: str = "") -> AbstractContextManager[Connection]:
        return _refused() if _is_worker() and next(failures, False) else touch(turn)

    monkeypatch.setattr(world.store, "touch", failing)
    world.hear(firing("W", "warning"))
    bench.receiver.may.set()
    bench.desk.start()
    eventually(lambda: world.states() == [("ops", "trigger", "accepted")], within=30)
    assert len(bench.receiver.sent) == 1
    assert next(failures, None) is None


def _is_worker() -> bool:
    return threading.current_thread().name.startswith("deliver-")


@contextmanager
def _refused() -> Iterator[Connection]:
    raise StoreFailed("storage: as the test wants")
    yield


def test_what_is_urgent_overtakes_and_has_workers_of_its_own(world: World) -> None:
    with served(world, "chat") as bench:
        world.hear(*(firing(f"W{n}", "warning", group=f"{n}", team="chat") for n in range(ORDINARY + 5)))
        bench.desk.start()
        eventually(lambda: len(bench.receiver.sent) == ORDINARY, within=20)
        world.hear(firing("C", group="critical", team="chat"))
        bench.desk.wake()
        eventually(lambda: len(bench.receiver.sent) > ORDINARY, within=20)
        assert [each.alerts[0].alert.name for each in bench.receiver.sent[ORDINARY:]] == ["C"]


def test_each_delivery_is_counted_whatever_became_of_it(world: World, bench: Bench) -> None:
    alerts = [firing(f"S{number}", "warning") for number in range(20)]
    world.hear(*alerts)
    with world.store.touch(turn="ops") as connection:
        assert claims.collapse(connection, "ops", world.clock.now(), urgent=False) == 20
    bench.receiver.may.set()
    bench.desk.start()
    eventually(lambda: bench.ended("accepted") == 20, within=20)
    world.hear(*map(over, alerts[:7]))
    bench.desk.wake()
    eventually(lambda: bench.ended("collapsed") == 7, within=20)


@pytest.mark.parametrize("world", ["postgresql"], indirect=True)
def test_replicas_share_a_receiver_s_rate(world: World) -> None:
    with served(world, "ops", Rate(10, 60.0)) as one, served(world, "ops", Rate(10, 60.0)) as other:

        def sent() -> int:
            return len(one.receiver.sent) + len(other.receiver.sent)

        def hear(first: int, last: int) -> None:
            world.hear(*(firing(f"W{number}", "warning") for number in range(first, last)))
            for bench in (one, other):
                bench.desk.wake()

        for bench in (one, other):
            bench.receiver.may.set()
            bench.desk.start()
        hear(0, 8)  # what is kept for urgent ones is left
        eventually(lambda: sent() == 8, within=20)
        hear(8, 10)
        eventually(lambda: [bench.desk.pace.free(urgent=False) for bench in (one, other)] == [0, 0], within=20)
        assert sent() == 8
        world.clock.advance(63)
        eventually(lambda: sent() == 10, within=20)


@pytest.mark.parametrize("world", ["postgresql"], indirect=True)
def test_what_was_sent_before_a_reload_counts_once(world: World) -> None:
    with served(world, "ops", Rate(10, 60.0)) as before:
        before.receiver.may.set()
        world.hear(*(firing(f"W{number}", "warning") for number in range(4)))
        before.desk.start()
        eventually(lambda: len(before.receiver.sent) == 4, within=20)
        before.desk.stop(10)
        world.hear(*(firing(f"X{number}", "warning") for number in range(4)))
        after = Desk(before.receiver, world.store, world.clock, before.tally, before=before.desk)
        after.start()
        try:
            eventually(lambda: len(before.receiver.sent) == 8, within=20)
        finally:
            after.stop(10)


@pytest.mark.parametrize("world", ["postgresql"], indirect=True)
def test_an_end_and_the_outcome_of_the_beginning_do_not_wait_for_each_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.hear(firing("W", "warning"))
    (claimed,) = world.claim("ops")
    half, goes_on = threading.Event(), threading.Event()
    keep = outcomes._keep

    def slowly(connection: Connection, each: Claim, accepted: Accepted, now: float) -> None:
        half.set()
        assert goes_on.wait(30)
        keep(connection, each, accepted, now)

    monkeypatch.setattr(outcomes, "_keep", slowly)
    failures: list[BaseException] = []

    def run(work: object, *given: object) -> None:
        try:
            work(*given)  # type: ignore[operator]
        except BaseException as error:
            failures.append(error)

    noting = threading.Thread(target=run, args=(world.accept, claimed))
    ending = threading.Thread(target=run, args=(world.hear, over(firing("W", "warning"))))
    noting.start()
    assert half.wait(30)
    ending.start()
    eventually(lambda: _waits_for_a_lock(world), within=20)
    goes_on.set()
    noting.join(30)
    ending.join(30)
    assert failures == []
    assert world.deliver("ops") == [("resolve", "W")]


def _waits_for_a_lock(world: World) -> bool:
    with world.store.read() as connection:
        return bool(connection.exec_driver_sql("SELECT count(*) FROM pg_locks WHERE NOT granted").scalar())
