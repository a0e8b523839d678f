"""Runs samplers on APScheduler: own intervals, jittered starts, one run of each at a time."""

from __future__ import annotations

import logging
import random
import threading
import traceback
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler

from chassis.board import Board
from chassis.clock import Clock
from chassis.log import get_logger
from exporter.model import Reason, SampleFailed
from exporter.sampling.budget import Budget
from exporter.sampling.incidents import Cause, Incidents
from exporter.sampling.outcome import Outcome
from exporter.sampling.sampler import URGENCY, Run, Sampler

log = get_logger(__name__)

# Samplers wait for their sources most of the time: a thread each, so that silent sources delay nobody, up to this.
MAX_THREADS = 200
MOST_DEBT = 0.05  # seconds of waiting for the budget that are not worth a delay
CLOCK_WATCH = 1.0  # seconds between looks at the wall clock
CLOCK_STEP = 0.5  # seconds that count as a step
STARTUP_SPREAD = 0.25  # of the first interval: samplers of one process do not all start at once
FIRST_INTERVAL = 0.5  # of an interval at the least: what started together does not go on together


class Sampling:
    """All samplers at work. Each run is followed by its next, as far away as its budget says."""

    def __init__(
        self,
        samplers: Iterable[Sampler],
        budgets: Mapping[str, Budget],
        board: Board,
        clock: Clock,
        before: Mapping[str, Outcome] | None = None,
    ) -> None:
        """`before`: outcomes of samplers that these continue; their counters go on."""
        self._samplers = {f"{s.kind}/{s.source}": s for s in samplers}
        self._budgets = budgets
        self._board = board
        self._clock = clock
        self._incidents = Incidents()
        self._stopping = threading.Event()
        self._idle = threading.Condition()
        self._running = 0
        self._due: dict[str, tuple[str, float]] = {}  # the next run's job, and its monotonic moment
        self._rng = random.Random()
        # It tells of every run; what becomes of them is told here, and by metrics.
        logging.getLogger("apscheduler").setLevel(logging.WARNING)
        self._scheduler = BackgroundScheduler(
            timezone=UTC,
            executors={"default": ThreadPoolExecutor(min(max(len(self._samplers), 8), MAX_THREADS))},
            job_defaults={"coalesce": True, "misfire_grace_time": None},
        )
        self._watch = threading.Thread(target=self._watch_clock, name="clock-watch", daemon=True)
        self.outcomes: dict[str, Outcome] = {}
        for name, s in self._samplers.items():
            outcome = (before or {}).get(name) or Outcome(s.kind, s.source, s.labels, s.interval)
            outcome.labels, outcome.interval = s.labels, s.interval
            self.outcomes[name] = outcome
        self._payers: dict[str, set[str]] = {name: set() for name in self._samplers}  # accounts, by sampler
        for name, sampler in self._samplers.items():
            self._budget(name, sampler.account)
            self._publish(name)

    def start(self) -> None:
        """Start the background threads; returns at once."""
        self._scheduler.start()
        self._watch.start()
        for name, sampler in self._samplers.items():
            self._schedule(name, self._rng.uniform(0, STARTUP_SPREAD * min(sampler.interval, 4.0)))

    def stop(self, timeout: float) -> None:
        """Start no further run, and wait `timeout` seconds at most for those under way."""
        self._stopping.set()
        if self._scheduler.running:
            # Jobs that are due while it shuts down would end its thread by an error.
            self._scheduler.pause()
            self._scheduler.remove_all_jobs()
            self._scheduler.shutdown(wait=False)
        with self._idle:
            self._idle.wait_for(lambda: self._running == 0, timeout)
        for name in self._samplers:
            self._board.withdraw(f"sampler {name}")

    def run_once(self, name: str) -> Outcome:
        """Run one sampler now, in this thread."""
        sampler = self._samplers[name]
        outcome = self.outcomes[name]
        run = Run(self._clock, sampler.timeout)
        started = self._clock.now()
        failure: SampleFailed | None = None
        stack = ""
        try:
            sampler.sample(run)
        except SampleFailed as error:
            failure = error
        except Exception as error:  # a defect: this sampler's alone, and told with all that helps to mend it
            failure = SampleFailed(
                Reason.INTERNAL, f"defect: {error!r}", "please report it", about=type(error).__name__
            )
            stack = traceback.format_exc()
        seconds = self._clock.monotonic() - run.started
        outcome.finished(started, seconds, run.source_seconds)
        outcome.soon = run.again_in
        intervals = [sampler.interval]
        for account, spent in {**run.elsewhere, sampler.account: run.charged(sampler.account)}.items():
            if budget := self._budget(name, account):
                budget.spent(name, spent, incremental=run.incremental)
                intervals.append(budget.interval(name))
        outcome.interval = max(intervals)
        if self._stopping.is_set():
            return outcome  # what is served is another's by now
        for owner, readings in run.published.items():
            pace = f"{run.paces[owner]}/{sampler.source}" if owner in run.paces else name
            self._board.publish(owner, readings, self._lifetime(pace))
        if failure is None:
            outcome.succeeded(self._clock.now())
            if self._incidents.recovered(name):
                log.info("sampler_recovered", sampler=sampler.kind, source=sampler.source)
        else:
            outcome.failed(failure.reason, str(failure))
            if self._incidents.failed(name, Cause(sampler.source, failure.reason, failure.about)):
                about = {"sampler": sampler.kind, "source": sampler.source, "reason": failure.reason.value}
                log.warning("sampler_failed", **about, error=str(failure))
                if stack:
                    log.error("sampler_defect", **about, stack=stack)
        self._publish(name)
        return outcome

    def _run(self, name: str) -> None:
        with self._idle:
            if self._stopping.is_set():
                return
            self._running += 1
        began = self._clock.monotonic()
        wait = max((self._budgets[account].wait(name) for account in self._payers[name]), default=0.0)
        if wait > MOST_DEBT:
            self._leave()
            self.outcomes[name].interval = max(self.outcomes[name].interval, self._since_start(name) + wait)
            self._publish(name)
            self._schedule(name, wait)
            return
        first = self.outcomes[name].last_start is None
        interval = self.outcomes[name].interval
        try:
            outcome = self.run_once(name)
            interval = outcome.interval if outcome.soon is None else outcome.soon
            if first:
                interval *= self._rng.uniform(FIRST_INTERVAL, 1.0)
        finally:
            # Whatever happened: a sampler goes on.
            self._leave()
            self._schedule(name, max(0.0, interval - (self._clock.monotonic() - began)))

    def _budget(self, name: str, account: str) -> Budget | None:
        """The budget of an account, which from now on reckons with this sampler."""
        budget = self._budgets.get(account)
        if budget and account not in self._payers[name]:
            self._payers[name].add(account)
            sampler = self._samplers[name]
            budget.join(name, URGENCY.get(sampler.kind, 9), sampler.interval)
        return budget

    def _leave(self) -> None:
        with self._idle:
            self._running -= 1
            self._idle.notify_all()

    def _since_start(self, name: str) -> float:
        last = self.outcomes[name].last_start
        return 0.0 if last is None else max(0.0, self._clock.now() - last)

    def _schedule(self, name: str, delay: float) -> None:
        if self._stopping.is_set():
            return
        moment = self._clock.monotonic() + delay
        due = self._clock.now() + delay
        self.outcomes[name].next_run = due
        # A new job each time: one under the old id would be refused while that run is still winding up.
        job = self._scheduler.add_job(partial(self._run, name), "date", run_date=datetime.fromtimestamp(due, UTC))
        with self._idle:
            self._due[name] = job.id, moment

    def _watch_clock(self) -> None:
        """APScheduler waits for moments of the wall clock: when that steps, move the moments with it."""
        offset = self._clock.now() - self._clock.monotonic()
        while not self._stopping.wait(CLOCK_WATCH):
            current = self._clock.now() - self._clock.monotonic()
            step, offset = current - offset, current
            if abs(step) > CLOCK_STEP:
                log.warning("clock_stepped", seconds=round(step, 3))
            self._move(current)

    def _move(self, offset: float) -> None:
        """Plan anew what a step has moved; `offset`: from monotonic moments to those of the wall clock.

        What was planned after the step, before it was noticed, stays. So each is held against its own moment.
        """
        with self._idle:
            due = dict(self._due)
        for name, (job_id, monotonic) in due.items():
            moment = monotonic + offset
            if abs(moment - (self.outcomes[name].next_run or moment)) <= CLOCK_STEP:
                continue
            # A job that has just been taken for its run is gone, and makes its successor itself.
            with suppress(JobLookupError):
                self._scheduler.reschedule_job(job_id, trigger="date", run_date=datetime.fromtimestamp(moment, UTC))
                self.outcomes[name].next_run = moment

    def _lifetime(self, name: str) -> float:
        """Seconds after which what a sampler told is no longer served."""
        sampler = self._samplers[name]
        return max(sampler.stale_after, 3 * self.outcomes[name].interval + sampler.timeout)

    def _publish(self, name: str) -> None:
        self._board.publish(f"sampler {name}", self.outcomes[name].readings())
