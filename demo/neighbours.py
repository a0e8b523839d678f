"""Two more queue systems in the same database: webhooks in pgmq, imports of contacts in pg-boss' tables."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Callable
from pathlib import Path

import psycopg
import redis

from demo.part import Part
from demo.wheels import wheel_folder

HOOKS, IMPORTS = "webhooks", "contact-import"
_BOSS = (Path(__file__).parent / "pgboss.sql").read_text()
_HOOKS_RIGHTS = """\
grant usage on schema pgmq to postwatch;
grant select on all tables in schema pgmq to postwatch;
grant select on all sequences in schema pgmq to postwatch;
"""


Connection = psycopg.Connection[psycopg.rows.TupleRow]


def create_neighbours(owner: Connection) -> None:
    """Both, with a queue each, readable for the role that watches. Raises ServerError without the wheel pgmq."""
    owner.execute((wheel_folder("pgmq", "pgmq") / "sql" / "pgmq.sql").read_text(encoding="utf-8").encode())
    owner.execute("select pgmq.create(%s)", [HOOKS])
    owner.execute(_HOOKS_RIGHTS.encode())
    owner.execute(_BOSS.encode())


class Neighbours(Part):
    """Sends and takes in both, about two jobs a second each; one in twenty fails."""

    def __init__(self, postgres: str, store: str, report: Callable[[str], None], seed: int | None = None) -> None:
        super().__init__("neighbours", postgres, store, report)
        self._rng = random.Random(seed)

    def live(self, db: Connection, store: redis.Redis) -> None:  # noqa: ARG002 — they need no Redis
        while not self.stopping.wait(0.5):
            send_hook(db)
            send_import(db, priority=self._rng.choice((0, 0, 5)))
            for hook in take_hooks(db, 2, seconds=5):
                if self._rng.random() > 0.05:  # else it comes back, as one that failed
                    archive_hook(db, hook)
            for job in take_imports(db, 2):
                end_import(db, job, error="TimeoutError" if self._rng.random() < 0.05 else None)


def send_hook(db: Connection, count: int = 1) -> None:
    """New messages, ready at once."""
    db.execute("select pgmq.send(%s, '{}'::jsonb) from generate_series(1, %s)", [HOOKS, count])


def take_hooks(db: Connection, count: int, seconds: int) -> list[int]:
    """Messages that nobody else sees for that long."""
    return [row[0] for row in db.execute("select msg_id from pgmq.read(%s, %s, %s)", [HOOKS, seconds, count])]


def archive_hook(db: Connection, message: int) -> None:
    """It is done."""
    db.execute("select pgmq.archive(%s, %s::bigint)", [HOOKS, message])


def send_import(db: Connection, count: int = 1, priority: int = 0) -> None:
    """New jobs, ready at once."""
    db.execute(
        "insert into pgboss.job (name, priority, data) select %s, %s, '{}' from generate_series(1, %s)",
        [IMPORTS, priority, count],
    )


def take_imports(db: Connection, count: int) -> list[uuid.UUID]:
    """Jobs that run from now on, the most urgent first."""
    rows = db.execute(
        "update pgboss.job set state = 'active', started_on = now(),"
        " retry_count = retry_count + (state = 'retry')::int"
        " where name = %(name)s and id in (select id from pgboss.job where name = %(name)s and state < 'active'"
        " and start_after <= now() order by priority desc, created_on limit %(count)s for update skip locked)"
        " returning id",
        {"name": IMPORTS, "count": count},
    )
    return [row[0] for row in rows]


def end_import(db: Connection, job: uuid.UUID, error: str | None = None) -> None:
    """It is done, or has failed for good."""
    state, output = ("completed", None) if error is None else ("failed", json.dumps({"name": error}))
    db.execute(
        "update pgboss.job set state = %s, completed_on = now(), output = %s where name = %s and id = %s",
        [state, output, IMPORTS, job],
    )
