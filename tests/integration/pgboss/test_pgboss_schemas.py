"""Schemas of pg-boss: what their versions keep, their indexes, newer ones, rights, other names."""

from __future__ import annotations

from typing import Any

import pytest

from demo.process import ServerError
from tests.integration.pgboss.reading import LOOKS, QUEUE, Bench, counters, states, watched
from tests.support.boss import Boss, allow_reading
from tests.support.databases import create_database, drop_database
from tests.support.wait import eventually


@pytest.mark.parametrize("bench", ["10@15"], indirect=True)
def test_what_is_archived_between_two_looks_is_counted_once(bench: Bench) -> None:
    boss, exporter = bench.boss, bench.exporter
    boss.send(QUEUE, 4)
    jobs = boss.fetch(QUEUE, 4)
    exporter.look(*LOOKS)
    boss.complete(QUEUE, jobs[:3])
    moved = (
        "with gone as (delete from pgboss.job where id = any(%s::uuid[]) returning *)"
        " insert into pgboss.archive select * from gone"
    )
    bench.owner.execute(moved, [jobs[:2]])
    for _ in range(2):
        assert counters(exporter.look(*LOOKS))["completed"] == 3
    bench.owner.execute(moved, [jobs[2:3]])
    samples = exporter.look(*LOOKS)
    assert counters(samples) == {"completed": 3, "jobs_within_target": 3, "durations": 3, "waits": 3}
    assert states(samples)["active"] == 1


@pytest.mark.parametrize("bench", ["11@15"], indirect=True)
def test_an_index_that_somebody_adds_makes_looks_cheap(bench: Bench) -> None:
    boss, exporter = bench.boss, bench.exporter
    exporter.look(*LOOKS)
    (remark,) = [r for r in bench.remarks() if "no index" in r.text]
    assert "schema version 26" in remark.text
    assert not remark.fatal
    bench.owner.execute(remark.remedy.rpartition("for: ")[2].replace("<table>", "job_common"))
    assert not [r for r in bench.remarks() if "no index" in r.text]
    # What was read is looked at anew when a queue comes.
    boss.create("other")
    boss.send(QUEUE, 3)
    boss.fetch(QUEUE, 2)
    exporter.look(*LOOKS)
    plans = bench.owner.execute("select query from pg_stat_statements where query ~ 'completed_on is null'").fetchall()
    assert plans, "the index is not relied upon"
    boss.complete(QUEUE, boss.fetch(QUEUE))
    samples = exporter.look("changes")
    assert counters(samples)["completed"] == 1
    assert states(samples)["active"] == 2
    assert samples.queue("jobs_enqueued_total", QUEUE) == 3


@pytest.mark.parametrize("bench", ["12@15"], indirect=True)
def test_a_newer_schema_works_or_says_why_not(bench: Bench) -> None:
    boss, exporter = bench.boss, bench.exporter
    boss.send(QUEUE, 2)
    bench.owner.execute("update pgboss.version set version = 99")
    assert exporter.look(*LOOKS).queue("depth", QUEUE) == 2
    assert any("schema version 99, newer than 46" in r.text and not r.fatal for r in bench.remarks())
    bench.owner.execute("alter table pgboss.job rename column start_after to begin_after")
    with watched(bench.database) as fresh:
        outcome = fresh.run("counts")
        assert not outcome.up
        assert "table pgboss.job, of schema version 99, newer than 46, has no column start_after" in str(outcome.error)
        assert fresh.samples().get("postwatch_sampler_failures_total", sampler="counts", reason="missing") == 1
    assert [r.text for r in bench.remarks() if r.fatal] == [
        "table pgboss.job, of schema version 99, newer than 46, has no column start_after"
    ]
    # The watcher that is at work finds it out as well, and back again.
    assert not exporter.run("changes").up
    bench.owner.execute("alter table pgboss.job rename column begin_after to start_after")
    eventually(lambda: exporter.run("changes").up and exporter.run("counts").up, within=15)
    bench.owner.execute("alter type pgboss.job_state add value 'parked'")
    assert any("parked" in r.text for r in bench.remarks())
    bench.owner.execute("update pgboss.version set version = 20")
    (fatal,) = [r for r in bench.remarks() if r.fatal]
    assert "schema version 20, of pg-boss 9 or older" in fatal.text


@pytest.mark.parametrize("bench", ["10@15", "12@15"], indirect=True)
def test_rights_that_are_missing_are_named(bench: Bench) -> None:
    assert not [r for r in bench.remarks() if r.fatal or "pg_monitor" in r.remedy]
    reader = bench.database.reader
    bench.owner.execute(f"revoke select on pgboss.job from {reader}".encode())
    assert [r.remedy for r in bench.remarks() if r.fatal] == [f'grant select on "pgboss"."job" to {reader};']
    bench.owner.execute(f"revoke usage on schema pgboss from {reader}".encode())
    assert [r.remedy for r in bench.remarks() if r.fatal] == [f"grant usage on schema pgboss to {reader};"]
    assert not bench.exporter.run("counts").up
    bench.owner.execute("drop schema pgboss cascade")
    (fatal,) = [r for r in bench.remarks() if r.fatal]
    assert "there is no table pgboss.version" in fatal.text


def test_a_schema_of_another_name(pg15: Any) -> None:
    database = create_database(pg15, "empty")
    with Boss(12, database.url, "flows") as boss:
        allow_reading(database, boss)
        boss.create(QUEUE)
        boss.send(QUEUE, 2)
        with watched(database, schema_name="Flows") as exporter:  # as SQL reads it without quotes
            assert exporter.look(*LOOKS).queue("depth", QUEUE) == 2
        with pytest.raises(ServerError, match="does not exist"):
            boss.send("unknown")
    drop_database(database)
