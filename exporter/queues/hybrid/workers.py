"""Workers of a source: from their heartbeats in Redis, and from the rows they ended."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from chassis.clock import Clock
from chassis.exposition import Reading
from exporter.model import OUTCOMES
from exporter.queues.base import SourceHealth
from exporter.queues.hybrid.heartbeats import Report

STATES = ("active", "paused", "draining", "dead")
RECENT = 300.0  # seconds over which a worker's errors are judged
ENOUGH = 10  # ended jobs below which a recent ratio says nothing
MOST_WORKERS = 1_000


@dataclass
class _Worker:
    heartbeat: float | None = None
    seen: float | None = None  # when it last gave a sign of life, other than a heartbeat
    started: float | None = None
    status: str = ""
    running: int | None = None
    capacity: int | None = None
    restarts: int = 0
    seconds: float = 0.0
    last_ended: float | None = None
    told: Report = field(default_factory=Report)
    counted: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))  # from its rows
    passed_on: dict[str, int] = field(default_factory=dict)  # from Redis, never falling
    shown: dict[str, int] = field(default_factory=dict)
    history: deque[tuple[float, int, int]] = field(default_factory=deque)  # (time, processed, failed)


class Crew:
    """All workers of a source. Thread-safe: Redis is looked at while a look at PostgreSQL is under way."""

    def __init__(self, dead_after: float, forget_after: float, error_limit: float, expected: int | None = None) -> None:
        self._dead_after = dead_after
        self._forget_after = forget_after
        self._error_limit = error_limit
        self._expected = expected
        self._lock = threading.RLock()
        self._workers: dict[str, _Worker] = {}
        self._has_heartbeats = False
        self._reported_at: float | None = None  # what is known of heartbeats is as old as that
        self._running: Mapping[str, int] = {}  # jobs by worker, by the rows
        self._lost: set[str] = set()  # forgotten ones that Redis still names

    def adopt(self, other: Crew) -> None:
        """Judge by the limits of `other` from now on."""
        self._dead_after, self._forget_after = other._dead_after, other._forget_after
        self._error_limit, self._expected = other._error_limit, other._expected

    def ended(self, worker: str, outcome: str, started: float | None, ended: float | None) -> None:
        """A job that `worker` ran has ended."""
        with self._lock:
            one = self._worker(worker)
            if one is None:
                return
            one.counted[outcome] += 1
            if ended is not None:
                one.last_ended = max(ended, one.last_ended or ended)
                if started is not None:
                    one.seconds += max(ended - started, 0.0)

    def report(self, reports: Mapping[str, Report], now: float) -> None:
        """What Redis says now; a worker that it no longer names keeps its last heartbeat."""
        with self._lock:
            self._reported_at = now
            self._has_heartbeats = self._has_heartbeats or any(r.heartbeat is not None for r in reports.values())
            self._lost &= {name for name, report in reports.items() if report.heartbeat is None}
            for name, report in reports.items():
                one = None if name in self._lost else self._worker(name)
                if one is None:
                    continue
                if one.seen is None or not self._has_heartbeats:
                    one.seen = now
                restarted = (
                    one.told.started is not None and report.started is not None and report.started > one.told.started
                )
                if report.restarts is not None:
                    one.restarts = max(one.restarts, report.restarts)
                elif restarted:
                    one.restarts += 1
                if report.heartbeat is not None:
                    one.heartbeat = report.heartbeat
                one.started, one.status = report.started or one.started, report.status
                one.running, one.capacity = report.running, report.capacity
                self._pass_on(one, report)
                one.told = report
                if report.processed is not None:
                    one.history.append((now, report.processed, report.failed or 0))
                    while one.history[0][0] < now - RECENT:
                        one.history.popleft()

    def _pass_on(self, one: _Worker, report: Report) -> None:
        for name, value, before in (
            ("processed", report.processed, one.told.processed),
            ("failed", report.failed, one.told.failed),
        ):
            if value is not None:
                # A number that falls was reset with its worker: it counts from zero again.
                grown = value - before if before is not None and value >= before else value
                one.passed_on[name] = one.passed_on.get(name, 0) + grown

    def forget(self, now: float, running: Iterable[str]) -> None:
        """Drop workers that have been gone for long. `running`: who runs a job by its row, once for each job."""
        with self._lock:
            self._running = Counter(running)
            for name in self._running:
                # Where workers have heartbeats, a row alone does not bring one back that was given up.
                one = self._workers.get(name) if self._has_heartbeats else self._worker(name)
                if one is not None:
                    one.seen = now
            for name, one in list(self._workers.items()):
                if one.seen is None:
                    one.seen = one.last_ended or now
                seen = one.heartbeat if one.heartbeat is not None else max(one.seen, one.last_ended or 0.0)
                if now - seen > self._forget_after:
                    del self._workers[name]
                    if self._reported_at is not None:
                        self._lost.add(name)

    def is_gone(self, worker: str, started: float | None) -> bool:
        """Whether who runs a job since `started` had no heartbeat any more when Redis was last asked.

        Never where workers have no heartbeats, nor because Redis is silent.
        """
        with self._lock:
            if not self._has_heartbeats or self._reported_at is None:
                return False
            one = self._workers.get(worker)
            if one is not None and one.heartbeat is not None:
                return self._reported_at - one.heartbeat > self._dead_after
            if started is None:
                return worker in self._running  # known to Redis' last look, which found nothing
            return self._reported_at - started > self._dead_after

    def states(self, now: float) -> dict[str, int]:
        """How many are in which state; all states are there."""
        with self._lock:
            counts = dict.fromkeys(STATES, 0)
            for one in self._workers.values():
                counts[self._state(one, now)] += 1
            return counts

    def healthy(self, now: float) -> int:
        """Workers with a fresh heartbeat and few errors."""
        with self._lock:
            return sum(self._is_healthy(one, now) for one in self._workers.values())

    def take_stock(
        self, running: Iterable[str], labels: Mapping[str, str], health: SourceHealth, clock: Clock
    ) -> list[Reading]:
        """All series of workers now, and their part of `/health`. `running`: as for `forget`."""
        now = clock.now()
        with self._lock:
            self.forget(now, running)
            health.workers, health.workers_healthy = self.states(now), self.healthy(now)
            health.workers_expected, health.workers_at = self._expected, clock.monotonic()
            return list(self._readings(labels, now))

    def _readings(self, labels: Mapping[str, str], now: float) -> Iterator[Reading]:
        for state, count in self.states(now).items():
            yield Reading("postwatch_workers", {**labels, "state": state}, count)
        yield Reading("postwatch_workers_healthy", labels, self.healthy(now))
        if self._expected is not None:
            yield Reading("postwatch_workers_expected", labels, self._expected)
        for name, one in self._workers.items():
            mine = {**labels, "worker": name}
            running = one.running
            if running is None and self._reported_at is None:
                running = self._running.get(name, 0)
            for metric, value in (
                ("postwatch_worker_last_heartbeat_timestamp_seconds", one.heartbeat),
                ("postwatch_worker_start_timestamp_seconds", one.started),
                ("postwatch_worker_jobs_running", running),
                ("postwatch_worker_capacity", one.capacity),
            ):
                if value is not None:
                    yield Reading(metric, mine, value)
            yield Reading("postwatch_worker_job_seconds_total", mine, one.seconds)
            if self._reported_at is not None:
                yield Reading("postwatch_worker_restarts_total", mine, one.restarts)
            for outcome, count in self._finished(one).items():
                yield Reading("postwatch_worker_jobs_finished_total", {**mine, "outcome": outcome}, count)

    def _worker(self, name: str) -> _Worker | None:
        one = self._workers.get(name)
        if one is None and len(self._workers) < MOST_WORKERS:
            one = self._workers[name] = _Worker()
        return one

    def _finished(self, one: _Worker) -> dict[str, int]:
        """Ended jobs by outcome, from Redis where it tells them. None ever falls, whichever was written first."""
        found = dict(one.counted)
        if "processed" in one.passed_on:
            failed = one.passed_on.get("failed", 0)
            found |= {"completed": one.passed_on["processed"] - failed, "failed": failed}
        one.shown = {outcome: max(count, one.shown.get(outcome, 0)) for outcome, count in found.items()}
        return one.shown

    def _state(self, one: _Worker, now: float) -> str:
        if one.heartbeat is not None and now - one.heartbeat > self._dead_after:
            return "dead"
        if one.heartbeat is None and one.told.named and self._has_heartbeats:
            return "dead"  # its heartbeat ended before we came
        return one.status if one.status in ("paused", "draining", "dead") else "active"

    def _is_healthy(self, one: _Worker, now: float) -> bool:
        if self._state(one, now) == "dead":
            return False
        if one.history:
            (_, first, first_failed), (_, last, last_failed) = one.history[0], one.history[-1]
            if last - first >= ENOUGH:
                return (last_failed - first_failed) / (last - first) < self._error_limit
        processed, failed = one.told.processed or 0, one.told.failed or 0
        return processed < ENOUGH or failed / processed < self._error_limit
