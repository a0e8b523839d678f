"""Puts jobs into PostgreSQL, as the platform's web servers do."""

import queue
import random
import threading
import time
from collections.abc import Callable, Iterable

import psycopg
import redis
from psycopg.rows import TupleRow
from psycopg.types.json import Jsonb

from demo.ledger import Ledger
from demo.part import Part
from demo.queues import NewJob, Queue, draw_job

_INSERT = """\
insert into jobs (queue_name, priority, payload, max_attempts, run_at)
values (%s, %s, %s, %s, now() + %s * interval '1 second')
returning id::text, extract(epoch from run_at)::float8
"""


class Producer(Part):
    """Jobs at each queue's own rate, and what `add` is given."""

    def __init__(
        self,
        postgres: str,
        store: str,
        report: Callable[[str], None],
        ledger: Ledger,
        seed: int | None = None,
    ) -> None:
        super().__init__("producer", postgres, store, report)
        self._ledger = ledger
        self._rng = random.Random(seed)
        self._given: queue.SimpleQueue[list[NewJob]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._rates: dict[Queue, float] = {}
        self._broken: dict[Queue, str] = {}

    def set_rate(self, queue: Queue, per_second: float) -> None:
        with self._lock:
            self._rates[queue] = per_second

    def set_broken(self, queue: Queue, error: str | None) -> None:
        """From now on every attempt of that queue's new jobs ends with this error; None: as ever."""
        with self._lock:
            self._broken.pop(queue, None)
            if error:
                self._broken[queue] = error

    def add(self, jobs: Iterable[NewJob]) -> None:
        self._given.put(list(jobs))

    def draw(self, queue: Queue, count: int) -> list[NewJob]:
        return [draw_job(queue, self._rng, self._broken.get(queue)) for _ in range(count)]

    def live(self, db: "psycopg.Connection[TupleRow]", _store: "redis.Redis") -> None:
        last = time.monotonic()
        while not self.stopping.wait(0.2):
            now = time.monotonic()
            jobs = self._arrived(now - last)
            last = now
            while not self._given.empty():
                jobs += self._given.get()
            if jobs:
                self._insert(db, jobs)

    def _arrived(self, seconds: float) -> list[NewJob]:
        with self._lock:
            rates = dict(self._rates)
        jobs: list[NewJob] = []
        for queue_, rate in rates.items():
            # Arrivals of a Poisson process: exponential gaps until the time is used up.
            at = self._rng.expovariate(rate) if rate else seconds
            while at < seconds:
                jobs += self.draw(queue_, 1)
                at += self._rng.expovariate(rate)
        return jobs

    def _insert(self, db: "psycopg.Connection[TupleRow]", jobs: list[NewJob]) -> None:
        with db.transaction(), db.cursor() as cursor:
            values = [
                (job.queue.name, job.queue.priority, Jsonb(job.payload), job.max_attempts, job.delay) for job in jobs
            ]
            cursor.executemany(_INSERT, values, returning=True)
            for job, result in zip(jobs, cursor.results(), strict=True):
                row = result.fetchone()
                if row:
                    self._ledger.enqueued(job.queue, *row)
