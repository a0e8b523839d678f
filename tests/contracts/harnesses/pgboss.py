"""pg-boss of three versions, with its own client for Node.js."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from tests.contracts.harness import Abilities, Harness, Job, Maker
from tests.support.boss import Boss, allow_reading
from tests.support.databases import Database, create_database, drop_database
from tests.support.jobs import epoch


class PgBoss:
    """One version of pg-boss in a fresh database."""

    def __init__(self, database: Database, boss: Boss) -> None:
        self.database = database
        # Before schema 46, of pg-boss 12.38, no index finds what ended.
        self.abilities = Abilities(flat=("changes", "counts") if boss.major >= 12 else ("counts",))
        self._boss = boss
        self._owner = database.connect()

    def close(self) -> None:
        self._owner.close()

    def source(self) -> dict[str, Any]:
        return {"kind": "pgboss", "postgres": self.database.reader_url}

    def create(self, *queues: str) -> None:
        for queue in queues:
            self._boss.create(queue)

    def add(self, queue: str, count: int = 1, *, delay: float = 0) -> list[Job]:
        return [*self._boss.send(queue, count, **({"startAfter": int(delay)} if delay else {}))]

    def start(self, queue: str, count: int = 1) -> list[Job]:
        return [*self._boss.fetch(queue, count)]

    def finish(self, queue: str, jobs: Sequence[Job]) -> None:
        self._boss.complete(queue, jobs)

    def fail(self, queue: str, jobs: Sequence[Job], *, again: bool) -> None:
        limit = "retry_count + 1" if again else "retry_count"
        self._owner.execute(
            f"update pgboss.job set retry_limit = {limit} where name = %s and id = any(%s::uuid[])".encode(),
            [queue, list(jobs)],
        )
        self._boss.fail(queue, jobs)

    @contextmanager
    def finish_late(self, queue: str, jobs: Sequence[Job]) -> Iterator[None]:
        with self.database.connect() as worker, worker.transaction():
            worker.execute(
                "update pgboss.job set state = 'completed', completed_on = now()"
                " where name = %s and id = any(%s::uuid[])",
                [queue, list(jobs)],
            )
            yield

    def delete(self, queue: str, jobs: Sequence[Job]) -> None:
        self._boss.delete(queue, jobs)

    def pause(self, queue: str, paused: bool) -> None:
        raise NotImplementedError

    def ruin(self, queue: str) -> None:
        """The queue is deleted with all its jobs; in pg-boss 10, which refuses while it has some, with its table."""
        self._owner.execute("delete from pgboss.job where name = %s", [queue])
        self._boss.delete_queue(queue)

    def fill(self, queue: str, ended: int) -> None:
        self._owner.execute(
            "insert into pgboss.job (name, state, start_after, created_on, started_on, completed_on)"
            " select %s, 'completed', t, t, t, t from"
            " (select now() - interval '1 day' - g * interval '1 s' as t from generate_series(1, %s) as g) as life",
            [queue, ended],
        )
        self._owner.execute("vacuum analyze pgboss.job")

    def oldest_ready(self, queue: str) -> float:
        return epoch(
            self._owner,
            "select min(start_after) from pgboss.job where name = %(queue)s and state = 'created'"
            " and start_after <= now()",
            {"queue": queue},
        )

    def oldest_started(self, queue: str) -> float:
        return epoch(
            self._owner,
            "select min(started_on) from pgboss.job where name = %(queue)s and state = 'active'",
            {"queue": queue},
        )


def _maker(major: int, server: str) -> Maker:
    @contextmanager
    def make(request: pytest.FixtureRequest) -> Iterator[Harness]:
        database = create_database(request.getfixturevalue(server), "empty")
        try:
            with Boss(major, database.url) as boss:
                allow_reading(database, boss)
                harness = PgBoss(database, boss)
                try:
                    yield harness
                finally:
                    harness.close()
        finally:
            drop_database(database)

    return make


HARNESSES: dict[str, Maker] = {
    "10": _maker(10, "pg15"),
    "11": _maker(11, "pg18"),
    "12": _maker(12, "pg15"),
}
