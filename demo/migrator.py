"""Hands ready jobs over from PostgreSQL to the Redis lists."""

import json
import time
from collections.abc import Callable
from typing import Any

import psycopg
import redis
from psycopg.rows import TupleRow

from demo.part import Part
from demo.queues import QUEUES

_BATCH = 100
_EVERY = 0.3  # seconds; the platform's own 5 s would hide all life
_DATA_LIVES = 24 * 3600
_RECENT_LIVES = 3600

_READY = """\
select id::text, queue_name, priority, attempt_count, max_attempts, extract(epoch from created)::float8
from jobs where status = 'queued' and run_at <= now()
order by priority, created limit %s for update skip locked
"""
_HANDED_OVER = "update jobs set status = 'migrated_to_redis', updated = now() where id = any(%s::uuid[])"

_KEYS = {(queue.name, queue.priority): queue.key for queue in QUEUES}


class Migrator(Part):
    def __init__(self, postgres: str, store: str, report: Callable[[str], None]) -> None:
        super().__init__("migrator", postgres, store, report)

    def live(self, db: "psycopg.Connection[TupleRow]", store: "redis.Redis") -> None:
        while not self.stopping.is_set():
            if self._hand_over(db, store) < _BATCH:
                self.stopping.wait(_EVERY)

    def _hand_over(self, db: "psycopg.Connection[TupleRow]", store: "redis.Redis") -> int:
        # Pushed before the commit: a crash between the two queues a job twice, but never loses one. A worker
        # that pops it at once waits for the row until we commit.
        with db.transaction():
            rows = db.execute(_READY, [_BATCH]).fetchall()
            if rows:
                pipe = store.pipeline(transaction=False)
                for row in rows:
                    _push(pipe, row)
                pipe.execute()
                db.execute(_HANDED_OVER, [[row[0] for row in rows]])
        return len(rows)


def _push(pipe: Any, row: TupleRow) -> None:
    job_id, queue_name, priority, attempts, max_attempts, created = row
    element = {
        "id": job_id,
        "queue_name": queue_name,
        "priority": priority,
        "created_at": created,
        "attempt_count": attempts,
        "max_attempts": max_attempts,
    }
    data = {"status": "queued", "attempt_count": attempts, "queued_at": time.time()}
    pipe.hset(f"job:{job_id}", mapping=data)
    pipe.expire(f"job:{job_id}", _DATA_LIVES)
    pipe.sadd(f"recent_jobs:{queue_name}", job_id)
    pipe.expire(f"recent_jobs:{queue_name}", _RECENT_LIVES)
    pipe.lpush(_KEYS[queue_name, priority], json.dumps(element))
