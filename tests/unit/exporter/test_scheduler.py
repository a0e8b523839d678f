"""Samplers at work: never two runs of one, none hurt by another, and no clock that stops them."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, tzinfo

import pytest
from apscheduler.schedulers import base as apscheduler_base
from structlog.testing import capture_logs

from chassis.board import Board
from chassis.clock import Clock, SystemClock
from chassis.exposition import Format, Reading
from exporter.queues.base import Work
from exporter.sampling import scheduler
from exporter.sampling.sampler import Run
from exporter.sampling.scheduler import Sampling
from tests.support.wait import eventually
from tests.unit.exporter.bench import DEPTH, REFUSED, new_board, told, work


class SteppingClock(SystemClock):
    """Runs as ever, but its wall clock can be set."""

    offset = 0.0

    def now(self) -> float:
        return super().now() + self.offset


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
