"""PostgreSQL's own health where it, its pooler or a right is missing, and who pays for the looks."""

from __future__ import annotations

import time
from pathlib import Path

import psycopg
import pytest

from demo.servers import Postgres
from exporter.model import Reason
from tests.support.databases import Database
from tests.support.exporter import Exporter, source
from tests.support.servers import PgBouncer
from tests.support.stores import checked, later, postgres

COMMANDS = ("select", "insert", "update", "delete", "other")


@pytest.mark.parametrize("silent", [False, True])
def test_a_pgbouncer_that_is_down_takes_nothing_from_the_database(
    database: Database, pg15: Postgres, *, silent: bool
) -> None:
    with PgBouncer(pg15) as bouncer:
        given = postgres(database.reader_url, pgbouncer=bouncer.url("pgbouncer"))
        with Exporter(given) as exporter:
            exporter.look("postgres", source="oltp")
            (bouncer.freeze if silent else bouncer.stop)()
            outcome = exporter.run("postgres", source="oltp")
            assert not outcome.up
            assert outcome.failures[Reason.TIMEOUT if silent else Reason.REFUSED] == 1
            samples = exporter.samples()
            assert samples.value("postwatch_postgres_up") == 1
            assert samples.by("state", "postwatch_postgres_connections")
            assert len(exporter.logged("sampler_failed")) == 1
            if silent:
                bouncer.thaw()


def test_a_database_that_is_down_says_so_and_the_rest_ages_out(own_pg15: Postgres) -> None:
    with Exporter(postgres(own_pg15.url())) as exporter:
        exporter.look("postgres", source="oltp")
        own_pg15.stop()
        outcome = exporter.run("postgres", source="oltp")
        assert outcome.failures[Reason.REFUSED] == 1
        exporter.clock.monotonic_offset += 60
        exporter.run("postgres", source="oltp")
        samples = exporter.samples()
        assert samples.value("postwatch_postgres_up") == 0
        assert not samples.series("postwatch_postgres_connections")
        assert not samples.series("postwatch_postgres_connections_limit")
        assert samples.value("postwatch_postgres_deadlocks_total") == 0  # counters stand still
        assert len(exporter.logged("sampler_failed")) == 1
        own_pg15.start()
        assert exporter.look("postgres", source="oltp").value("postwatch_postgres_up") == 1
        assert exporter.logged("sampler_recovered")


def test_a_frozen_database_is_down_within_the_time_limit(own_pg15: Postgres) -> None:
    with Exporter(postgres(own_pg15.url(), timeout="1s")) as exporter:
        exporter.look("postgres", source="oltp")
        own_pg15.freeze()
        began = time.monotonic()
        outcome = exporter.run("postgres", source="oltp")
        assert time.monotonic() - began < 10
        assert outcome.failures[Reason.TIMEOUT] == 1
        assert exporter.samples().value("postwatch_postgres_up") == 0
        own_pg15.thaw()


class TestWithoutRights:
    HIDDEN = (
        "postwatch_postgres_connections", "postwatch_postgres_oldest_transaction_timestamp_seconds",
        "postwatch_postgres_statements_total", "postwatch_postgres_statement_seconds_total",
    )  # fmt: skip

    def test_pg_monitor_is_missing(self, database: Database, tmp_path: Path) -> None:
        with database.connect() as owner:
            owner.execute(f"revoke pg_monitor from {database.reader}".encode())
            given = postgres(database.reader_url)
            with Exporter(given) as exporter:
                owner.execute("begin")
                for _ in range(3):
                    samples = later(exporter, "postgres", "oltp")
                for name in self.HIDDEN:
                    assert not samples.series(name), name
                assert samples.value("postwatch_postgres_connections_limit") == 100
                assert samples.value("postwatch_postgres_deadlocks_total") == 0
                (said,) = exporter.logged("metrics_absent")
                assert said["advice"] == f"grant pg_monitor to {database.reader};"
                assert set(said["metrics"]) == set(self.HIDDEN)
                owner.execute("commit")
                owner.execute(f"grant pg_monitor to {database.reader}".encode())
                samples = later(exporter, "postgres", "oltp")
                assert samples.by("command", "postwatch_postgres_statements_total") == dict.fromkeys(COMMANDS, 0)
                assert exporter.logged("metrics_back")
            owner.execute(f"revoke pg_monitor from {database.reader}".encode())
        assert f"grant pg_monitor to {database.reader};" in checked(tmp_path, given)

    def test_the_extension_is_missing(self, database: Database, tmp_path: Path) -> None:
        with database.connect() as owner:
            owner.execute("drop extension pg_stat_statements")
            given = postgres(database.reader_url)
            with Exporter(given) as exporter:
                for _ in range(3):
                    samples = later(exporter, "postgres", "oltp")
                assert not samples.series("postwatch_postgres_statements_total")
                assert samples.by("state", "postwatch_postgres_connections")
                (said,) = exporter.logged("metrics_absent")
                assert said["advice"] == "create extension pg_stat_statements;"
                # Made again, in a schema of its own.
                owner.execute("create schema stats")
                owner.execute("create extension pg_stat_statements schema stats")
                later(exporter, "postgres", "oltp")
                assert (
                    exporter.logged("metrics_absent")[-1]["advice"]
                    == f"grant usage on schema stats to {database.reader};"
                )
                owner.execute(f"grant usage on schema stats to {database.reader}".encode())
                samples = later(exporter, "postgres", "oltp")
                assert samples.by("command", "postwatch_postgres_statements_total") == dict.fromkeys(COMMANDS, 0)
            owner.execute("drop extension pg_stat_statements")
        assert "create extension pg_stat_statements;" in checked(tmp_path, given)

    def test_the_library_is_not_loaded(self, own_pg15: Postgres, tmp_path: Path) -> None:
        own_pg15.settings = {**own_pg15.settings, "shared_preload_libraries": ""}
        own_pg15.restart()
        with psycopg.connect(own_pg15.url(), autocommit=True) as owner:
            owner.execute("create extension pg_stat_statements")
        given = postgres(own_pg15.url())
        with Exporter(given) as exporter:
            assert exporter.look("postgres", source="oltp").value("postwatch_postgres_up") == 1
            (said,) = exporter.logged("metrics_absent")
            assert "shared_preload_libraries" in said["advice"]
        assert "shared_preload_libraries" in checked(tmp_path, given)


def test_its_time_is_charged_to_the_database_s_budget(database: Database) -> None:
    """By the account that the queues in the same database have."""
    given = {**postgres(database.reader_url), "queues": [source(database.reader_url)]}
    with Exporter(given) as exporter:
        accounts = {sampler.account for part in exporter.watch.parts for sampler in part.samplers()}
        assert accounts == {exporter.watch.sources[0].context.database_account}
        samples = exporter.look("postgres", source="oltp")
        spent = samples.value("postwatch_sampler_source_seconds_total", sampler="postgres", source="oltp")
        assert spent > 0
