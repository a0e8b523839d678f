"""Tells from rows that changed what happened to jobs, each event once, and enters it where it counts."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from exporter.jobs.book import Active, Book
from exporter.jobs.errors import error_class
from exporter.jobs.horizon import LONGEST, Plan
from exporter.jobs.ledger import Ledger
from exporter.jobs.seen import Seen, SeenLately
from exporter.model import OTHER, OUTCOMES, QueueKey

# A worker's clock may be this many seconds behind the database's without a job of its being missed.
SKEW = 30.0
BUCKET = 10.0  # seconds of events that are forgotten together
RETRIED_JOBS = 200_000  # living jobs whose failed attempts are remembered


class Change(NamedTuple):
    """A job's row as it is now. Times are epoch seconds; None where the layout or the row has none."""

    job: int  # 64-bit id or hash of it
    key: QueueKey
    state: str  # `waiting`, `handed_over`, `active`, an outcome, or `held`: it waits for other jobs
    attempts: int
    created: float | None
    run_at: float | None
    started: float | None
    ended: float | None
    changed: float | None  # stands for the end where the layout keeps none
    worker: str | None
    error: str | None


class WorkerTally(Protocol):
    """Whoever wants to know which worker ended a job."""

    def ended(self, worker: str, outcome: str, started: float | None, ended: float | None) -> None:
        """A worker's job reached its end. Epoch seconds."""


class Nobody:
    """A `WorkerTally` where no row tells who ended it."""

    def ended(self, worker: str, outcome: str, started: float | None, ended: float | None) -> None:
        """As `WorkerTally.ended`."""


class Journal:
    """Enters changes into a ledger and a book. Not thread-safe: its source holds a lock.

    Rules: an end is new if its time is not before what is remembered and the pair (job, end) is not among
    it; so is a creation. An ended row without an end time is known by its attempt and start for 15 minutes.
    """

    def __init__(self, ledger: Ledger, book: Book, by_worker: WorkerTally) -> None:
        self._by_worker = by_worker
        self._ledger = ledger
        self._book = book
        self._created = Seen(BUCKET)
        self._ended = Seen(BUCKET)
        self._without_end = SeenLately(LONGEST)
        self._failures: dict[int, int] = {}
        self._first_ready: dict[int, float] = {}
        self._began = 0.0
        self._eligible: tuple[tuple[float, float], ...] = ()
        self._now = 0.0
        self._monotonic = 0.0
        self._counting = False

    def look(self, plan: Plan, now: float, monotonic: float) -> None:
        """A snapshot is about to be read by `plan`. `now`: the database's clock, epoch seconds."""
        self._began = plan.next.floor
        present, *before = plan.eligible
        self._eligible = (
            (max(present.low - SKEW, self._began), present.high + SKEW),
            *((stretch.low, stretch.high + SKEW) for stretch in before),
        )
        self._now, self._monotonic = now, monotonic
        self._counting = not plan.first
        self._book.next_look()

    def marking(self, *, mark: bool) -> None:
        """Whether the rows to come are history: remembered, not counted."""
        self._counting = not mark

    def looked(self, reach: float) -> None:
        """The snapshot was read; events before `reach` need not be remembered any more."""
        for seen in (self._created, self._ended):
            seen.forget_before(reach - SKEW)
        while len(self._failures) > RETRIED_JOBS:
            del self._failures[next(iter(self._failures))]
        while len(self._first_ready) > RETRIED_JOBS:
            del self._first_ready[next(iter(self._first_ready))]

    def enter(self, change: Change) -> None:
        """Take in one row."""
        appeared = self._is_creation(change)
        if appeared and self._counting:
            self._ledger.tally(change.key).enqueued += 1
            if change.state != "held":
                self._book.created(change.key)
        if change.state == "held":
            return
        if change.state in OUTCOMES:
            self._enter_end(change)
            return
        self._without_end.forget(change.job)
        retried = self._enter_failures(change)
        if change.state == "active":
            self._book.is_active(change.job, Active(change.key, change.started, change.worker))
            return
        self._book.is_not_active(change.job)
        if (appeared or retried) and change.run_at is not None and change.run_at > self._now:
            self._book.put_off(change.job, change.key, change.run_at)
            if appeared and change.attempts == 0:
                self._first_ready[change.job] = change.run_at

    def enter_new_job(self, change: Change) -> None:
        """A job that is surely new, since its identity is."""
        self._ledger.tally(change.key).enqueued += 1
        self._book.created(change.key)

    def enter_attempt(self, change: Change) -> None:
        """An attempt that surely was not entered before: its start, its failure, or its job's end."""
        if change.state == "active":
            self._book.is_active(change.job, Active(change.key, change.started, change.worker))
        elif change.state in OUTCOMES:
            self._count_end(change)
        else:
            self._book.is_not_active(change.job)
            self._ledger.tally(change.key).attempt_failed(error_class(change.error), retried=True)

    def _is_creation(self, change: Change) -> bool:
        created = change.created
        return created is not None and self._is_new(self._created, change.job, created, change)

    def _is_new(self, seen: Seen, key: int, time: float, change: Change) -> bool:
        may_be = self._may_be_new(time, change)
        if may_be or len(self._eligible) > 1:
            # What a clock that went back has not come to again is remembered before it looks new.
            return seen.add(key, time) and may_be
        return False

    def _may_be_new(self, time: float, change: Change) -> bool:
        spans = self._eligible
        if len(spans) > 1 and change.changed is not None and change.changed > spans[0][1]:
            spans = spans[1:]  # written before the clock went back, and so is all that the row tells
        return any(low <= time < high for low, high in spans)

    def _enter_end(self, change: Change) -> None:
        self._book.is_not_active(change.job)
        if change.ended is None:
            mark = hash((change.attempts, change.started, change.state))
            new = self._without_end.add(change.job, mark, self._monotonic)
        else:
            new = self._is_new(self._ended, hash((change.job, change.ended)), change.ended, change)
        if new and self._counting:
            self._count_end(change)

    def _count_end(self, change: Change) -> None:
        tally = self._ledger.tally(change.key)
        self._book.ended(change.job, change.key)
        before = max(change.attempts - 1, 0)
        told = self._failures.pop(change.job, None)
        known = self._told_before(change, before) if told is None else min(told, before)
        error = error_class(change.error)
        if before > known:
            # An attempt failed and the next one ended between two looks; its error is gone from the row.
            tally.attempt_failed(error if change.state == "failed" else OTHER, before - known, retried=True)
        if change.state == "failed":
            tally.attempt_failed(error, retried=False)
        ended = change.changed if change.ended is None else change.ended
        target = self._ledger.targets.of(change.key)
        if change.worker is not None:
            self._by_worker.ended(change.worker, change.state, change.started, ended)
        ready = self._ready(change, retried=change.attempts > 1 or bool(told))
        tally.ended(change.state, ready, change.started, ended, target)
        self._first_ready.pop(change.job, None)

    def _enter_failures(self, change: Change) -> bool:
        """Failed attempts of a living job that will be tried again; answers whether there are new ones."""
        # Attempts are counted when they start, or when they fail: a running one may be among them or not.
        failed = change.attempts - 1 if change.state == "active" else change.attempts
        if change.attempts <= 0:
            self._failures.pop(change.job, None)
            return False
        known = self._failures.get(change.job)
        if known is None:
            known = self._told_before(change, max(failed, 0))
        self._failures[change.job] = max(failed, min(known, change.attempts))
        if failed <= known or not self._counting:
            return False
        self._ledger.tally(change.key).attempt_failed(error_class(change.error), failed - known, retried=True)
        return True

    def _told_before(self, change: Change, failed: int) -> int:
        """Failed attempts that are history, of a job that is met for the first time since one failed."""
        if change.created is not None and change.created >= self._began:
            return 0
        # Of an older job only a row that was just sent back tells of a failure since the start.
        return failed - 1 if change.state == "waiting" else failed

    def _ready(self, change: Change, *, retried: bool) -> float | None:
        """When the job's first attempt was ready: a retry may have moved `run_at`."""
        if retried:
            return self._first_ready.get(change.job, change.created)
        return change.run_at if change.run_at is not None else change.created
