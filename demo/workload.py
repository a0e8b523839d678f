"""The workload of `--check`: every job's fate is fixed beforehand, and what is true is known at the end."""

import json
import uuid

from demo.neighbours import archive_hook, end_import, send_hook, send_import, take_hooks, take_imports
from demo.platform import Platform
from demo.queues import ANALYTICS, DIVISION, HIGH, LOW, NORMAL, WARMUP, NewJob, Queue

WARMUP_TARGET = 1.0  # seconds; some jobs take longer
EXPIRY = 5  # seconds that the expiring list still lives: time enough to be told ahead
EXPIRED_LIST = 12
LONG_JOBS = 2
SCHEDULED = 7
CANCELLED = 3
HOOKS_SENT = 5
IMPORTS_SENT = 4
_RESET = "SMTPServerDisconnected: Connection unexpectedly closed"
_SILENT = "TimeoutError: no answer from mx1.example.net:25 within 30 seconds"


def first_jobs() -> list[NewJob]:
    """Jobs that all come to an end."""
    return [
        *[NewJob(HIGH, 0.1) for _ in range(20)],
        *[NewJob(NORMAL, 0.1 + 0.1 * (number % 3)) for number in range(40)],
        *[NewJob(NORMAL, 0.1, (_RESET,)) for _ in range(6)],
        *[NewJob(NORMAL, 0.1, (_SILENT, _RESET)) for _ in range(3)],
        *[NewJob(LOW, 0.1, (_SILENT, _SILENT, _SILENT)) for _ in range(2)],
        *[NewJob(LOW, 0.1) for _ in range(8)],
        *[NewJob(ANALYTICS, 0.2, (DIVISION, DIVISION), max_attempts=2) for _ in range(5)],
        *[NewJob(ANALYTICS, 0.6) for _ in range(3)],
        *[NewJob(WARMUP, 0.1) for _ in range(4)],
        *[NewJob(WARMUP, 1.3) for _ in range(3)],
    ]


def lasting_jobs() -> list[NewJob]:
    """Jobs that are still there when the figures are compared."""
    return [
        *[NewJob(LOW, 0.1) for _ in range(EXPIRED_LIST)],  # nobody takes them: the list is held
        *[NewJob(NORMAL, 600) for _ in range(LONG_JOBS)],
        *[NewJob(ANALYTICS, 0.1, delay=3600) for _ in range(SCHEDULED)],
    ]


def cancel_some(platform: Platform, queue: Queue, count: int) -> None:
    """Cancels scheduled jobs, as the platform's administrators do."""
    with platform.connect() as db:
        rows = db.execute(
            "update jobs set status = 'cancelled', updated = now() where id in"
            " (select id from jobs where queue_name = %s and status = 'queued' and run_at > now() limit %s)"
            " returning id::text",
            [queue.name, count],
        ).fetchall()
    for (job_id,) in rows:
        platform.ledger.cancelled(queue, job_id)


def confuse_redis(platform: Platform) -> None:
    """Two jobs lose their data keys, and one element is of no job that PostgreSQL knows."""
    with platform.store() as store:
        for element in list(store.lrange(LOW.key, 0, 1)):
            store.delete(f"job:{json.loads(element)['id']}")
        stranger = {"id": str(uuid.uuid4()), "queue_name": HIGH.name, "priority": HIGH.priority}
        store.hset(f"job:{stranger['id']}", "status", "queued")
        store.lpush(HIGH.key, json.dumps(stranger))


def use_neighbours(platform: Platform) -> None:
    """Of five webhooks two are taken, and one of them is done; of four imports three run: one done, one failed."""
    with platform.connect() as db:
        send_hook(db, HOOKS_SENT)
        first, _ = take_hooks(db, 2, seconds=600)
        archive_hook(db, first)
        send_import(db, IMPORTS_SENT)
        good, bad, _ = take_imports(db, 3)
        end_import(db, good)
        end_import(db, bad, error="TypeError")
