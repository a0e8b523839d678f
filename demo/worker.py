"""Takes jobs from the Redis lists, lets their time pass, and writes down how they ended."""

import heapq
import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
import redis
from psycopg.rows import TupleRow

from demo.ledger import Ledger
from demo.part import Part
from demo.queues import QUEUES, Queue

CAPACITY = 4
_HEARTBEAT = 1.0  # seconds
_DONE_DATA_LIVES = 600  # seconds; what ended is of little interest, and a demo may run for days

# Popped before the migrator has committed, a job still looks queued; the update then waits for that commit.
_START = """\
with started as (
    update jobs set status = 'running', started = clock_timestamp(), updated = clock_timestamp(),
        worker_id = %(worker)s, attempt_count = attempt_count + 1
    where id = %(id)s and status in ('queued', 'migrated_to_redis') and run_at <= clock_timestamp()
    returning id, attempt_count, max_attempts, payload, started
), logged as (
    insert into job_logs (job_id, status, attempt_number, started)
    select id, 'attempting', attempt_count, started from started
)
select attempt_count, max_attempts, payload from started
"""
# An end is the worker's only if the job is still its own: it may have been given up meanwhile.
_END = """\
with moment as (select clock_timestamp() as at), ended as (
    update jobs set status = %(status)s::text, updated = at,
        completed = case when %(status)s::text = 'completed' then at end,
        failed = case when %(status)s::text = 'failed' then at end,
        run_at = case when %(status)s::text = 'queued'
            then at + %(delay)s::float8 * interval '1 second' else run_at end,
        last_error_message = coalesce(%(error)s::text, last_error_message)
    from moment where id = %(id)s and status = 'running' and worker_id = %(worker)s
    returning id, run_at, started, at, attempt_count
), logged as (
    insert into job_logs (job_id, status, log_message, attempt_number, started, finished, duration)
    select id, %(log)s::text, %(error)s::text, attempt_count, started, at, at - started from ended
)
select extract(epoch from run_at)::float8, extract(epoch from started)::float8, extract(epoch from at)::float8
from ended
"""
_GIVE_BACK = """\
with given as (
    update jobs set status = 'queued', run_at = clock_timestamp(), updated = clock_timestamp(),
        last_error_message = %(error)s::text
    where worker_id = %(worker)s and status = 'running'
    returning id, queue_name, priority, attempt_count, started, updated
), logged as (
    insert into job_logs (job_id, status, log_message, attempt_number, started, finished, duration)
    select id, 'retry', %(error)s::text, attempt_count, started, updated, updated - started from given
)
select queue_name, priority from given
"""
_LOST = "WorkerLost: its worker sends no heartbeat"


@dataclass(order=True)
class _Running:
    until: float
    id: str = field(compare=False)
    queue: Queue = field(compare=False)
    element: str = field(compare=False)
    error: str | None = field(compare=False)
    last: bool = field(compare=False)


class Worker(Part):
    """One worker with room for `CAPACITY` jobs at a time; `held` lists are left alone."""

    def __init__(
        self,
        worker_id: str,
        postgres: str,
        store: str,
        report: Callable[[str], None],
        ledger: Ledger,
        held: set[str],
        restarts: int = 0,
        retry_after: tuple[float, float] = (2.0, 6.0),
    ) -> None:
        super().__init__(worker_id, postgres, store, report)
        self.id = worker_id
        self.restarts = restarts
        self._ledger = ledger
        self._held = held
        self._retry_after = retry_after
        self._running: list[_Running] = []
        self._started_at = time.time()
        self._turn = random.randrange(len(QUEUES))

    def live(self, db: "psycopg.Connection[TupleRow]", store: "redis.Redis") -> None:
        if self.restarts:
            self._give_back(db)
        next_beat = 0.0
        while not self.stopping.is_set():
            now = time.monotonic()
            if now >= next_beat:
                self._beat(store)
                next_beat = now + _HEARTBEAT
            while self._running and self._running[0].until <= now:
                self._end(db, store, heapq.heappop(self._running))
            due = min([next_beat, *(job.until for job in self._running[:1])])
            pause = min(max(due - time.monotonic(), 0.01), 0.25)
            keys = self._lists()
            if len(self._running) < CAPACITY and keys:
                self._take(db, store, keys, pause)
            else:
                self.stopping.wait(pause)

    def _lists(self) -> Sequence[str]:
        """What to pop from: high priority before all others, which take turns to be first."""
        self._turn += 1
        high, rest = QUEUES[0], QUEUES[1:]
        turned = [high, *(rest[(self._turn + n) % len(rest)] for n in range(len(rest)))]
        return [queue.key for queue in turned if queue.key not in self._held]

    def _take(
        self, db: "psycopg.Connection[TupleRow]", store: "redis.Redis", keys: Sequence[str], pause: float
    ) -> None:
        popped = store.brpop(list(keys), timeout=pause)
        if not popped:
            return
        key, element = popped
        job_id = json.loads(element)["id"]
        row = db.execute(_START, {"worker": self.id, "id": job_id}).fetchone()
        if row is None:
            return  # cancelled or given up meanwhile
        attempt, max_attempts, payload = row
        errors = payload["errors"]
        error = errors[attempt - 1] if attempt <= len(errors) else None
        data: dict[Any, Any] = {
            "status": "running",
            "worker_id": self.id,
            "started_at": time.time(),
            "attempt_count": attempt,
        }
        store.hset(f"job:{job_id}", mapping=data)
        until = time.monotonic() + payload["seconds"]
        queue = next(queue for queue in QUEUES if queue.key == key)
        heapq.heappush(self._running, _Running(until, job_id, queue, str(element), error, attempt >= max_attempts))

    def _end(self, db: "psycopg.Connection[TupleRow]", store: "redis.Redis", job: _Running) -> None:
        again = job.error is not None and not job.last
        status = "queued" if again else "failed" if job.error else "completed"
        values = {
            "id": job.id,
            "worker": self.id,
            "status": status,
            "log": "retry" if again else "failed" if job.error else "success",
            "error": job.error,
            "delay": random.uniform(*self._retry_after),
        }
        row = db.execute(_END, values).fetchone()
        if row is None:
            return
        if again:
            self._ledger.retried(job.queue, job.error or "")
        else:
            run_at, started, ended = row
            self._ledger.ended(job.queue, job.id, self.id, run_at, started, ended, job.error)
        pipe = store.pipeline(transaction=False)
        pipe.hset(f"job:{job.id}", mapping={"status": status, "last_error": job.error or ""})
        if not again:
            pipe.expire(f"job:{job.id}", _DONE_DATA_LIVES)
            pipe.hincrby(f"worker:{self.id}", "processed_total", 1)  # the failed ones included
            pipe.hincrby(f"worker:{self.id}", "failed_total", 1 if job.error else 0)
        if status == "failed":
            pipe.lpush("deadletter:queue", job.element)
        pipe.execute()

    def _give_back(self, db: "psycopg.Connection[TupleRow]") -> None:
        """What the worker of the same name ran when it died is tried again."""
        rows = db.execute(_GIVE_BACK, {"error": _LOST, "worker": self.id}).fetchall()
        for name, priority in rows:
            lost = next(queue for queue in QUEUES if (queue.name, queue.priority) == (name, priority))
            self._ledger.retried(lost, _LOST)

    def _beat(self, store: "redis.Redis") -> None:
        state: dict[Any, Any] = {
            "status": "active",
            "capacity": CAPACITY,
            "started_at": self._started_at,
            "current_jobs": len(self._running),
            "last_heartbeat": time.time(),
            "restarts": self.restarts,
        }
        pipe = store.pipeline(transaction=False)
        pipe.sadd("workers:active", self.id)
        pipe.hset(f"worker:{self.id}", mapping=state)
        for counter in ("processed_total", "failed_total"):
            pipe.hincrby(f"worker:{self.id}", counter, 0)
        pipe.execute()
