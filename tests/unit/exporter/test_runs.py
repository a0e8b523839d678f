"""One run of a sampler: what it publishes, for how long that is served, and what is told of its outcome."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from chassis.clock import ManualClock
from chassis.exposition import Reading
from exporter.model import Reason, SampleFailed
from exporter.sampling.sampler import Run
from tests.unit.exporter.bench import DEPTH, REFUSED, Bench, nothing, told, work


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
