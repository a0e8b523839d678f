"""What a desk makes of a receiver's answers: again, when, how often, and what is counted; time is the test's."""

from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from alerter.delivery.desk import Desk
from alerter.delivery.pace import PATIENCE
from alerter.model import Action, Reason
from alerter.outbox.rows import CRITICAL_LIFE, LIFE
from alerter.receivers.base import Accepted, DeliveryFailed, Message, Rate, Tells
from alerter.store.schema import outbox
from alerter.tally import Tally
from chassis.backoff import Backoff
from tests.support import booked
from tests.support.booked import World, firing
from tests.support.wait import eventually

PAUSE = 7.0  # seconds, the longest between attempts here
DOWN = DeliveryFailed(Reason.UNAVAILABLE, "503", retry=True)
UNSURE = DeliveryFailed(Reason.TIMEOUT, "no answer", retry=True, ambiguous=True)
LIMITED = DeliveryFailed(Reason.RATE_LIMITED, "429", retry=True, after=100.0)
REFUSED = DeliveryFailed(Reason.AUTH, "401", retry=True, opens_circuit=True)
NEVER = DeliveryFailed(Reason.REJECTED, "400", retry=False)


class Moody:
    """A receiver that fails as it is told to, and accepts after that."""

    kind = "moody"
    name = "ops"
    tells = Tells.ALERT
    actions = frozenset(Action)

    def __init__(self, rate: Rate, *moods: Exception) -> None:
        self.rate = rate
        self.moods = deque(moods)
        self.tried: list[Message] = []

    def send(self, message: Message) -> Accepted:
        self.tried.append(message)
        if self.moods:
            raise self.moods.popleft()
        return Accepted()

    def close(self) -> None:
        pass


class Longest(Backoff):
    """Without chance: each pause is as long as it may be."""

    def delay(self, attempt: int) -> float:
        return self.bound(attempt)


class Bench:
    """A desk before that receiver."""

    def __init__(self, world: World, rate: Rate, *moods: Exception) -> None:
        self.world = world
        self.receiver = Moody(rate, *moods)
        self.tally = Tally()
        self.desk = Desk(self.receiver, world.store, world.clock, self.tally, backoff=Longest(PAUSE, PAUSE))

    def row(self) -> sa.Row[tuple[object, ...]]:
        """The first delivery."""
        with self.world.store.read() as connection:
            return connection.execute(sa.select(outbox).order_by(outbox.c.id)).first()  # type: ignore[return-value]

    def tried(self, count: int) -> None:
        """It was tried so often, and what came of it is noted."""
        eventually(lambda: len(self.receiver.tried) >= count and self.row().lease_until is None, within=20)
        assert len(self.receiver.tried) == count

    def later(self, seconds: float) -> None:
        self.world.clock.advance(seconds)
        self.desk.wake()

    def counted(self, metric: str, **labels: str) -> float:
        name = f"postwatch_alerter_{metric}"
        found = [each.value for each in self.tally.readings(["ops"]) if each.metric == name
                 and labels.items() <= each.labels.items()]  # fmt: skip
        assert len(found) == 1
        assert isinstance(found[0], int | float)
        return found[0]


@pytest.fixture
def bench(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Parameters: how often it may be sent to, and its moods."""
    rate, *moods = getattr(request, "param", (Rate(1000, 1.0),))
    with booked.world("sqlite", request, tmp_path) as world:
        made = Bench(world, rate, *moods)
        yield made
        made.desk.stop(10)


OFTEN = Rate(1000, 1.0)


@pytest.mark.parametrize("bench", [(OFTEN, DOWN, RuntimeError("a defect"))], indirect=True)
def test_what_failed_is_tried_again_after_a_pause(bench: Bench) -> None:
    bench.world.hear(firing("W", "warning"))
    bench.desk.start()
    for count in (1, 2):
        bench.tried(count)
        assert (bench.row().state, bench.row().next_at) == ("pending", bench.world.clock.now() + PAUSE)
        bench.later(PAUSE)
    bench.tried(3)
    assert bench.row().state == "accepted"
    assert (bench.row().attempts, len({each.delivery_id for each in bench.receiver.tried})) == (3, 1)
    failures = {reason: bench.counted("delivery_failures_total", reason=reason) for reason in Reason}
    assert {reason: count for reason, count in failures.items() if count} == {"unavailable": 1, "internal": 1}
    assert bench.counted("deliveries_total", outcome="accepted") == 1


@pytest.mark.parametrize("bench", [(OFTEN, UNSURE, UNSURE)], indirect=True)
def test_what_may_have_arrived_and_cannot_be_told_from_another_is_tried_once_more(bench: Bench) -> None:
    bench.world.hear(firing("W", "warning"))
    bench.desk.start()
    bench.tried(1)
    bench.later(PAUSE)
    bench.tried(2)
    assert (bench.row().state, bench.row().reason) == ("dead", "timeout")
    assert bench.counted("deliveries_total", outcome="dead") == 1


@pytest.mark.parametrize("bench", [(OFTEN, NEVER)], indirect=True)
def test_a_final_refusal_is_a_dead_letter_at_once(bench: Bench) -> None:
    bench.world.hear(firing("W", "warning"))
    bench.desk.start()
    bench.tried(1)
    row = bench.row()
    assert (row.state, row.reason, row.error) == ("dead", "rejected", "400")


@pytest.mark.parametrize("bench", [(OFTEN, LIMITED)], indirect=True)
def test_whoever_asks_for_a_pause_gets_it_and_it_counts_as_no_attempt(bench: Bench) -> None:
    bench.world.hear(firing("W", "warning"))
    bench.desk.start()
    bench.tried(1)
    assert (bench.row().attempts, bench.row().next_at) == (0, bench.world.clock.now() + 100.0)
    bench.later(99.0)
    bench.world.hear(firing("X", "warning"))  # nor is anything else sent meanwhile
    bench.later(0.5)
    assert bench.desk.circuit.wait() == 0.5
    assert len(bench.receiver.tried) == 1
    bench.later(0.5)
    eventually(lambda: len(bench.receiver.tried) == 3, within=20)


@pytest.mark.parametrize("bench", [(OFTEN, REFUSED, REFUSED)], indirect=True)
def test_a_refused_credential_costs_no_message_its_attempts(bench: Bench) -> None:
    bench.world.hear(firing("W", "warning"))
    bench.desk.start()
    bench.tried(1)
    assert (bench.desk.circuit.refused, bench.row().attempts, bench.row().state) == (True, 0, "pending")
    assert bench.row().next_at == bench.world.clock.now()
    bench.later(bench.desk.circuit.wait())
    bench.tried(2)
    bench.later(bench.desk.circuit.wait())
    bench.tried(3)
    assert (bench.row().attempts, bench.row().state) == (1, "accepted")


@pytest.mark.parametrize("bench", [(Rate(1, 1.0),)], indirect=True)
def test_more_than_the_rate_bears_is_one_message(bench: Bench) -> None:
    count = int(PATIENCE) + 10
    bench.world.hear(*(firing(f"W{number}", "warning") for number in range(count)))
    bench.desk.start()
    eventually(lambda: {state for *_, state in bench.world.states()} == {"accepted"}, within=20)
    (message,) = bench.receiver.tried
    assert message.storm is not None
    assert message.storm.count == count
    assert bench.counted("deliveries_total", outcome="accepted") == count


@pytest.mark.parametrize("bench", [(Rate(1, 1.0),)], indirect=True)
def test_what_the_rate_bears_is_told_one_by_one(bench: Bench) -> None:
    bench.world.hear(*(firing(f"W{number}", "warning") for number in range(3)))
    bench.desk.start()
    for count in (1, 2, 3):
        eventually(lambda count=count: len(bench.receiver.tried) == count, within=20)  # type: ignore[misc]
        bench.later(1.1)
    assert all(each.storm is None for each in bench.receiver.tried)


@pytest.mark.parametrize("bench", [(OFTEN,)], indirect=True)
def test_a_delivery_takes_as_long_as_since_its_webhook(bench: Bench) -> None:
    bench.world.hear(firing("W", "warning"))
    bench.world.clock.advance(33.0)
    bench.desk.start()
    eventually(lambda: bench.counted("deliveries_total", outcome="accepted") == 1, within=20)
    (taken,) = [each.value for each in bench.tally.readings(["ops"]) if each.metric.endswith("delivery_seconds")
                and each.labels["alert_severity"] == "warning"]  # fmt: skip
    assert not isinstance(taken, int | float)
    assert (sum(taken.counts), taken.total) == (1, 33.0)


def test_what_is_critical_is_tried_for_a_day_and_others_for_six_hours(bench: Bench) -> None:
    bench.world.hear(firing("C"), firing("W", "warning"))
    with bench.world.store.read() as connection:
        lives = {row.receiver: row.expires_at - row.created_at for row in connection.execute(sa.select(outbox))}
    assert lives == {"oncall": CRITICAL_LIFE, "ops": LIFE} == {"oncall": 86_400.0, "ops": 21_600.0}
