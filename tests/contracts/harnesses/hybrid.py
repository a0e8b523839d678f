"""The hybrid queue in both known layouts, its workers played by statements as platforms run them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from tests.contracts.harness import Abilities, Harness, Job, Maker
from tests.support.databases import Database, create_database, drop_database
from tests.support.jobs import Owner, epoch

ERROR = "TypeError: not a function"


class Penguinmails:
    """Layout `penguinmails`."""

    abilities = Abilities(pauses=True)

    def __init__(self, database: Database) -> None:
        self.database = database
        self._owner = database.connect()

    def close(self) -> None:
        self._owner.close()

    def source(self) -> dict[str, Any]:
        return {"kind": "hybrid", "postgres": self.database.reader_url, "schema": "penguinmails"}

    def create(self, *queues: str) -> None:
        for queue in queues:
            self._owner.execute("insert into job_queues (name) values (%s)", [queue])

    def add(self, queue: str, count: int = 1, *, delay: float = 0) -> list[Job]:
        rows = self._owner.execute(
            "insert into jobs (queue_name, payload, run_at) select %s, '{}',"
            " clock_timestamp() + %s * interval '1 second' from generate_series(1, %s) returning id",
            [queue, delay, count],
        ).fetchall()
        return [row[0] for row in rows]

    def start(self, queue: str, count: int = 1) -> list[Job]:
        rows = self._owner.execute(
            "update jobs set status = 'running', started = clock_timestamp(), updated = clock_timestamp(),"
            " attempt_count = attempt_count + 1 where id in (select id from jobs where queue_name = %s"
            " and status = 'queued' and run_at <= now() order by run_at limit %s) returning id",
            [queue, count],
        ).fetchall()
        return [row[0] for row in rows]

    def finish(self, queue: str, jobs: Sequence[Job]) -> None:
        with self.finish_late(queue, jobs):
            pass

    def fail(self, queue: str, jobs: Sequence[Job], *, again: bool) -> None:
        end = (
            "status = 'queued', run_at = clock_timestamp()"
            if again
            else "status = 'failed', failed = clock_timestamp()"
        )
        self._owner.execute(
            f"update jobs set {end}, updated = clock_timestamp(), last_error_message = %s where id = any(%s)".encode(),
            [ERROR, list(jobs)],
        )

    @contextmanager
    def finish_late(self, queue: str, jobs: Sequence[Job]) -> Iterator[None]:
        with self.database.connect() as worker, worker.transaction():
            worker.execute(
                "update jobs set status = 'completed', completed = clock_timestamp(), updated = clock_timestamp()"
                " where id = any(%s)",
                [list(jobs)],
            )
            yield

    def delete(self, queue: str, jobs: Sequence[Job]) -> None:
        self._owner.execute("delete from jobs where id = any(%s)", [list(jobs)])

    def pause(self, queue: str, paused: bool) -> None:
        self._owner.execute("update job_queues set is_active = %s where name = %s", [not paused, queue])

    def ruin(self, queue: str) -> None:
        """Nonsense in its jobs: times without end or beginning, numbers below zero, states nobody knows."""
        self._owner.execute(
            "insert into jobs (queue_name, payload, status, run_at, started, attempt_count, priority)"
            " select %s, '{}', status, 'infinity', '-infinity', -7, -1"
            " from unnest(array['running', 'nonsense']) as status",
            [queue],
        )

    def fill(self, queue: str, ended: int) -> None:
        self._owner.execute(
            "insert into jobs (queue_name, payload, status, run_at, started, completed, created, updated)"
            " select %s, '{}', 'completed', t, t, t, t, t from"
            " (select now() - interval '1 day' - g * interval '1 s' as t from generate_series(1, %s) as g) as life",
            [queue, ended],
        )
        self._owner.execute("vacuum analyze jobs")

    def oldest_ready(self, queue: str) -> float:
        return epoch(
            self._owner,
            "select min(run_at) from jobs where status = 'queued' and run_at <= now() and queue_name = %(queue)s",
            {"queue": queue},
        )

    def oldest_started(self, queue: str) -> float:
        return epoch(
            self._owner,
            "select min(started) from jobs where status = 'running' and queue_name = %(queue)s",
            {"queue": queue},
        )


class Basic(Penguinmails):
    """Layout `basic`: attempts stand in job_logs, a row when one starts and a row when it ends."""

    # Starts stand in logs, which are not read back; no index finds what waits.
    abilities = Abilities(pauses=True, delays=False, marks_active=False, flat=("changes",))

    def source(self) -> dict[str, Any]:
        return {"kind": "hybrid", "postgres": self.database.reader_url, "schema": "basic"}

    def create(self, *queues: str) -> None:
        for queue in queues:
            self._owner.execute("insert into job_queues (name) values (%s)", [f"queue:{queue}"])

    def add(self, queue: str, count: int = 1, *, delay: float = 0) -> list[Job]:
        assert not delay
        rows = self._owner.execute(
            "insert into jobs (queue, payload, status, created_at) select 'queue:' || %s, '{}', 'waiting',"
            " clock_timestamp() from generate_series(1, %s) returning id",
            [queue, count],
        ).fetchall()
        return [row[0] for row in rows]

    def start(self, queue: str, count: int = 1) -> list[Job]:
        rows = self._owner.execute(
            "with started as (update jobs set status = 'active', attempts = attempts + 1,"
            " updated_at = clock_timestamp() where id in (select id from jobs where queue = 'queue:' || %s"
            " and status = 'waiting' order by id limit %s) returning id, attempts, updated_at)"
            " insert into job_logs (job_id, status, attempt, started_at)"
            " select id, 'attempting', attempts, updated_at from started returning job_id",
            [queue, count],
        ).fetchall()
        return [row[0] for row in rows]

    def fail(self, queue: str, jobs: Sequence[Job], *, again: bool) -> None:
        with self._owner.transaction():
            self._end(self._owner, jobs, *(("waiting", "retry") if again else ("failed", "failed")), ERROR)

    @contextmanager
    def finish_late(self, queue: str, jobs: Sequence[Job]) -> Iterator[None]:
        with self.database.connect() as worker, worker.transaction():
            self._end(worker, jobs, "completed", "success", None)
            yield

    def _end(self, owner: Owner, jobs: Sequence[Job], state: str, outcome: str, error: str | None) -> None:
        owner.execute(
            "with ended as (update jobs set status = %s, updated_at = clock_timestamp() where id = any(%s)"
            " returning id, attempts)"
            " insert into job_logs (job_id, status, attempt, error, started_at, finished_at)"
            " select id, %s, attempts, %s, (select max(started_at) from job_logs as l where l.job_id = ended.id),"
            " clock_timestamp() from ended",
            [state, list(jobs), outcome, error],
        )

    def pause(self, queue: str, paused: bool) -> None:
        super().pause(f"queue:{queue}", paused)

    def ruin(self, queue: str) -> None:
        """As in the other layout; and logs of attempts without a job."""
        self._owner.execute(
            "insert into jobs (queue, payload, status, attempts, created_at)"
            " select 'queue:' || %s, '{}', status, -7, 'infinity' from unnest(array['active', 'nonsense']) as status",
            [queue],
        )
        self._owner.execute("insert into job_logs (job_id, status, attempt) values (-1, 'success', -7)")

    def fill(self, queue: str, ended: int) -> None:
        self._owner.execute(
            "with jobs as (insert into jobs (queue, payload, status, attempts, created_at, updated_at)"
            " select 'queue:' || %s, '{}', 'completed', 1, t, t from"
            " (select now() - interval '1 day' - g * interval '1 s' as t from generate_series(1, %s) as g) as life"
            " returning id, created_at)"
            " insert into job_logs (job_id, status, attempt, started_at, finished_at)"
            " select id, 'success', 1, created_at, created_at from jobs",
            [queue, ended],
        )
        self._owner.execute("vacuum analyze jobs, job_logs")

    def oldest_ready(self, queue: str) -> float:
        return epoch(
            self._owner,
            "select min(created_at) from jobs where status = 'waiting' and queue = 'queue:' || %(queue)s",
            {"queue": queue},
        )

    def oldest_started(self, queue: str) -> float:
        return epoch(
            self._owner,
            "select min(l.started_at) from job_logs as l join jobs as j on j.id = l.job_id and j.status = 'active'"
            " where j.queue = 'queue:' || %(queue)s and l.status = 'attempting' and l.attempt = j.attempts",
            {"queue": queue},
        )


def _maker(kind: type[Penguinmails], layout: str, server: str) -> Maker:
    @contextmanager
    def make(request: pytest.FixtureRequest) -> Iterator[Harness]:
        database = create_database(request.getfixturevalue(server), layout)
        harness = kind(database)
        try:
            yield harness
        finally:
            harness.close()
            drop_database(database)

    return make


HARNESSES: dict[str, Maker] = {
    "penguinmails": _maker(Penguinmails, "penguinmails", "pg18"),
    "basic": _maker(Basic, "basic", "pg15"),
}
