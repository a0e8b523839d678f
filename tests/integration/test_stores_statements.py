"""Statements of a PostgreSQL by command, against what the test ran."""

from __future__ import annotations

import pytest
import yaml

from chassis.settings import parse
from demo.servers import Postgres
from exporter.app import Watch
from exporter.settings import ExporterSettings
from tests.support.databases import Database, create_database
from tests.support.exporter import Exporter
from tests.support.stores import later, postgres

BOTH = pytest.mark.parametrize("database", ["penguinmails@15", "penguinmails@18"], indirect=True)
COMMANDS = {"select", "insert", "update", "delete", "other"}


@BOTH
def test_statements_and_their_time_by_command(database: Database) -> None:
    with Exporter(postgres(database.reader_url)) as exporter, database.connect() as owner:
        owner.execute("insert into job_queues (name) values ('before')")
        first = exporter.look("postgres", source="oltp").by("command", "postwatch_postgres_statements_total")
        assert first == dict.fromkeys(COMMANDS, 0)
        for number in range(7):
            owner.execute("insert into job_queues (name) values (%s)", [str(number)])
        for _ in range(3):
            owner.execute("/* app */ with old as (select 1) update job_queues set is_active = false")
        owner.execute("delete from job_queues where name = '1'")
        owner.execute("select pg_sleep(0.2)")
        samples = later(exporter, "postgres", "oltp")
        counts = samples.by("command", "postwatch_postgres_statements_total")
        assert (counts["insert"], counts["update"], counts["delete"]) == (7, 3, 1)
        assert counts["select"] >= 1  # ours are among them
        seconds = samples.by("command", "postwatch_postgres_statement_seconds_total")
        assert 0.2 <= seconds["select"] < 5
        assert 0 < seconds["insert"] < 0.2


@BOTH
def test_statements_inside_of_functions_are_part_of_their_caller(database: Database) -> None:
    with Exporter(postgres(database.reader_url)) as exporter, database.connect() as owner:
        owner.execute("set pg_stat_statements.track = 'all'")
        owner.execute(
            "create function fill() returns void language plpgsql as"
            " $$ begin for i in 1..5 loop insert into job_queues (name) values (i::text); end loop; end $$"
        )
        exporter.look("postgres", source="oltp")
        owner.execute("select fill()")
        counts = later(exporter, "postgres", "oltp").by("command", "postwatch_postgres_statements_total")
        assert counts["insert"] == 0
        assert counts["select"] >= 1


def test_sums_never_fall_over_resets_evictions_and_restarts(own_pg15: Postgres) -> None:
    own_pg15.settings = {**own_pg15.settings, "pg_stat_statements.max": "100"}
    own_pg15.restart()
    database = create_database(own_pg15)

    def look() -> float:
        samples = later(exporter, "postgres", "oltp")
        return samples.value("postwatch_postgres_statements_total", command="insert")

    with Exporter(postgres(database.reader_url)) as exporter:
        exporter.look("postgres", source="oltp")
        with database.connect() as owner:
            owner.execute("insert into job_queues (name) values ('a')")
            assert look() == 1
            owner.execute("select pg_stat_statements_reset()")
            owner.execute("insert into job_queues (name) values ('b')")
            assert look() == 2
            for number in range(300):  # more than there is room for
                owner.execute(f"select 1 as column_{number}".encode())
            owner.execute("insert into job_queues (name) values ('c')")
            assert look() == 3
        own_pg15.restart()
        assert not exporter.run("postgres", source="oltp").up  # the connection is gone, and noticed
        with database.connect() as owner:
            owner.execute("insert into job_queues (name) values ('d')")
        assert look() == 4
        own_pg15.kill()
        own_pg15.start()  # a crash forgets all statements
        assert not exporter.run("postgres", source="oltp").up
        with database.connect() as owner:
            owner.execute("insert into job_queues (name) values ('e')")
        assert look() == 5


def test_a_reload_goes_on_with_the_sums(database: Database) -> None:
    given = postgres(database.reader_url)
    with Exporter(given) as exporter, database.connect() as owner:
        exporter.look("postgres", source="oltp")
        owner.execute("insert into job_queues (name) values ('a')")
        assert later(exporter, "postgres", "oltp").value("postwatch_postgres_statements_total", command="insert") == 1
        settings = parse(yaml.safe_dump({**given, "redis": []}), ExporterSettings, {})
        old = exporter.watch
        old.pause(1)
        exporter.watch = Watch(settings, exporter.board, exporter.clock, before=old)
        old.close(but=exporter.watch)
        owner.execute("insert into job_queues (name) values ('b')")
        samples = later(exporter, "postgres", "oltp")
        assert samples.value("postwatch_postgres_statements_total", command="insert") == 2
        assert samples.value("postwatch_postgres_ping_seconds_count") == 3
