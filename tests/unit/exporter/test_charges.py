"""Who pays for what a run spends."""

import pytest

from chassis.board import Board
from chassis.clock import ManualClock
from exporter.catalogue import CATALOGUE
from exporter.queues.base import Work
from exporter.sampling.budget import Budget
from exporter.sampling.sampler import Run, Sampler
from exporter.sampling.scheduler import Sampling

NOW = 1_800_000_000.0


def test_a_run_tells_its_account_from_others() -> None:
    run = Run(ManualClock(NOW), 3.0)
    run.spent(1.0)
    run.spent(2.0, "database")
    run.spent(4.0, "redis")
    assert run.source_seconds == 7
    assert run.charged("database") == 3
    assert run.charged("redis") == 5


def test_time_of_another_store_is_no_debt_of_the_database() -> None:
    clock = ManualClock(NOW)

    def compare(run: Run) -> None:
        run.spent(0.5)
        run.spent(30.0, "redis")

    sampler: Sampler = Work("drift", "mail", 60.0, 30.0, 30.0, "database", {}, compare)
    budget = Budget(0.01, clock)
    sampling = Sampling([sampler], {"database": budget}, Board([metric.family for metric in CATALOGUE], clock), clock)
    outcome = sampling.run_once("drift/mail")
    assert budget.wait("drift/mail") == 50
    assert outcome.source_seconds == 30.5


def test_who_asks_two_stores_owes_both() -> None:
    clock = ManualClock(NOW)

    def compare(run: Run) -> None:
        run.spent(0.5)
        run.spent(0.9, "redis")

    sampler: Sampler = Work("drift", "mail", 60.0, 30.0, 30.0, "database", {}, compare)
    budgets = {"database": Budget(0.01, clock), "redis": Budget(0.005, clock)}
    sampling = Sampling([sampler], budgets, Board([metric.family for metric in CATALOGUE], clock), clock)
    outcome = sampling.run_once("drift/mail")
    assert budgets["database"].wait("drift/mail") == pytest.approx(50)
    assert budgets["redis"].wait("drift/mail") == pytest.approx(180)
    # The poorer of the two sets the pace.
    assert outcome.interval == pytest.approx(180)
