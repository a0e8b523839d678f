"""Samplers at work: never two runs of one, none hurt by another, and no clock that stops them."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any

import pytest
from apscheduler.schedulers import base as apscheduler_base
from prometheus_client.parser import text_string_to_metric_families as read_text
from structlog.testing import capture_logs

from chassis.board import Board
from chassis.clock import Clock, ManualClock, SystemClock
from chassis.exposition import Format, Reading
from exporter.catalogue import CATALOGUE
from exporter.model import Reason, SampleFailed
from exporter.queues.base import Work
from exporter.sampling import scheduler
from exporter.sampling.budget import Budget
from exporter.sampling.outcome import Outcome
from exporter.sampling.sampler import Run
from exporter.sampling.scheduler import Sampling
from tests.support.wait import eventually

DEPTH = "postwatch_queue_depth"
REFUSED = SampleFailed(Reason.REFUSED, "db:5432: refused", "check the address", about="db:5432")


class SteppingClock(SystemClock):
    """Runs as ever, but its wall clock can be set."""

    offset = 0.0

    def now(self) -> float:
        return super().now() + self.offset


def nothing(_run: Run) -> None:
    """A run that succeeds."""


def work(do: Callable[[Run], None], kind: str = "counts", interval: float = 5.0, **more: Any) -> Work:
    given: dict[str, Any] = {"source": "mail", "timeout": 3.0, "stale_after": 30.0, "account": "", "labels": {}, **more}
    return Work(kind, interval=interval, work=do, **given)


def new_board(clock: Clock) -> Board:
    return Board([metric.family for metric in CATALOGUE], clock)


def told(board: Board, metric: str) -> dict[tuple[tuple[str, str], ...], float]:
    return {
        tuple(sorted(sample.labels.items())): sample.value
        for family in read_text(board.body(Format.TEXT).decode())
        for sample in family.samples
        if sample.name == metric
    }


@dataclass
class Bench:
    """Samplers that are run by hand, on a clock that stands still."""

    clock: ManualClock
    board: Board
    sampling: Sampling

    @classmethod
    def of(cls, *samplers: Work, ratio: float | None = None, before: Mapping[str, Outcome] | None = None) -> Bench:
        clock = ManualClock()
        board = new_board(clock)
        budgets = {"db": Budget(ratio, clock)} if ratio else {}
        return cls(clock, board, Sampling(samplers, budgets, board, clock, before))

    def of_sampler(self, metric: str, kind: str = "counts") -> float:
        name = f"postwatch_sampler_{metric}"
        (value,) = [v for labels, v in told(self.board, name).items() if ("sampler", kind) in labels]
        return value


class TestOneRun:
    def test_what_is_published_is_served_until_it_is_too_old(self) -> None:
        bench = Bench.of(work(lambda run: run.publish("source mail: living", [Reading(DEPTH, {"queue": "a"}, 7)])))
        bench.sampling.run_once("counts/mail")
        assert told(bench.board, DEPTH) == {(("queue", "a"),): 7}
        bench.clock.advance(29.9)
        assert told(bench.board, DEPTH)
        bench.clock.advance(0.1)
        assert not told(bench.board, DEPTH)

    def test_long_intervals_make_long_lives(self) -> None:
        publish = work(lambda run: run.publish("a", [Reading(DEPTH, {}, 7)]), interval=60.0, timeout=10.0)
        bench = Bench.of(publish)
        bench.sampling.run_once("counts/mail")
        bench.clock.advance(3 * 60 + 9.9)
        assert told(bench.board, DEPTH)
        bench.clock.advance(0.2)
        assert not told(bench.board, DEPTH)

    def test_the_life_may_be_that_of_another_sampler(self) -> None:
        slow = work(lambda run: run.publish("a", [Reading(DEPTH, {}, 7)], pace="changes"), interval=600.0)
        bench = Bench.of(slow, work(nothing, "changes"))
        bench.sampling.run_once("counts/mail")
        bench.clock.advance(30.0)
        assert not told(bench.board, DEPTH)

    def test_what_a_failed_run_had_published_is_served(self) -> None:
        def half(run: Run) -> None:
            run.publish("a", [Reading(DEPTH, {}, 7)])
            raise REFUSED

        bench = Bench.of(work(half))
        bench.sampling.run_once("counts/mail")
        assert told(bench.board, DEPTH) == {(): 7}

    def test_an_outcome_is_told_by_metrics(self) -> None:
        outcomes: Iterator[SampleFailed | None] = iter([None, REFUSED, REFUSED, None])

        def sample(run: Run) -> None:
            bench.clock.advance(0.3)
            run.spent(0.2)
            if failure := next(outcomes):
                raise failure

        bench = Bench.of(work(sample, labels={"team": "x"}))
        assert (bench.of_sampler("up"), bench.of_sampler("runs_total")) == (0, 0)
        assert not told(bench.board, "postwatch_sampler_last_success_timestamp_seconds")
        failures = told(bench.board, "postwatch_sampler_failures_total")
        assert {dict(labels)["reason"] for labels in failures} == set(Reason)
        assert set(failures.values()) == {0}

        bench.sampling.run_once("counts/mail")
        success = bench.clock.now()
        for up in (1, 0, 0, 1):
            assert bench.of_sampler("up") == up
            assert bench.of_sampler("last_success_timestamp_seconds") == (success if up == 0 else bench.clock.now())
            if bench.of_sampler("runs_total") < 4:
                bench.sampling.run_once("counts/mail")
        labels = (("reason", "refused"), ("sampler", "counts"), ("source", "mail"), ("team", "x"))
        assert told(bench.board, "postwatch_sampler_failures_total")[labels] == 2
        assert bench.of_sampler("duration_seconds_count") == 4
        assert bench.of_sampler("duration_seconds_sum") == pytest.approx(1.2)
        assert bench.of_sampler("source_seconds_total") == pytest.approx(0.8)
        assert bench.sampling.outcomes["counts/mail"].error == ""

    def test_a_repeated_failure_is_one_line(self) -> None:
        failing = [True]

        def sample(_run: Run) -> None:
            if failing:
                raise REFUSED

        bench = Bench.of(work(sample), work(sample, "changes"), work(sample, source="other"))
        with capture_logs() as lines:
            for _ in range(3):
                for name in ("counts/mail", "changes/mail", "counts/other"):
                    bench.sampling.run_once(name)
        assert [(line["event"], line["source"], line["reason"], line["error"]) for line in lines] == [
            ("sampler_failed", source, "refused", "db:5432: refused; check the address") for source in ("mail", "other")
        ]
        failing.clear()
        with capture_logs() as lines:
            for _ in range(3):
                for name in ("counts/mail", "changes/mail"):
                    bench.sampling.run_once(name)
        assert [(line["event"], line["log_level"]) for line in lines] == [("sampler_recovered", "info")]

    def test_a_defect_is_told_with_its_stack_once(self) -> None:
        def sample(_run: Run) -> None:
            raise ZeroDivisionError("by zero")

        bench = Bench.of(work(sample))
        with capture_logs() as lines:
            for _ in range(3):
                bench.sampling.run_once("counts/mail")
        assert [line["event"] for line in lines] == ["sampler_failed", "sampler_defect"]
        assert "ZeroDivisionError: by zero" in lines[1]["stack"]
        outcome = bench.sampling.outcomes["counts/mail"]
        assert (outcome.failures[Reason.INTERNAL], outcome.up) == (3, False)

    def test_the_budget_stretches_and_says_so(self) -> None:
        bench = Bench.of(work(lambda run: run.spent(0.5), "changes", account="db"), ratio=0.005)
        assert bench.of_sampler("interval_seconds", "changes") == 5
        bench.sampling.run_once("changes/mail")
        assert bench.of_sampler("interval_seconds", "changes") == pytest.approx(0.5 / (0.75 * 0.005))

    def test_counters_go_on_after_a_reload(self) -> None:
        first = Bench.of(work(nothing))
        first.sampling.run_once("counts/mail")
        second = Bench.of(work(nothing, interval=9.0), before=first.sampling.outcomes)
        second.sampling.run_once("counts/mail")
        assert (second.of_sampler("runs_total"), second.of_sampler("interval_seconds")) == (2, 9)

    def test_time_left_is_never_negative(self) -> None:
        clock = ManualClock()
        run = Run(clock, 3.0)
        clock.advance(2.0)
        assert run.left == 1
        clock.advance(2.0)
        assert run.left == 0


@contextmanager
def at_work(*samplers: Work, clock: Clock | None = None) -> Iterator[tuple[Sampling, Board]]:
    clock = clock or SystemClock()
    board = new_board(clock)
    sampling = Sampling(samplers, {}, board, clock)
    sampling.start()
    try:
        yield sampling, board
    finally:
        sampling.stop(5.0)


class TestAtWork:
    def test_one_that_is_slow_never_runs_twice_at_once_and_delays_nobody(self) -> None:
        together: Counter[int] = Counter()
        running, quick = [0], [0]

        def slow(_run: Run) -> None:
            running[0] += 1
            together[running[0]] += 1
            threading.Event().wait(0.1)
            running[0] -= 1

        def count(_run: Run) -> None:
            quick[0] += 1

        with at_work(work(slow, "counts", 0.01), work(count, "changes", 0.02)):
            eventually(lambda: together[1] >= 5)
        assert set(together) == {1}
        assert quick[0] > 5

    def test_failures_and_defects_leave_the_others_alone_and_are_tried_again(self) -> None:
        runs: Counter[str] = Counter()

        def sample(name: str, error: Exception | None) -> Callable[[Run], None]:
            def do(_run: Run) -> None:
                runs[name] += 1
                if error:
                    raise error

            return do

        errors = {"counts": REFUSED, "drift": ZeroDivisionError("x"), "changes": None}
        with at_work(*(work(sample(kind, error), kind, 0.02) for kind, error in errors.items())) as (sampling, _):
            eventually(lambda: min(runs[kind] for kind in errors) >= 4)
        assert [sampling.outcomes[f"{kind}/mail"].up for kind in errors] == [False, False, True]

    def test_a_run_may_ask_for_the_next_one_sooner(self) -> None:
        starts: list[float] = []

        def sample(run: Run) -> None:
            starts.append(run.started)
            run.again_in = 0.02 if len(starts) < 4 else None

        with at_work(work(sample, interval=60.0, source="s")) as (sampling, _):
            # The first start is within a second, as others of the process start too.
            eventually(lambda: len(starts) == 4)
            outcome = sampling.outcomes["counts/s"]
            eventually(lambda: (outcome.next_run or 0) > SystemClock().now() + 50)
        assert starts[-1] - starts[0] < 5
        assert outcome.interval == 60

    def test_an_end_waits_for_what_is_under_way(self) -> None:
        began, release, ended = threading.Event(), threading.Event(), threading.Event()

        def sample(_run: Run) -> None:
            began.set()
            release.wait(10)
            ended.set()

        with at_work(work(sample, interval=0.01)) as (sampling, board):
            assert began.wait(10)
            threading.Timer(0.2, release.set).start()
            sampling.stop(10)
            assert ended.is_set()
            assert not told(board, "postwatch_sampler_runs_total")
            assert sampling.outcomes["counts/mail"].runs == 1

    def test_an_end_waits_no_longer_than_it_may_and_what_comes_later_is_not_served(self) -> None:
        began, release = threading.Event(), threading.Event()

        def sample(run: Run) -> None:
            began.set()
            release.wait(30)
            run.publish("source mail: living", [Reading(DEPTH, {}, 7), Reading("postwatch_build_info", {}, 1)])

        with at_work(work(sample, interval=0.01)) as (sampling, board):
            assert began.wait(10)
            clock = SystemClock()
            before = clock.monotonic()
            sampling.stop(0.2)
            assert 0.2 <= clock.monotonic() - before < 5
            release.set()
            eventually(lambda: sampling._running == 0)
            assert board.body(Format.TEXT) == b""

    def test_nothing_starts_after_the_end(self) -> None:
        runs = [0]

        def sample(_run: Run) -> None:
            runs[0] += 1

        with at_work(work(sample, interval=0.01)) as (sampling, _):
            eventually(lambda: runs[0] > 2)
            sampling.stop(5)
            after = runs[0]
            threading.Event().wait(0.1)
            assert runs[0] == after

    @pytest.mark.parametrize("step", [3600.0, -3600.0])
    def test_a_step_of_the_wall_clock_stops_nobody(self, step: float, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = SteppingClock()

        class Now(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> Now:
                return cls.fromtimestamp(clock.now(), tz)

        monkeypatch.setattr(apscheduler_base, "datetime", Now)
        monkeypatch.setattr(scheduler, "CLOCK_WATCH", 0.25)
        runs: Counter[str] = Counter()

        def sample(kind: str) -> Callable[[Run], None]:
            return lambda _run: runs.update([kind])

        with (
            capture_logs() as lines,
            at_work(
                *(work(sample(kind), kind, interval) for kind, interval in (("changes", 0.05), ("counts", 0.6))),
                work(sample("drift"), "drift", 60.0),
                clock=clock,
            ),
        ):
            eventually(lambda: runs["changes"] > 2 and runs["counts"] > 1)
            clock.offset = step
            before = runs.copy()
            # More than one look at the clock, so that what was planned in between is seen to go on too.
            eventually(lambda: runs["changes"] > before["changes"] + 12 and runs["counts"] > before["counts"] + 2, 8)
            eventually(lambda: [line["seconds"] for line in lines] == [pytest.approx(step, abs=0.1)])
            assert runs["drift"] <= 2
