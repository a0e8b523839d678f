"""PostgreSQL's own health, against what the test did to it."""

from __future__ import annotations

import threading
import time

import psycopg
import pytest

from demo.servers import Postgres
from tests.support.databases import Database
from tests.support.exporter import Exporter, source
from tests.support.jobs import add, queues
from tests.support.messages import install
from tests.support.servers import PgBouncer
from tests.support.stores import postgres
from tests.support.wait import eventually

BOTH = pytest.mark.parametrize("database", ["penguinmails@15", "penguinmails@18"], indirect=True)
STATES = {
    "active", "idle", "idle_in_transaction", "idle_in_transaction_aborted", "fastpath_function_call", "disabled",
    "starting", "other",
}  # fmt: skip


@BOTH
def test_connections_by_state_and_their_limit(database: Database) -> None:
    with Exporter(postgres(database.reader_url)) as exporter:
        before = exporter.look("postgres", source="oltp").by("state", "postwatch_postgres_connections")
        assert set(before) == STATES
        with database.connect() as idle, database.connect() as open_, database.connect() as aborted:
            idle.execute("select 1")
            open_.execute("begin")
            aborted.execute("begin")
            with pytest.raises(psycopg.Error):
                aborted.execute("no sql")
            samples = exporter.look("postgres", source="oltp")
        now = samples.by("state", "postwatch_postgres_connections")
        # The server is shared with other tests, whose connections may come and go.
        for state in ("idle", "idle_in_transaction", "idle_in_transaction_aborted", "active"):
            assert now[state] >= 1
        assert samples.value("postwatch_postgres_connections_limit", database="oltp") == 100
        assert samples.value("postwatch_postgres_up") == 1
        assert samples.value("postwatch_postgres_ping_seconds_count") == 2
        assert 0 < samples.value("postwatch_postgres_ping_seconds_sum") < 5


def test_connections_of_a_server_of_its_own_are_exact(own_pg15: Postgres) -> None:
    with Exporter(postgres(own_pg15.url())) as exporter, psycopg.connect(own_pg15.url(), autocommit=True) as one:
        with psycopg.connect(own_pg15.url(), autocommit=True) as two:
            one.execute("begin")
            two.execute("select 1")
            samples = exporter.look("postgres", source="oltp")
        states = samples.by("state", "postwatch_postgres_connections")
        wanted = {"active": 1, "idle": 1, "idle_in_transaction": 1}  # active is the exporter itself
        assert states == {**dict.fromkeys(STATES, 0), **wanted}


@BOTH
def test_the_oldest_transaction_prepared_ones_included(database: Database) -> None:
    with Exporter(postgres(database.reader_url)) as exporter, database.connect() as owner:
        name = "postwatch_postgres_oldest_transaction_timestamp_seconds"
        assert exporter.look("postgres", source="oltp").get(name) is None
        began = time.time()
        owner.execute("begin")
        owner.execute("create table kept (id int)")
        open_since = exporter.look("postgres", source="oltp").value(name)
        assert began - 1 <= open_since <= time.time() + 1
        owner.execute("prepare transaction 'postwatch'")
        assert exporter.look("postgres", source="oltp").value(name) == pytest.approx(open_since, abs=5)
        owner.execute("rollback prepared 'postwatch'")
        assert exporter.look("postgres", source="oltp").get(name) is None


@BOTH
def test_deadlocks_are_passed_on(database: Database) -> None:
    with database.connect() as owner:
        owner.execute("insert into job_queues (name) values ('a'), ('b')")
    with Exporter(postgres(database.reader_url)) as exporter:
        assert exporter.look("postgres", source="oltp").value("postwatch_postgres_deadlocks_total") == 0
        with database.connect() as one, database.connect() as two:
            update = "update job_queues set is_active = false where name = %s"
            for connection, name in ((one, "a"), (two, "b")):
                connection.execute("set deadlock_timeout = '50ms'")
                connection.execute("begin")
                connection.execute(update, [name])
            failures: list[psycopg.Error] = []

            def cross(connection: psycopg.Connection[tuple[object, ...]], name: str) -> None:
                try:
                    connection.execute(update, [name])
                    connection.execute("commit")
                except psycopg.errors.DeadlockDetected as error:
                    failures.append(error)
                    connection.execute("rollback")

            threads = [threading.Thread(target=cross, args=pair) for pair in ((one, "b"), (two, "a"))]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(30)
            assert len(failures) == 1
        # Sessions hand in their statistics when they end, on PostgreSQL 15 a little later.
        name = "postwatch_postgres_deadlocks_total"
        eventually(lambda: exporter.look("postgres", source="oltp").value(name) == 1, within=20)


@BOTH
def test_dead_rows_of_queue_tables_and_of_no_others(database: Database) -> None:
    given = {
        **postgres(database.reader_url),
        "queues": [source(database.reader_url)],
    }
    with Exporter(given) as exporter, database.connect() as owner:
        owner.execute("create table other (id int)")
        for table in ("jobs", "other"):
            owner.execute(f"alter table {table} set (autovacuum_enabled = false)".encode())
        queues(owner, "mail")
        add(owner, queue_name="mail", count=500)
        owner.execute("delete from jobs")
        owner.execute("insert into other select generate_series(1, 50)")
        owner.execute("delete from other")
        owner.execute("select pg_stat_force_next_flush()")

        def told() -> None:
            tables = exporter.look("postgres", source="oltp").by("table", "postwatch_postgres_dead_tuples")
            assert tables == {"jobs": 500}

        eventually(told, within=20)


def test_dead_rows_of_partitions_add_up_and_of_another_schema_too(database: Database) -> None:
    layout = {"preset": "penguinmails", "jobs": {"table": '"App".jobs'}, "queues": None}
    given = {**postgres(database.reader_url), "queues": [source(database.reader_url, schema=layout)]}
    with Exporter(given) as exporter, database.connect() as owner:
        owner.execute('create schema "App"')  # closed to the role: statistics are not
        owner.execute('create table "App".jobs (id int, status text) partition by list (status)')
        for state in ("a", "b"):
            part = f'create table "App".jobs_{state} partition of "App".jobs for values in (\'{state}\')'
            owner.execute(f"{part} with (autovacuum_enabled = false)".encode())
            owner.execute(f"insert into \"App\".jobs select i, '{state}' from generate_series(1, 30) i".encode())
        owner.execute('delete from "App".jobs')
        owner.execute("select pg_stat_force_next_flush()")

        def told() -> None:
            tables = exporter.look("postgres", source="oltp").by("table", "postwatch_postgres_dead_tuples")
            assert tables == {'"App".jobs': 60}

        eventually(told, within=20)


def test_dead_rows_of_pgmq_and_pgboss(database: Database) -> None:
    """By the names that people use, whatever quotes a source puts around them."""
    given = {
        **postgres(database.reader_url),
        "queues": [
            {"name": "hooks", "kind": "pgmq", "postgres": database.reader_url},
            {"name": "flows", "kind": "pgboss", "postgres": database.reader_url, "schema_name": "flows"},
        ],
    }
    with database.connect() as owner:
        install(database)
        owner.execute("grant usage on schema pgmq to public")
        owner.execute("grant select on all tables in schema pgmq to public")
        owner.execute("select pgmq.create('Hooks')")
        owner.execute("create schema flows")
        owner.execute("create table flows.job (id int) partition by list (id)")
        owner.execute("create table flows.job_1 partition of flows.job for values in (1)")
        owner.execute("grant select on all tables in schema pgmq to public")
        with Exporter(given) as exporter:
            exporter.look("changes", source="hooks")
            tables = exporter.look("postgres", source="oltp").by("table", "postwatch_postgres_dead_tuples")
            assert {"pgmq.q_hooks", "flows.job"} <= set(tables)


def test_pools_of_pgbouncer(own_pg15: Postgres) -> None:
    with PgBouncer(own_pg15, settings={"default_pool_size": "1"}) as bouncer:
        given = postgres(bouncer.url(), pgbouncer=bouncer.url("pgbouncer"))
        with Exporter(given) as exporter, psycopg.connect(bouncer.url(), autocommit=True) as one:
            one.execute("begin")
            waiting = threading.Thread(target=_wait_in_pool, args=(bouncer.url(),))
            waiting.start()
            name = "postwatch_postgres_pool_connections"

            def told() -> None:
                exporter.run("postgres", source="oltp")  # its own query waits in the same pool, behind that one
                pool = exporter.samples().by("state", name, pool="postgres/postgres")
                assert pool["client_active"] == 1
                assert pool["client_waiting"] >= 1
                assert pool["server_active"] == 1
                assert set(pool) == {
                    "client_active", "client_waiting", "server_active", "server_idle", "server_used", "server_tested",
                    "server_login",
                }  # fmt: skip

            eventually(told, within=30)
            samples = exporter.samples()
            assert samples.value("postwatch_postgres_pool_connections_limit", pool="postgres/postgres") == 1
            assert samples.value("postwatch_postgres_up") == 0
            (part,) = exporter.watch.parts
            assert part.table().lines[0].word == "down"
            one.execute("commit")
            waiting.join(30)
            samples = exporter.look("postgres", source="oltp")
            assert samples.value("postwatch_postgres_up") == 1
            assert samples.value(name, pool="postgres/postgres", state="client_waiting") == 0


def _wait_in_pool(url: str) -> None:
    with psycopg.connect(url, autocommit=True, prepare_threshold=None) as connection:
        connection.execute("select 1")
