"""The SQL of the runbooks, as the role that only reads, against a database in trouble: it shows the trouble."""

from __future__ import annotations

import threading
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from tests.deploy.rules import RUNBOOKS
from tests.support.databases import Database
from tests.support.documents import blocks
from tests.support.wait import eventually

STATEMENTS = [
    (path.stem, statement.strip())
    for path in sorted(RUNBOOKS.glob("*.md"))
    for block in blocks(path, "sql")
    for statement in block.text.split(";")
    if statement.strip()
]


def answer(statement: str, database: Database) -> list[dict[str, Any]]:
    """Asked in a transaction that cannot write."""
    with psycopg.connect(database.reader_url, row_factory=dict_row) as connection:
        connection.read_only = True
        return connection.execute(statement.encode()).fetchall()


def asked(about: str, database: Database) -> list[dict[str, Any]]:
    """What the one statement that has these words answers."""
    (statement,) = [text for _, text in STATEMENTS if about in text]
    return answer(statement, database)


@pytest.mark.parametrize("database", ["penguinmails@15", "penguinmails@18"], indirect=True)
def test_every_statement_runs(database: Database) -> None:
    assert len(STATEMENTS) >= 5
    for _, statement in STATEMENTS:
        answer(statement, database)


def test_a_paused_queue_is_named(database: Database) -> None:
    with database.connect() as owner:
        owner.execute("insert into job_queues (name, is_active) values ('email-sending', false), ('warmup', true)")
    assert asked("from job_queues", database) == [{"name": "email-sending", "is_active": False}]


def test_who_holds_connections_is_counted(database: Database) -> None:
    with database.connect() as one, database.connect() as other:
        for each in (one, other):
            each.execute("set application_name = 'forgetful'")
            each.execute("begin")
        (found,) = [row for row in asked("group by", database) if row["application_name"] == "forgetful"]
    assert (found["state"], found["count"]) == ("idle in transaction", 2)


def test_who_waits_for_whom_is_shown(database: Database) -> None:
    with database.connect() as blocker, database.connect() as waiter:
        who, by_whom = waiter.info.backend_pid, blocker.info.backend_pid
        blocker.execute("insert into job_queues (name) values ('email-sending')")
        blocker.execute("begin")
        blocker.execute("update job_queues set is_active = false")
        update = threading.Thread(target=waiter.execute, args=("update job_queues set default_priority = 1",))
        update.start()
        try:
            rows = eventually(lambda: asked("pg_blocking_pids", database), within=20)
        finally:
            blocker.execute("rollback")
            update.join(20)
    (row,) = [row for row in rows if row["pid"] == who]
    assert row["waits_for"] == [by_whom]
    assert row["query"] == "update job_queues set default_priority = 1"


def test_a_table_that_is_read_whole_and_an_unused_index_are_named(database: Database) -> None:
    with database.connect() as owner:
        owner.execute("insert into job_queues (name) select 'q' || n from generate_series(1, 50) n")
        for _ in range(20):
            owner.execute("select * from job_queues where default_priority = 7")

    def told() -> None:
        tables = {row["relname"]: row for row in asked("from pg_stat_user_tables", database)}
        assert tables["job_queues"]["seq_scan"] >= 20
        assert tables["job_queues"]["seq_tup_read"] >= 1000

    eventually(told, within=20)
    unused = {row["indexrelname"]: row["idx_scan"] for row in asked("from pg_stat_user_indexes", database)}
    assert unused["idx_jobs_queue_migration"] == 0


def test_the_slowest_statements_are_told(database: Database) -> None:
    with database.connect() as owner:
        owner.execute("select pg_stat_statements_reset()")
        owner.execute("select pg_sleep(0.5)")
    rows = asked("from pg_stat_statements", database)
    (row,) = [row for row in rows if "pg_sleep" in row["query"]]
    assert row["calls"] == 1
    assert row["mean_ms"] >= 500
