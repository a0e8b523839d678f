"""How many messages a receiver is sent, and whether it is worth trying."""

import pytest

from alerter.delivery.circuit import FAILURES, Circuit, State
from alerter.delivery.pace import PATIENCE, Pace
from alerter.model import Reason
from alerter.receivers.base import DeliveryFailed, Rate
from chassis.backoff import Backoff
from chassis.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


# Pace


def test_no_more_are_sent_than_the_rate_allows_in_any_stretch_of_its_length(clock: ManualClock) -> None:
    pace, sent = Pace(Rate(10, 60.0), clock), []
    for _ in range(3000):
        if free := pace.free(urgent=True):
            pace.take(free)
            sent += [clock.monotonic()] * free
        assert bool(pace.wait()) == (pace.free(urgent=True) == 0)
        clock.advance(0.1)
    assert len(sent) == 10 * 5
    assert all(later - first > 60.0 for first, later in zip(sent, sent[10:], strict=False))


def test_after_the_wait_one_more_may_be_sent(clock: ManualClock) -> None:
    pace = Pace(Rate(2, 1.0), clock)
    pace.take(1)
    clock.advance(0.5)
    pace.take(1)
    wait = pace.wait()
    assert 0.5 < wait < 0.6
    clock.advance(wait)
    assert (pace.wait(), pace.free(urgent=True)) == (0.0, 1)


@pytest.mark.parametrize(("count", "ordinary"), [(100, 80), (5, 4), (4, 4), (1, 1)])
def test_a_share_is_kept_for_what_is_urgent(clock: ManualClock, count: int, ordinary: int) -> None:
    pace = Pace(Rate(count, 60.0), clock)
    assert (pace.free(urgent=False), pace.free(urgent=True)) == (ordinary, count)
    pace.take(ordinary)
    assert (pace.free(urgent=False), pace.free(urgent=True)) == (0, count - ordinary)


@pytest.mark.parametrize(("rate", "bearable"), [(Rate(120, 60.0), 30), (Rate(1, 1.0), PATIENCE), (Rate(10, 3600.0), 1)])
def test_what_waits_for_more_than_a_quarter_of_a_minute_is_a_storm(
    clock: ManualClock, rate: Rate, bearable: float
) -> None:
    assert Pace(rate, clock).bearable == bearable


# Circuit

DOWN = DeliveryFailed(Reason.UNAVAILABLE, "503", retry=True)
REFUSED = DeliveryFailed(Reason.AUTH, "401", retry=True, opens_circuit=True)
LIMITED = DeliveryFailed(Reason.RATE_LIMITED, "429", retry=True, after=7.0)
UNFIT = DeliveryFailed(Reason.REJECTED, "400", retry=False)


@pytest.fixture
def circuit(clock: ManualClock) -> Circuit:
    return Circuit(clock, Backoff(2.0, 30.0))


def opened(circuit: Circuit) -> Circuit:
    for _ in range(FAILURES):
        circuit.trying()
        circuit.failed(DOWN)
    return circuit


def test_some_failures_in_a_row_open_it(circuit: Circuit, clock: ManualClock) -> None:
    for _ in range(FAILURES - 1):
        circuit.failed(DOWN)
    circuit.succeeded()
    for _ in range(FAILURES - 1):
        circuit.failed(DOWN)
    assert (circuit.state, circuit.permits(16), circuit.open_since) == (State.OK, 16, None)
    circuit.failed(DOWN)
    assert (circuit.state, circuit.permits(16), circuit.wait()) == (State.OPEN, 0, 2.0)
    assert (circuit.error, circuit.refused, circuit.open_since) == ("503", False, clock.now())


def test_one_tries_it_and_the_others_wait_for_the_outcome(circuit: Circuit, clock: ManualClock) -> None:
    opened(circuit)
    clock.advance(2.0)
    assert circuit.permits(16) == 1
    circuit.trying()
    assert circuit.permits(16) == 0
    circuit.failed(DOWN)
    assert circuit.wait() == 4.0  # longer each time
    clock.advance(4.0)
    circuit.trying()
    circuit.succeeded()
    assert (circuit.state, circuit.permits(16), circuit.error) == (State.OK, 16, "")


def test_pauses_are_half_a_minute_at_most(circuit: Circuit, clock: ManualClock) -> None:
    opened(circuit)
    for _ in range(20):
        clock.advance(circuit.wait())
        assert circuit.permits(1) == 1
        circuit.trying()
        circuit.failed(DOWN)
    assert circuit.wait() == 30.0


def test_an_outcome_that_never_comes_is_not_waited_for(circuit: Circuit, clock: ManualClock) -> None:
    opened(circuit)
    clock.advance(2.0)
    circuit.trying()
    clock.advance(61.0)
    assert circuit.permits(16) == 1


def test_a_refused_credential_opens_it_at_once(circuit: Circuit) -> None:
    circuit.failed(REFUSED)
    assert (circuit.state, circuit.refused, circuit.permits(16)) == (State.OPEN, True, 0)


def test_whoever_asks_for_a_pause_gets_it(circuit: Circuit, clock: ManualClock) -> None:
    for _ in range(2 * FAILURES):
        circuit.failed(LIMITED)
    assert (circuit.state, circuit.permits(16), circuit.wait()) == (State.THROTTLED, 0, 7.0)
    clock.advance(7.0)
    assert (circuit.state, circuit.permits(16)) == (State.OK, 16)


def test_a_message_that_is_refused_for_its_own_sake_says_that_somebody_is_there(circuit: Circuit) -> None:
    opened(circuit).failed(UNFIT)
    assert circuit.state is State.OK
