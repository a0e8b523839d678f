"""What one database pays for being watched, over simulated hours."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chassis.clock import ManualClock
from exporter.sampling.budget import FRESH, LEAST, URGENT, Budget

RATIO = 0.005
HOUR = 3600.0
TICK = 0.5


@dataclass
class Worker:
    """A sampler whose runs cost `base` seconds, within a half more or less, and `rate` for each since its last."""

    name: str
    urgency: int
    interval: float
    base: float
    rate: float = 0.0
    starts: list[float] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)
    intervals: list[float] = field(default_factory=list)

    def cost(self, now: float, rng: random.Random) -> float:
        since = now - self.starts[-1] if self.starts else self.interval
        return self.base * rng.uniform(0.5, 1.5) + self.rate * since


def live(workers: list[Worker], seconds: float = HOUR, seed: int = 0, ratio: float = RATIO) -> None:
    """Runs each whenever its interval has passed and it need not wait; checks the sum at every moment."""
    clock, rng = ManualClock(), random.Random(seed)
    budget = Budget(ratio, clock)
    for worker in workers:
        budget.join(worker.name, worker.urgency, worker.interval)
    spent = 0.0
    while clock.monotonic() < seconds:
        now = clock.monotonic()
        for worker in workers:
            if worker.starts and now < worker.starts[-1] + worker.intervals[-1] - 1e-9:
                continue
            if budget.wait(worker.name):
                assert worker.starts, "nobody waits for the first run"
                continue
            cost = worker.cost(now, rng)
            budget.spent(worker.name, cost, incremental=worker.rate > 0)
            spent += cost
            worker.starts.append(now)
            worker.costs.append(cost)
            worker.intervals.append(budget.interval(worker.name))
            assert worker.intervals[-1] >= worker.interval
        assert spent <= ratio * now + sum(max(worker.costs) for worker in workers), f"after {now} s"
        clock.advance(TICK)


COSTS = st.floats(0.0001, 0.4)
OTHERS = st.lists(st.tuples(st.integers(1, 5), st.sampled_from([5.0, 15.0, 60.0]), COSTS), max_size=5)


@settings(max_examples=15, deadline=None)
@given(st.floats(0.0001, 0.1), OTHERS, st.integers(0, 2**32))
def test_an_hour_costs_no_more_than_it_may(urgent: float, others: list[tuple[int, float, float]], seed: int) -> None:
    rest = [Worker(f"w{i}", *one) for i, one in enumerate(others)]
    live([Worker("changes", 0, 5.0, urgent), *rest], seed=seed)


@settings(max_examples=15, deadline=None)
@given(st.floats(0.0001, 0.004), st.floats(0.0001, 0.0028), OTHERS, st.integers(0, 2**32))
def test_an_hour_of_increments_costs_no_more_than_it_may(
    base: float, rate: float, others: list[tuple[int, float, float]], seed: int
) -> None:
    changes = Worker("changes", 0, 5.0, base, rate)
    live([changes, *(Worker(f"w{i}", *one) for i, one in enumerate(others))], seed=seed)
    assert max(changes.intervals) <= FRESH


@settings(max_examples=10, deadline=None)
@given(OTHERS, st.integers(0, 2**32))
def test_the_most_urgent_keeps_its_interval_while_that_is_affordable(
    others: list[tuple[int, float, float]], seed: int
) -> None:
    changes = Worker("changes", 0, 5.0, 5.0 * RATIO * URGENT / 1.5, rate=1e-9)
    live([changes, *(Worker(f"w{i}", *one) for i, one in enumerate(others))], 600.0, seed)
    assert set(changes.intervals) == {5.0}
    assert changes.starts == [5.0 * i for i in range(120)]


def test_nobody_starves() -> None:
    workers = [Worker("changes", 0, 5.0, 0.02), Worker("counts", 2, 5.0, 0.1), Worker("drift", 5, 60.0, 0.1)]
    live(workers)
    for worker in workers:
        gaps = [b - a for a, b in pairwise(worker.starts)]
        assert max(gaps) < 1000, worker.name
    assert sum(map(sum, (w.costs for w in workers))) > 0.7 * RATIO * HOUR  # what may be spent is spent


class Account:
    """A budget whose samplers have run once, each at the cost given."""

    def __init__(self, **costs: tuple[int, float, float]) -> None:
        self.clock = ManualClock()
        self.budget = Budget(RATIO, self.clock)
        for name, (urgency, interval, _) in costs.items():
            self.budget.join(name, urgency, interval)
        for name, (_, _, cost) in costs.items():
            self.budget.spent(name, cost)

    def __getitem__(self, name: str) -> float:
        return self.budget.interval(name)


def test_the_less_urgent_is_stretched_twice_as_much_as_the_next() -> None:
    account = Account(a=(1, 5.0, 1.0), b=(2, 5.0, 1.0), c=(4, 5.0, 1.0))
    assert account["b"] == pytest.approx(2 * account["a"])
    assert account["c"] == pytest.approx(8 * account["a"])
    assert sum(1.0 / account[name] for name in "abc") == pytest.approx(RATIO)


def test_others_share_what_the_most_urgent_leave() -> None:
    account = Account(changes=(0, 5.0, 0.01), counts=(2, 5.0, 1.0))
    assert account["changes"] == 5.0
    assert account["counts"] == pytest.approx(1.0 / (RATIO - 0.01 / 5.0))


def test_the_most_urgent_leave_something() -> None:
    account = Account(changes=(0, 5.0, 10.0), counts=(2, 5.0, 1.0))
    assert account["changes"] == pytest.approx(10.0 / (URGENT * RATIO))
    assert account["counts"] == pytest.approx(1.0 / (LEAST * RATIO))


def test_what_is_cheap_is_not_stretched() -> None:
    account = Account(changes=(0, 5.0, 0.001), counts=(2, 5.0, 0.001), failed=(4, 60.0, 0.001))
    assert [account[name] for name in ("changes", "counts", "failed")] == [5.0, 5.0, 60.0]


@pytest.mark.parametrize(("interval", "longest"), [(1.0, FRESH), (5.0, FRESH), (30.0, 30.0)])
def test_increments_are_never_put_off_past_freshness(interval: float, longest: float) -> None:
    budget = Budget(RATIO, ManualClock())
    budget.join("changes", 0, interval)
    for _ in range(20):
        budget.spent("changes", 100.0, incremental=True)
        assert interval <= budget.interval("changes") <= longest
    assert budget.interval("changes") == longest


def test_debt_is_paid_at_the_rate_of_the_budget() -> None:
    account = Account(changes=(0, 5.0, 0.1), counts=(2, 5.0, 0.1))
    account.budget.join("drift", 5, 60.0)
    assert account.budget.wait("changes") == pytest.approx(0.1 / RATIO)  # it reads a whole table, and pays for that
    account.clock.advance(0.1 / RATIO)
    assert account.budget.wait("changes") == 0  # for that alone
    assert account.budget.wait("counts") == pytest.approx(0.1 / RATIO)
    account.budget.spent("changes", 0.2, incremental=True)
    assert account.budget.wait("changes") == 0
    assert account.budget.wait("counts") == pytest.approx(0.3 / RATIO)
    assert account.budget.wait("drift") == 0  # it has not run yet
    account.clock.advance(50.0)
    assert account.budget.wait("counts") == pytest.approx(0.3 / RATIO - 50)
    account.clock.advance(1000.0)
    assert account.budget.wait("counts") == 0


def test_what_was_not_spent_is_not_saved_up() -> None:
    account = Account(counts=(2, 5.0, 0.1))
    account.clock.advance(HOUR)
    account.budget.spent("counts", 0.1)
    assert account.budget.wait("counts") == pytest.approx(0.1 / RATIO)


def test_steps_of_the_wall_clock_pay_no_debt() -> None:
    account = Account(counts=(2, 5.0, 0.1))
    account.clock.step(HOUR)
    assert account.budget.wait("counts") == pytest.approx(0.1 / RATIO)


def test_a_run_that_asked_nothing_teaches_nothing() -> None:
    account = Account(counts=(2, 5.0, 1.0))
    before = account["counts"]
    account.budget.spent("counts", 0.0)
    assert account["counts"] == before
