"""pgmq by its own client, alone and with a table of outcomes kept beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from pgmq import PGMQueue
from psycopg import sql

from tests.contracts.harness import Abilities, Harness, Job, Maker
from tests.support.databases import Database, create_database, drop_database
from tests.support.jobs import epoch
from tests.support.messages import client, install, read, send

ERROR = "TypeError: not a function"


class Plain:
    """pgmq alone: messages are sent, read, archived and deleted."""

    # Neither times nor outcomes are kept.
    abilities = Abilities(fails=False, times=False)

    def __init__(self, database: Database, queue: PGMQueue) -> None:
        self.database = database
        self._queue = queue
        self._owner = database.connect()

    def close(self) -> None:
        self._owner.close()

    def source(self) -> dict[str, Any]:
        return {"kind": "pgmq", "postgres": self.database.reader_url}

    def create(self, *queues: str) -> None:
        for queue in queues:
            self._queue.create_queue(queue)

    def add(self, queue: str, count: int = 1, *, delay: float = 0) -> list[Job]:
        return send(self._queue, queue, count, delay=int(delay))

    def start(self, queue: str, count: int = 1) -> list[Job]:
        return read(self._queue, queue, count)

    def finish(self, queue: str, jobs: Sequence[Job]) -> None:
        """One is deleted, the others are archived."""
        self._queue.delete_batch(queue, list(jobs)[:1])
        self._queue.archive_batch(queue, list(jobs)[1:])

    def fail(self, queue: str, jobs: Sequence[Job], *, again: bool) -> None:
        assert again, "nothing would tell it from a completed one"
        for job in jobs:
            self._queue.set_vt(queue, job, 0)

    @contextmanager
    def finish_late(self, queue: str, jobs: Sequence[Job]) -> Iterator[None]:
        with self.database.connect() as worker, worker.transaction():
            worker.execute("select pgmq.archive(%s, %s::bigint[])", [queue, list(jobs)])
            yield

    def delete(self, queue: str, jobs: Sequence[Job]) -> None:
        self._owner.execute(self._sql("delete from {archive} where msg_id = any(%s)", queue), [list(jobs)])

    def pause(self, queue: str, paused: bool) -> None:
        raise AssertionError("pgmq cannot")

    def ruin(self, queue: str) -> None:
        """Its table is dropped, but not from the list of queues."""
        self._owner.execute(self._sql("drop table {queue}", queue))

    def fill(self, queue: str, ended: int) -> None:
        """Archived ones, some of them after retries; the numbers of real ones are left free."""
        self._owner.execute(
            self._sql(
                "insert into {archive} (msg_id, read_ct, enqueued_at, archived_at, vt)"
                " select 1000000000 + coalesce((select max(msg_id) from {archive}), 0) + g, 1 + g %% 2, t, t, t from"
                " (select g, now() - interval '1 day' - g * interval '1 s' as t from generate_series(1, %s) as g) as l",
                queue,
            ),
            [ended],
        )
        self._owner.execute(self._sql("vacuum analyze {archive}", queue))

    def oldest_ready(self, queue: str) -> float:
        return epoch(self._owner, self._text("select min(vt) from {queue} where vt <= now()", queue))

    def oldest_started(self, queue: str) -> float:
        return epoch(self._owner, self._text("select min(last_read_at) from {queue} where vt > now()", queue))

    def _sql(self, text: str, queue: str) -> bytes:
        return self._text(text, queue).encode()

    def _text(self, text: str, queue: str) -> str:
        names = {
            "queue": sql.Identifier("pgmq", f"q_{queue}"),
            "archive": sql.Identifier("pgmq", f"a_{queue}"),
        }
        return text.format(**{key: name.as_string(None) for key, name in names.items()})


class Tracked(Plain):
    """A table tells how each message fares; one that fails for good is sent to the dead-letter queue too."""

    abilities = Abilities()

    def source(self) -> dict[str, Any]:
        return {**super().source(), "tracking": {"table": "job_tracking"}}

    def create(self, *queues: str) -> None:
        super().create(*queues, *(f"{queue}_dlq" for queue in queues))

    def add(self, queue: str, count: int = 1, *, delay: float = 0) -> list[Job]:
        jobs = super().add(queue, count, delay=delay)
        self._owner.execute(
            "insert into job_tracking (msg_id, queue_name, attempt, enqueued_at)"
            " select unnest(%s::bigint[]), %s, 0, clock_timestamp()",
            [jobs, queue],
        )
        return jobs

    def start(self, queue: str, count: int = 1) -> list[Job]:
        jobs = super().start(queue, count)
        self._track(queue, jobs, "attempt = attempt + 1, started_at = clock_timestamp()")
        return jobs

    def finish(self, queue: str, jobs: Sequence[Job]) -> None:
        self._track(queue, jobs, "completed_at = clock_timestamp()")
        super().finish(queue, jobs)

    def fail(self, queue: str, jobs: Sequence[Job], *, again: bool) -> None:
        if again:
            self._track(queue, jobs, f"error_message = '{ERROR}'")
            super().fail(queue, jobs, again=True)
            return
        self._track(queue, jobs, f"failed_at = clock_timestamp(), error_message = '{ERROR}'")
        send(self._queue, f"{queue}_dlq", len(jobs))
        self._queue.archive_batch(queue, list(jobs))

    @contextmanager
    def finish_late(self, queue: str, jobs: Sequence[Job]) -> Iterator[None]:
        with self.database.connect() as worker, worker.transaction():
            worker.execute(
                "update job_tracking set completed_at = clock_timestamp() where queue_name = %s and msg_id = any(%s)",
                [queue, list(jobs)],
            )
            worker.execute("select pgmq.archive(%s, %s::bigint[])", [queue, list(jobs)])
            yield

    def delete(self, queue: str, jobs: Sequence[Job]) -> None:
        super().delete(queue, jobs)
        self._owner.execute("delete from job_tracking where queue_name = %s and msg_id = any(%s)", [queue, list(jobs)])

    def fill(self, queue: str, ended: int) -> None:
        super().fill(queue, ended)
        self._owner.execute(
            "insert into job_tracking (msg_id, queue_name, enqueued_at, started_at, completed_at)"
            " select 1000000000 + g, %s, t, t, t from"
            " (select g, now() - interval '1 day' - g * interval '1 s' as t from generate_series(1, %s) as g) as l",
            [queue, ended],
        )
        self._owner.execute("vacuum analyze job_tracking")

    def _track(self, queue: str, jobs: Sequence[Job], change: str) -> None:
        self._owner.execute(
            f"update job_tracking set {change} where queue_name = %s and msg_id = any(%s)".encode(),
            [queue, list(jobs)],
        )


def _maker(kind: type[Plain], server: str) -> Maker:
    @contextmanager
    def make(request: pytest.FixtureRequest) -> Iterator[Harness]:
        database = create_database(request.getfixturevalue(server), "empty")
        try:
            install(database, tracking=True)
            with client(database) as queue:
                harness = kind(database, queue)
                try:
                    yield harness
                finally:
                    harness.close()
        finally:
            drop_database(database)

    return make


HARNESSES: dict[str, Maker] = {"plain": _maker(Plain, "pg15"), "tracked": _maker(Tracked, "pg18")}
