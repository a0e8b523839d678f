"""How many jobs wait, are scheduled and run, between exact counts too.

The jobs of a queue that have not ended are those of the last exact count, plus what was created since,
less what has ended since: both are known exactly from the reader of changes. Those that run are few and
known one by one. What remains is scheduled or waiting:

    waiting = counted + created - ended - active - scheduled

Rows deleted before they ran, and ended ones put back by hand, show at the next exact count.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from chassis.exposition import Reading
from exporter.model import OTHER_QUEUE, QueueKey


@dataclass
class Exact:
    """One queue in an exact count of the jobs that have not ended. Times are epoch seconds."""

    waiting: int = 0  # ready to run, handed over or not
    handed_over: int = 0
    oldest_ready: float | None = None
    scheduled: Counter[float] = field(default_factory=Counter)  # jobs by the time they will be ready


class Active(NamedTuple):
    """A running job."""

    key: QueueKey
    started: float | None
    worker: str | None
    late_at: float | None = None  # from when on its own system takes the attempt for lost; None: it does not say


class Scheduled(NamedTuple):
    """A job that was seen to be put off since the last exact count."""

    key: QueueKey
    run_at: float
    look: int


@dataclass(frozen=True)
class Mark:
    """The state of the book in the snapshot of an exact count that is still under way."""

    look: int
    at: float
    created: dict[QueueKey, int]
    ended: dict[QueueKey, int]
    active: dict[QueueKey, int]


class Book:
    """The living jobs of one source. Not thread-safe: its source holds a lock."""

    def __init__(self) -> None:
        self._created: Counter[QueueKey] = Counter()
        self._ended: Counter[QueueKey] = Counter()
        self._active: dict[int, Active] = {}
        self._put_off: dict[int, Scheduled] = {}
        self._exact: dict[QueueKey, Exact] = {}
        self._base: dict[QueueKey, int] = {}
        self._look = 0
        self.counted_at: float | None = None
        self.active_at: float | None = None

    # What the reader of changes tells

    def next_look(self) -> None:
        """A new snapshot is being read."""
        self._look += 1

    def created(self, key: QueueKey) -> None:
        """A job appeared."""
        self._created[key] += 1

    def put_off(self, job: int, key: QueueKey, run_at: float) -> None:
        """A job was created with, or sent back to, a run time in the future."""
        self._put_off[job] = Scheduled(key, run_at, self._look)

    def is_active(self, job: int, active: Active) -> None:
        """A job runs."""
        known = self._active.get(job)
        if known is not None and known.started == active.started:
            active = active._replace(late_at=known.late_at)  # the same attempt, as `set_active` was told of it
        self._active[job] = active
        self._put_off.pop(job, None)

    def is_not_active(self, job: int) -> None:
        """A job is seen in another state."""
        self._active.pop(job, None)

    def ended(self, job: int, key: QueueKey) -> None:
        """A job reached its end."""
        self._ended[key] += 1
        self._active.pop(job, None)
        self._put_off.pop(job, None)

    # What an exact count tells

    def set_active(self, active: Mapping[int, Active], at: float) -> None:
        """All that runs, from the same snapshot as the last look."""
        self._active = dict(active)
        self.active_at = at

    def mark(self, at: float) -> Mark:
        """Remember the present; the exact count of this snapshot comes later, by `counted`."""
        return Mark(self._look, at, dict(self._created), dict(self._ended), dict(self._active_by_queue()))

    def counted(self, mark: Mark, exact: dict[QueueKey, Exact]) -> None:
        """The exact count of the snapshot of `mark`. Queues that it does not name had no such job."""
        self._exact = exact
        keys = {*exact, *mark.created, *mark.ended, *mark.active}
        self._base = {
            key: (e.waiting + e.scheduled.total() if (e := exact.get(key)) else 0)
            + mark.active.get(key, 0)
            - mark.created.get(key, 0)
            + mark.ended.get(key, 0)
            for key in keys
        }
        self.counted_at = mark.at
        # What was put off before the count is in it.
        self._put_off = {job: s for job, s in self._put_off.items() if s.look > mark.look}

    # What is asked

    def active(self) -> Iterable[Active]:
        """All that runs."""
        return self._active.values()

    def depth(self, now: float) -> dict[QueueKey, int] | None:
        """Waiting jobs by queue; None before the first exact count. `now`: the database's clock."""
        if self.counted_at is None:
            return None
        return {key: waiting for key, (_, waiting) in self._split(now).items()}

    def living(self) -> dict[QueueKey, int]:
        """Jobs that have not ended, by queue, as far as is known."""
        keys = {*self._base, *self._created, *self._ended}
        return {key: self._base.get(key, 0) + self._created[key] - self._ended[key] for key in keys}

    def split(self, now: float) -> dict[QueueKey, tuple[int, int, int]]:
        """(scheduled, waiting, active) by queue."""
        active = self._active_by_queue()
        return {key: (*both, active[key]) for key, both in self._split(now).items()}

    def oldest_waiting(self, key: QueueKey) -> float | None:
        """Since when the oldest waiting job of the last exact count is ready."""
        exact = self._exact.get(key)
        return exact.oldest_ready if exact else None

    def readings(
        self, known: Iterable[QueueKey], labels: Mapping[str, str], now: float, *, oldest_waiting: bool = True
    ) -> Iterator[Reading]:
        """Gauges of all `known` queues, zeros included; `oldest_waiting` is known by exact counts alone."""
        if self.counted_at is None:
            return
        split = self._split(now)
        active = self._active_by_queue()
        oldest_active = self._oldest_active()
        for key in known:
            scheduled, waiting = split.get(key, (0, 0))
            mine = {**labels, **key.labels}
            yield Reading("postwatch_queue_depth", mine, waiting)
            for state, count in (("scheduled", scheduled), ("waiting", waiting), ("active", active[key])):
                stamp = self.active_at if state == "active" and self.active_at else self.counted_at
                yield Reading("postwatch_queue_jobs", {**mine, "state": state}, count)
                yield Reading("postwatch_queue_counted_timestamp_seconds", {**mine, "state": state}, stamp)
            if key == OTHER_QUEUE:
                continue  # of many queues, so that only what adds up is told
            if key in oldest_active:
                name = "postwatch_queue_oldest_active_timestamp_seconds"
                yield Reading(name, mine, oldest_active[key])
            exact = self._exact.get(key)
            if oldest_waiting and waiting and exact and exact.oldest_ready is not None:
                name = "postwatch_queue_oldest_waiting_timestamp_seconds"
                yield Reading(name, mine, exact.oldest_ready)

    def handed_over(self, now: float) -> dict[QueueKey, int]:
        """Waiting jobs that were handed over to Redis: what was not so at the last count is taken to stay."""
        found: dict[QueueKey, int] = {}
        for key, (_, waiting) in self._split(now).items():
            exact = self._exact.get(key)
            kept_back = exact.waiting - exact.handed_over if exact else 0
            none_before = exact is not None and exact.waiting > 0 and exact.handed_over == 0
            found[key] = 0 if none_before else max(waiting - kept_back, 0)
        return found

    def _split(self, now: float) -> dict[QueueKey, tuple[int, int]]:
        """(scheduled, waiting) by queue."""
        put_off: Counter[QueueKey] = Counter()
        for job, one in list(self._put_off.items()):
            if one.run_at > now:
                put_off[one.key] += 1
            else:
                del self._put_off[job]
        active = self._active_by_queue()
        split: dict[QueueKey, tuple[int, int]] = {}
        for key in {*self._base, *self._created, *self._ended, *active}:
            exact = self._exact.get(key)
            later = put_off[key]
            if exact:
                later += sum(count for due, count in exact.scheduled.items() if due > now)
            living = self._base.get(key, 0) + self._created[key] - self._ended[key]
            split[key] = (later, max(living - active[key] - later, 0))
        return split

    def _active_by_queue(self) -> Counter[QueueKey]:
        return Counter(one.key for one in self._active.values())

    def _oldest_active(self) -> dict[QueueKey, float]:
        started: dict[QueueKey, list[float]] = defaultdict(list)
        for one in self._active.values():
            if one.started is not None:
                started[one.key].append(one.started)
        return {key: min(times) for key, times in started.items()}
