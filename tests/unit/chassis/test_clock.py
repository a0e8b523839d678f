"""The system's clocks, and one that a test moves."""

import time

import pytest

from chassis.clock import Clock, ManualClock, SystemClock


def test_the_system_clock_tells_the_systems_time() -> None:
    clock: Clock = SystemClock()
    assert abs(clock.now() - time.time()) < 5
    assert clock.monotonic() <= time.monotonic()


def test_a_manual_clock_moves_when_told() -> None:
    clock = ManualClock(now=1000)
    clock.advance(5)
    assert (clock.now(), clock.monotonic()) == (1005, 5)


def test_a_stepped_wall_clock_leaves_monotonic_time_alone() -> None:
    clock = ManualClock(now=1000)
    clock.step(-100)
    assert (clock.now(), clock.monotonic()) == (900, 0)


def test_time_does_not_go_back() -> None:
    with pytest.raises(ValueError, match="time goes forward"):
        ManualClock().advance(-1)
