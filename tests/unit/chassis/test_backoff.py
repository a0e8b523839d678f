"""Waits grow, are bounded, and differ."""

import random

from chassis.backoff import Backoff


def test_the_bound_doubles_up_to_the_cap() -> None:
    backoff = Backoff(base=1, cap=60)
    assert [backoff.bound(attempt) for attempt in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]


def test_no_attempt_overflows() -> None:
    assert Backoff(base=1, cap=60).bound(100_000) == 60


def test_waits_are_spread_over_the_whole_range() -> None:
    backoff = Backoff(base=8, cap=60, rng=random.Random(1))
    delays = sorted(backoff.delay(0) for _ in range(1000))
    assert 0 <= delays[0] < 0.1
    assert 7.9 < delays[-1] <= 8
    assert 3.5 < delays[500] < 4.5


def test_the_same_seed_gives_the_same_waits() -> None:
    one, other = (Backoff(base=1, cap=60, rng=random.Random(7)) for _ in range(2))
    assert [one.delay(n) for n in range(9)] == [other.delay(n) for n in range(9)]
