"""What has been counted of each queue of one source since the start: counters and histograms."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from chassis.exposition import Distribution, Reading
from exporter.jobs.errors import is_timeout
from exporter.jobs.histogram import Histogram
from exporter.model import OTHER, OTHER_QUEUE, OUTCOMES, QueueKey, Target

ERROR_CLASSES = 20
MINUTE, HOUR = 60.0, 3600.0
FORGET_AFTER = 86_400.0  # seconds that a deleted queue's counters are kept


@dataclass
class Tally:
    """Counters of one queue and priority; they only grow."""

    bounds: tuple[float, ...]
    enqueued: int = 0
    within_target: int = 0
    retries: int = 0
    timeouts: int = 0
    finished: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    errors: dict[str, int] = field(default_factory=lambda: {OTHER: 0})
    last_finished: float | None = None
    failed_by_minute: dict[int, int] = field(default_factory=dict)  # of the last hour that jobs ended in
    gone_since: float | None = None
    durations: Histogram = field(init=False)
    waits: Histogram = field(init=False)

    def __post_init__(self) -> None:
        self.durations = Histogram(self.bounds)
        self.waits = Histogram(self.bounds)

    def attempt_failed(self, error: str, times: int = 1, *, retried: bool) -> None:
        """`times` attempts ended by an error of class `error`."""
        self.timeouts += times if is_timeout(error) else 0
        self.retries += times if retried else 0
        if error not in self.errors and len(self.errors) > ERROR_CLASSES:
            error = OTHER
        self.errors[error] = self.errors.get(error, 0) + times

    def ended(
        self, outcome: str, ready: float | None, started: float | None, ended: float | None, target: Target
    ) -> None:
        """A job reached its end. Epoch seconds; what its row does not tell is None."""
        self.finished[outcome] += 1
        if ended is None:
            return
        self.last_finished = max(ended, self.last_finished or ended)
        if outcome == "failed":
            self.note_failures(ended)
        if started is not None:
            self.durations.observe(ended - started)
            if ready is not None:
                self.waits.observe(started - ready)
        if outcome == "completed" and ready is not None and target.seconds is not None:
            self.within_target += ended - ready <= target.seconds

    def failed_in_the_hour_before(self, now: float) -> int:
        """Jobs that failed for good in the last hour, as far as it has been watched; `now` in epoch seconds."""
        return sum(count for minute, count in self.failed_by_minute.items() if -MINUTE < now - minute * MINUTE < HOUR)

    def note_failures(self, ended: float, times: int = 1) -> None:
        """Remember when jobs failed for good, in epoch seconds, for `failed_in_the_hour_before`."""
        minutes = self.failed_by_minute
        minute = int(ended // MINUTE)
        minutes[minute] = minutes.get(minute, 0) + times
        if len(minutes) > 2 * HOUR / MINUTE:
            for old in sorted(minutes)[: -int(HOUR / MINUTE)]:
                del minutes[old]


class Roster:
    """Which queues have series of their own: configured ones, then the first `most` that come."""

    def __init__(self, configured: Iterable[QueueKey], most: int) -> None:
        self._admitted = dict.fromkeys(configured)
        self._configured = frozenset(self._admitted)
        self._most = most
        self.turned_away = 0

    def admit(self, key: QueueKey) -> QueueKey:
        """`key`, or the queue that stands for all that came too late."""
        if key in self._admitted:
            return key
        if len(self._admitted) < self._most:
            self._admitted[key] = None
            return key
        self.turned_away += 1
        return OTHER_QUEUE

    def adopt(self, other: Roster) -> None:
        """Go by the configuration of `other`; who was admitted stays."""
        self._configured, self._most = other._configured, other._most
        self._admitted = dict.fromkeys((*other._configured, *self._admitted))

    def dismiss(self, key: QueueKey) -> None:
        """Make room: the queue is gone, unless the configuration names it."""
        if key not in self._configured:
            self._admitted.pop(key, None)

    def is_configured(self, key: QueueKey) -> bool:
        """Whether the configuration names it: then it is always known."""
        return key in self._configured

    def __iter__(self) -> Iterator[QueueKey]:
        return iter(tuple(self._admitted))


class Targets:
    """Targets by queue, with one for all the others."""

    def __init__(self, named: Mapping[QueueKey, Target], others: Target) -> None:
        self._named = dict(named)
        self._others = others

    def of(self, key: QueueKey) -> Target:
        """The target that holds for a queue."""
        return self._named.get(key, self._others)

    @property
    def named(self) -> tuple[QueueKey, ...]:
        """The queues that the configuration names."""
        return tuple(self._named)


class Ledger:
    """Tallies of all queues of a source. Not thread-safe: its source holds a lock."""

    def __init__(self, roster: Roster, targets: Targets, bounds: tuple[float, ...]) -> None:
        self.roster = roster
        self.targets = targets
        self._bounds = bounds
        self._tallies: dict[QueueKey, Tally] = {}
        self.long_transactions = 0
        self.absent: frozenset[str] = frozenset()  # metrics that the source cannot tell
        for key in roster:
            self.tally(key)

    def tally(self, key: QueueKey) -> Tally:
        """The counters of a queue; made when first asked for."""
        tally = self._tallies.get(key)
        if tally is None:
            tally = self._tallies[key] = Tally(self._bounds)
        return tally

    def attend(self, present: frozenset[QueueKey], now: float) -> bool:
        """Note which queues exist; counters of one that is gone for a day are dropped. `now`: monotonic.

        Answers whether one was, so that there is room for another.
        """
        dismissed = False
        for key, tally in list(self._tallies.items()):
            if key in present or key == OTHER_QUEUE or self.roster.is_configured(key):
                tally.gone_since = None
            elif tally.gone_since is None:
                tally.gone_since = now
            elif now - tally.gone_since > FORGET_AFTER:
                del self._tallies[key]
                self.roster.dismiss(key)
                dismissed = True
        return dismissed

    def readings(self, labels: Mapping[str, str]) -> Iterator[Reading]:
        """All series that the source can tell; `labels` are its own."""
        return (reading for reading in self._all(labels) if reading.metric not in self.absent)

    def _all(self, labels: Mapping[str, str]) -> Iterator[Reading]:
        yield Reading("postwatch_queue_long_transactions_total", labels, self.long_transactions)
        for key, tally in self._tallies.items():
            mine = {**labels, **key.labels}
            yield Reading("postwatch_queue_jobs_enqueued_total", mine, tally.enqueued)
            yield Reading("postwatch_queue_jobs_within_target_total", mine, tally.within_target)
            yield Reading("postwatch_queue_job_retries_total", mine, tally.retries)
            yield Reading("postwatch_queue_job_timeouts_total", mine, tally.timeouts)
            for outcome, count in tally.finished.items():
                yield Reading("postwatch_queue_jobs_finished_total", {**mine, "outcome": outcome}, count)
            for error, count in tally.errors.items():
                yield Reading("postwatch_queue_job_errors_total", {**mine, "error": error}, count)
            yield Reading("postwatch_queue_job_duration_seconds", mine, Distribution(*tally.durations.snapshot()))
            yield Reading("postwatch_queue_job_wait_seconds", mine, Distribution(*tally.waits.snapshot()))

    def finish_times(self, labels: Mapping[str, str], present: Iterable[QueueKey]) -> Iterator[Reading]:
        """When a job last ended, for those of the present queues where one did."""
        for key in present:
            last = self.tally(key).last_finished
            if last is not None and key != OTHER_QUEUE:
                yield Reading("postwatch_queue_last_finished_timestamp_seconds", {**labels, **key.labels}, last)
