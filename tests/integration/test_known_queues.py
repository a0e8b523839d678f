"""Which queues are known, how long what is told of them lasts, and databases of an odd kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest

from chassis.clock import Clock, ManualClock
from exporter.queues import hybrid
from tests.support.databases import Database
from tests.support.watching import Watching

CONFIGURATION = """
queues:
  - {{name: mail, kind: hybrid, postgres: "{url}", schema: {layout}, stale_after: 30s, timeout: 200ms}}
"""
WORKS = ("changes/mail", "counts/mail", "failed/mail")
INSERT = "insert into jobs (queue, payload, status) values ('queue:exports:low', '{}', 'waiting')"


Watch = Callable[..., Watching]


@pytest.fixture
def watch() -> Iterator[Watch]:
    """Makes watchers of a configuration, and closes their connections behind the test."""
    made: list[Watching] = []

    def make(configuration: str, clock: Clock | None = None) -> Watching:
        made.append(Watching(configuration, clock))
        return made[-1]

    yield make
    for one in made:
        one.watch.stop(1.0)


def look(watching: Watching, *, depth: float, queue: str = "exports") -> None:
    watching.run_once(*WORKS)
    assert watching.total("postwatch_queue_depth", queue=queue) == depth


@pytest.mark.parametrize("database", ["basic@15"], indirect=True)
def test_a_queue_that_no_table_names_shows_zero_when_it_is_empty(database: Database, watch: Watch) -> None:
    watching = watch(CONFIGURATION.format(url=database.reader_url, layout="basic"))
    with database.connect() as owner:
        owner.execute(INSERT)
        look(watching, depth=1)
        owner.execute("update jobs set status = 'failed', updated_at = now()")
        watching.run_once("counts/mail")
        look(watching, depth=0)
        assert watching.total("postwatch_queue_jobs", queue="exports", priority="low", state="failed") == 1


@pytest.mark.parametrize("database", ["basic@15"], indirect=True)
def test_a_queue_that_its_table_names_no_more_loses_its_gauges(database: Database, watch: Watch) -> None:
    watching = watch(CONFIGURATION.format(url=database.reader_url, layout="basic"))
    with database.connect() as owner:
        owner.execute("insert into job_queues (name) values ('queue:exports:low'), ('queue:imports')")
        owner.execute(INSERT)
        look(watching, depth=1)
        owner.execute("delete from jobs")
        owner.execute("delete from job_queues where name = 'queue:exports:low'")
        watching.run_once(*WORKS)
        look(watching, depth=0, queue="imports")
        gauges = [n for (n, labels), _ in watching.samples().items() if ("queue", "exports") in labels]
        assert "postwatch_queue_depth" not in gauges
        assert "postwatch_queue_jobs_enqueued_total" in gauges


def test_what_only_exact_counts_tell_ends_when_they_fail(
    database: Database, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hybrid, "EXACT_TIMEOUT", 0.2)
    clock = ManualClock()
    watching = watch(CONFIGURATION.format(url=database.reader_url, layout="penguinmails"), clock)
    with database.connect() as owner:
        owner.execute("insert into job_queues (name) values ('exports')")
        owner.execute("insert into jobs (queue_name, payload) values ('exports', '{}')")
    watching.run_once(*WORKS)
    oldest = "postwatch_queue_oldest_waiting_timestamp_seconds"
    assert watching.total(oldest, queue="exports") > 0
    # Whatever holds up both looks would hide the difference: the exact counts' own connection is never free.
    with watching.watch.sources[0].context.database._lanes["exact"].lock:
        assert not watching.watch.sampling.run_once("counts/mail").up
        clock.advance(31)
        watching.run_once("changes/mail")
    assert watching.total("postwatch_queue_depth", queue="exports") == 1
    assert not any(name == oldest for name, _ in watching.samples())
    watching.run_once("counts/mail")
    assert watching.total(oldest, queue="exports") > 0


def test_the_last_end_is_found_in_a_large_table(database: Database, watch: Watch) -> None:
    with database.connect() as owner:
        owner.execute("insert into job_queues (name) values ('busy'), ('rare')")
        owner.execute(
            "insert into jobs (queue_name, payload, status, completed, created, updated)"
            " select 'busy', '{}', 'completed', t, t, t"
            " from (select now() - interval '1 day' + n * interval '0.1 s' as t from generate_series(1, 200000) n) s"
        )
        owner.execute(
            "insert into jobs (queue_name, payload, status, completed, updated)"
            " values ('rare', '{}', 'completed', now() - interval '2 hours', now() - interval '2 hours')"
        )
        owner.execute("analyze jobs")
        rows = owner.execute("select queue_name, extract(epoch from max(completed))::float8 from jobs group by 1")
        truth = dict(rows.fetchall())
    watching = watch(CONFIGURATION.format(url=database.reader_url, layout="penguinmails"))
    watching.run_once(*WORKS)
    watching.run_once("changes/mail")
    for queue, last in truth.items():
        shown = watching.total("postwatch_queue_last_finished_timestamp_seconds", queue=queue)
        assert shown == pytest.approx(last, abs=1e-3)


def test_a_database_without_an_encoding_is_read(database: Database, watch: Watch) -> None:
    name = f"{database.name}_ascii"
    with database.connect() as owner:
        owner.execute(f"create database {name} encoding 'SQL_ASCII' template template0 lc_collate 'C' lc_ctype 'C'")
    url = database.server.url(name)
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute("create table jobs (id bigint primary key, queue text, status text, payload jsonb)")
        owner.execute("insert into jobs values (1, 'queue:exports', 'waiting', '{}')")
    watching = watch(CONFIGURATION.format(url=url, layout="basic"))
    watching.run_once("counts/mail")
    assert watching.total("postwatch_queue_depth", queue="exports") == 1
