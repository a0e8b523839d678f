"""pg-boss by its own clients, of three versions: every number against what the test itself had done."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from demo.process import ServerError
from exporter.sampling.sampler import Run
from tests.support.boss import Boss, allow_reading
from tests.support.databases import Database, create_database, drop_database
from tests.support.exporter import Exporter, Samples, config
from tests.support.jobs import Owner, epoch
from tests.support.wait import eventually

LOOKS = ("counts", "changes", "failed", "counts")
QUEUE = "invoices"
OUTCOMES = ("completed", "failed", "cancelled", "expired")
COUNTERS = ("jobs_enqueued", "jobs_within_target", "job_retries", "job_timeouts")
TARGETS = {QUEUE: {"target": "1m", "time_limit": "2m"}, f"{QUEUE}:high": {"target": "10s"}}


class Bench(NamedTuple):
    """A pg-boss, its database, and an exporter that watches it as a role that may only read."""

    boss: Boss
    owner: Owner
    exporter: Exporter
    database: Database

    def change(self, what: str, where: str = "true") -> None:
        """Updates rows of jobs, as time does."""
        self.owner.execute(f"update pgboss.job set {what} where {where}".encode())

    def epoch(self, what: str, where: str = "true") -> float:
        """A moment in the table of jobs."""
        return epoch(self.owner, f"select {what} from pgboss.job where {where}")

    def supervise(self, queue: str) -> None:
        """pg-boss looks after a queue, however lately it has done so."""
        rows = self.owner.execute(
            "select attname from pg_attribute where attrelid = 'pgboss.queue'::regclass and not attnotnull"
            " and atttypid = 'timestamptz'::regtype and not attisdropped"
        ).fetchall()
        if rows:
            self.owner.execute(f"update pgboss.queue set {', '.join(f'{row[0]} = null' for row in rows)}".encode())
        self.boss.supervise(queue)

    def remarks(self) -> list[Any]:
        return self.exporter.watch.sources[0].check(Run(self.exporter.clock, 30.0))


def watched(database: Database, **more: Any) -> Exporter:
    return Exporter(
        config({"name": "mail", "kind": "pgboss", "postgres": database.reader_url, "targets": TARGETS, **more})
    )


@pytest.fixture(params=["10@15", "11@15", "12@18"])
def bench(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    major, _, version = request.param.partition("@")
    monkeypatch.setattr("exporter.queues.reading.samplers.RECENT_LOOK", 0.0)
    database = create_database(request.getfixturevalue(f"pg{version}"), "empty")
    with Boss(int(major), database.url) as boss, database.connect() as owner:
        allow_reading(database, boss)
        boss.create(QUEUE)
        with watched(database) as exporter:
            yield Bench(boss, owner, exporter, database)
    drop_database(database)


only = pytest.mark.parametrize


def states(samples: Samples, queue: str = QUEUE) -> dict[str, float | None]:
    return {state: samples.queue("jobs", queue, state=state) for state in ("scheduled", "waiting", "active", "failed")}


def counters(samples: Samples, queue: str = QUEUE) -> dict[str, float | None]:
    """Those that are not zero."""
    found = {
        **{each: samples.queue(f"{each}_total", queue) for each in COUNTERS},
        **{each: samples.queue("jobs_finished_total", queue, outcome=each) for each in OUTCOMES},
        "durations": samples.queue("job_duration_seconds_count", queue),
        "waits": samples.queue("job_wait_seconds_count", queue),
    }
    return {name: value for name, value in found.items() if value != 0}


def errors(samples: Samples, queue: str = QUEUE) -> dict[str, float]:
    found = samples.by("error", "postwatch_queue_job_errors_total", queue=queue, priority="normal")
    return {name: value for name, value in found.items() if value}


def test_states_and_priorities(bench: Bench) -> None:
    boss = bench.boss
    boss.send(QUEUE, 3)
    boss.send(QUEUE, 2, priority=7)
    boss.send(QUEUE, 4, priority=-1)
    boss.send(QUEUE, 5, startAfter=3600)
    boss.send(QUEUE, 1, startAfter=7200, priority=1)
    boss.send(QUEUE, 1, priority=1000)
    running = boss.fetch(QUEUE, 1)  # the one of the highest priority
    boss.create("reports", retryLimit=0)
    boss.send("reports", 6)
    done = boss.fetch("reports", 4)
    boss.complete("reports", done[:2])
    boss.fail("reports", done[2:3])
    boss.cancel("reports", done[3:])
    # The figures that pg-boss keeps itself are not read.
    if boss.major > 10:
        bench.owner.execute("update pgboss.queue set queued_count = 999, active_count = 999")
    samples = bench.exporter.look(*LOOKS)
    assert states(samples) == {"scheduled": 5, "waiting": 3, "active": 0, "failed": 0}
    assert states(samples, f"{QUEUE}:high") == {"scheduled": 1, "waiting": 2, "active": 1, "failed": 0}
    assert states(samples, f"{QUEUE}:low") == {"scheduled": 0, "waiting": 4, "active": 0, "failed": 0}
    assert states(samples, "reports") == {"scheduled": 0, "waiting": 2, "active": 0, "failed": 1}
    assert samples.queue("depth", QUEUE) == 3
    oldest = samples.queue("oldest_waiting_timestamp_seconds", QUEUE)
    assert oldest == pytest.approx(
        bench.epoch("min(start_after)", f"name = '{QUEUE}' and priority = 0 and start_after <= now()"), abs=0.001
    )
    started = samples.queue("oldest_active_timestamp_seconds", f"{QUEUE}:high")
    assert started == pytest.approx(bench.epoch("started_on", f"id = '{running[0]}'"), abs=0.001)
    # What ended before the exporter came is history, but its moment is told.
    ended = samples.queue("last_finished_timestamp_seconds", "reports")
    assert ended == pytest.approx(bench.epoch("max(completed_on)"), abs=0.001)
    assert counters(samples, "reports") == {}
    assert samples.queue("target_seconds", f"{QUEUE}:high") == 10
    for state in ("scheduled", "waiting", "active", "failed"):
        counted = samples.queue("counted_timestamp_seconds", QUEUE, state=state)
        assert counted == pytest.approx(epoch(bench.owner, "select now()"), abs=20)


def test_what_happens_to_jobs(bench: Bench) -> None:
    boss, exporter = bench.boss, bench.exporter
    history = boss.send(QUEUE, 2)
    boss.complete(QUEUE, boss.fetch(QUEUE, 1))
    exporter.look(*LOOKS)

    # Two complete at once; one waited 90 seconds before it was run, one ran for 40.
    boss.send(QUEUE, 3)
    jobs = boss.fetch(QUEUE, 4)
    assert history[1] in jobs
    bench.change("start_after = started_on - interval '90 s'", f"id = '{jobs[1]}'")
    bench.change("started_on = started_on - interval '40 s', start_after = started_on - interval '40 s'",
                 f"id = '{jobs[2]}'")  # fmt: skip
    boss.complete(QUEUE, jobs[:3])
    samples = exporter.look(*LOOKS)
    assert counters(samples) == {
        "jobs_enqueued": 3, "completed": 3, "jobs_within_target": 2, "durations": 3, "waits": 3
    }  # fmt: skip
    assert samples.queue("job_duration_seconds_sum", QUEUE) == pytest.approx(40, abs=3)
    assert samples.queue("job_wait_seconds_sum", QUEUE) == pytest.approx(90, abs=5)
    assert states(samples) == {"scheduled": 0, "waiting": 0, "active": 1, "failed": 0}

    # A failed attempt is a retry, put off by a minute; the job is tried again, fails, and is given up.
    bench.change("retry_limit = 1, retry_delay = 60", f"id = '{jobs[3]}'")
    boss.fail(QUEUE, jobs[3:], "SMTPServerDisconnected", "bye bob@example.com")
    samples = exporter.look(*LOOKS)
    assert samples.queue("job_retries_total", QUEUE) == 1
    assert errors(samples) == {"SMTPServerDisconnected": 1}
    assert states(samples)["scheduled"] == 1
    bench.change("start_after = now() - interval '1 s'", f"id = '{jobs[3]}'")
    samples = exporter.look(*LOOKS)
    assert states(samples)["waiting"] == 1
    oldest = samples.queue("oldest_waiting_timestamp_seconds", QUEUE)
    assert oldest == pytest.approx(bench.epoch("created_on", f"id = '{jobs[3]}'"), abs=0.001)
    assert boss.fetch(QUEUE) == jobs[3:]
    samples = exporter.look(*LOOKS)
    assert samples.queue("job_retries_total", QUEUE) == 1
    boss.fail(QUEUE, jobs[3:])
    samples = exporter.look(*LOOKS)
    expected = {"jobs_enqueued": 3, "completed": 3, "jobs_within_target": 2, "durations": 4, "waits": 4,
                "job_retries": 1, "failed": 1}  # fmt: skip
    assert counters(samples) == expected
    assert errors(samples) == {"SMTPServerDisconnected": 1, "TypeError": 1}
    assert states(samples) == {"scheduled": 0, "waiting": 0, "active": 0, "failed": 1}

    # One is cancelled before it ran, and one that ran.
    waits, runs = boss.send(QUEUE, 2)
    assert boss.fetch(QUEUE) == [waits]
    boss.cancel(QUEUE, [waits, runs])
    samples = exporter.look(*LOOKS)
    assert counters(samples) == {**expected, "jobs_enqueued": 5, "cancelled": 2, "durations": 5, "waits": 5}
    # Rows that are touched after their end, or deleted, change nothing.
    bench.change("output = '{\"scrubbed\": true}'", "state = 'completed'")
    assert counters(exporter.look(*LOOKS)) == counters(samples)
    boss.delete(QUEUE, jobs[:2])
    assert counters(exporter.look(*LOOKS)) == counters(samples)


def test_attempts_that_run_out_of_time(bench: Bench) -> None:
    boss, exporter = bench.boss, bench.exporter
    boss.send(QUEUE, 1, retryLimit=1, expireInSeconds=60)
    (job,) = boss.fetch(QUEUE)
    exporter.look(*LOOKS)
    for retries, failed in ((1, 0), (1, 1)):
        bench.change("started_on = started_on - interval '5 minutes'", f"id = '{job}'")
        samples = exporter.look(*LOOKS)
        bench.supervise(QUEUE)
        samples = exporter.look(*LOOKS)
        assert samples.queue("job_timeouts_total", QUEUE) == retries + failed
        assert samples.queue("job_retries_total", QUEUE) == retries
        assert samples.queue("jobs_finished_total", QUEUE, outcome="failed") == failed
        assert errors(samples) == {"JobTimeout": retries + failed}
        assert boss.fetch(QUEUE) == ([job] if not failed else [])
    assert states(exporter.look(*LOOKS)) == {"scheduled": 0, "waiting": 0, "active": 0, "failed": 1}


def test_a_running_job_past_its_time_limit_is_stuck(bench: Bench) -> None:
    bench.boss.send(QUEUE, 2)
    jobs = bench.boss.fetch(QUEUE, 2)
    assert bench.exporter.look(*LOOKS).queue("stuck_jobs", QUEUE) == 0
    bench.change("started_on = now() - interval '121 s'", f"id = '{jobs[0]}'")
    # Running jobs are all read again when the exporter looks at them for the first time, or after 30 seconds.
    with watched(bench.database) as fresh:
        assert fresh.look(*LOOKS).queue("stuck_jobs", QUEUE) == 1


def test_dead_letters(bench: Bench) -> None:
    boss, exporter = bench.boss, bench.exporter
    boss.create("letters_dlq")
    boss.create("letters", deadLetter="letters_dlq", retryLimit=0)
    samples = exporter.look(*LOOKS)
    assert samples.by("queue", "postwatch_queue_dead_letters") == {"letters": 0}
    boss.send("letters", 3)
    boss.fail("letters", boss.fetch("letters", 3))
    samples = exporter.look(*LOOKS)
    assert samples.by("queue", "postwatch_queue_dead_letters") == {"letters": 3}
    assert samples.queue("depth", "letters_dlq") == 3
    assert samples.queue("jobs_enqueued_total", "letters_dlq") == 3
    assert samples.queue("jobs_finished_total", "letters", outcome="failed") == 3
    boss.complete("letters_dlq", boss.fetch("letters_dlq", 2))
    assert exporter.look(*LOOKS).by("queue", "postwatch_queue_dead_letters") == {"letters": 1}


def test_when_the_first_waiting_job_will_be_deleted(bench: Bench) -> None:
    boss, exporter = bench.boss, bench.exporter
    assert exporter.look(*LOOKS).queue("next_expiry_timestamp_seconds", QUEUE) is None
    first, _ = boss.send(QUEUE, 2)
    boss.send(QUEUE, 1, startAfter=60)
    bench.change("keep_until = now() + interval '1 hour'", f"id = '{first}'")
    bench.change("keep_until = now() + interval '1 minute'", "start_after > now()")
    found = exporter.look(*LOOKS).queue("next_expiry_timestamp_seconds", QUEUE)
    assert found == pytest.approx(bench.epoch("keep_until", f"id = '{first}'"), abs=0.001)
    bench.change("keep_until = now() - interval '1 s'", f"id = '{first}'")
    exporter.look(*LOOKS)
    bench.supervise(QUEUE)
    samples = exporter.look(*LOOKS)
    assert samples.queue("depth", QUEUE) == 1
    expired = samples.queue("jobs_finished_total", QUEUE, outcome="expired")
    assert expired == (1 if boss.major == 10 else 0)  # later ones leave no trace


def test_jobs_that_pgboss_keeps_from_being_many(bench: Bench) -> None:
    boss, exporter = bench.boss, bench.exporter
    boss.create("one", policy="singleton")
    boss.create("short", policy="short")
    exporter.look(*LOOKS)
    boss.send("one", 3)
    assert boss.fetch("one") != []
    # One runs; the others wait, though their turn cannot come before it has ended.
    assert boss.send("short", 3)[1:] == [None, None]
    assert boss.send_debounced(QUEUE, 3600, "a")
    assert boss.send_debounced(QUEUE, 3600, "a")  # in the next hour
    assert boss.send_debounced(QUEUE, 3600, "a") is None
    samples = exporter.look(*LOOKS)
    assert states(samples, "one") == {"scheduled": 0, "waiting": 2, "active": 1, "failed": 0}
    assert states(samples, "short") == {"scheduled": 0, "waiting": 1, "active": 0, "failed": 0}
    assert states(samples) == {"scheduled": 1, "waiting": 1, "active": 0, "failed": 0}
    for queue, enqueued in (("one", 3), ("short", 1), (QUEUE, 2)):
        assert samples.queue("jobs_enqueued_total", queue) == enqueued


@only("bench", ["12@15"], indirect=True)
def test_jobs_that_wait_for_others_are_no_depth(bench: Bench) -> None:
    boss, exporter = bench.boss, bench.exporter
    exporter.look(*LOOKS)
    boss.flow([{"ref": "a", "name": QUEUE}, {"ref": "b", "name": QUEUE, "dependsOn": ["a"]}])
    for looks in (("changes",), LOOKS):
        samples = exporter.look(*looks)
        assert states(samples) == {"scheduled": 0, "waiting": 1, "active": 0, "failed": 0}
        assert samples.queue("jobs_enqueued_total", QUEUE) == 2
    (first,) = boss.fetch(QUEUE, 2)
    boss.complete(QUEUE, [first])
    bench.change("blocked = false, pending_dependencies = 0", "blocked")  # as pg-boss does in the background
    samples = exporter.look(*LOOKS)
    assert states(samples) == {"scheduled": 0, "waiting": 1, "active": 0, "failed": 0}
    boss.complete(QUEUE, boss.fetch(QUEUE))
    assert counters(exporter.look(*LOOKS))["completed"] == 2
    assert samples.queue("jobs_enqueued_total", QUEUE) == 2


@only("bench", ["11@15", "12@18"], indirect=True)
def test_a_queue_with_a_table_of_its_own_that_comes_and_goes(bench: Bench) -> None:
    boss, exporter = bench.boss, bench.exporter
    exporter.look(*LOOKS)
    boss.create("big", partition=True)
    boss.send("big", 3)
    boss.complete("big", boss.fetch("big"))
    boss.send(QUEUE, 1)
    samples = exporter.look(*LOOKS)
    assert states(samples, "big") == {"scheduled": 0, "waiting": 2, "active": 0, "failed": 0}
    assert samples.queue("jobs_finished_total", "big", outcome="completed") == 1
    bench.owner.execute("delete from pgboss.job where name = 'big'")
    boss.delete_queue("big")
    samples = exporter.look(*LOOKS)
    assert samples.queue("depth", "big") is None
    assert samples.queue("jobs_finished_total", "big", outcome="completed") == 1
    assert states(samples) == {"scheduled": 0, "waiting": 1, "active": 0, "failed": 0}


@only("bench", ["10@15"], indirect=True)
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


@only("bench", ["11@15", "12@15"], indirect=True)
def test_a_failed_job_put_back_counts_again(bench: Bench) -> None:
    boss, exporter = bench.boss, bench.exporter
    exporter.look(*LOOKS)
    (job,) = boss.send(QUEUE, 1, retryLimit=0)
    boss.fail(QUEUE, boss.fetch(QUEUE))
    assert counters(exporter.look(*LOOKS))["failed"] == 1
    boss.retry(QUEUE, [job])
    samples = exporter.look(*LOOKS)
    assert states(samples) == {"scheduled": 0, "waiting": 1, "active": 0, "failed": 0}
    bench.change("retry_limit = retry_count + 1", f"id = '{job}'")
    assert boss.fetch(QUEUE) == [job]
    bench.change("retry_limit = retry_count", f"id = '{job}'")
    boss.fail(QUEUE, [job])
    assert counters(exporter.look(*LOOKS))["failed"] == 2


@only("bench", ["10@15", "12@18"], indirect=True)
def test_workers_of_an_application(bench: Bench) -> None:
    boss, exporter = bench.boss, bench.exporter
    boss.create("throws", retryLimit=0)
    exporter.look(*LOOKS)
    boss.send(QUEUE, 3)
    boss.send("throws", 2)
    boss.work(QUEUE)
    boss.work("throws", "throw")

    def all_ended() -> None:
        samples = exporter.look(*LOOKS)
        assert samples.queue("jobs_finished_total", QUEUE, outcome="completed") == 3
        assert samples.queue("jobs_finished_total", "throws", outcome="failed") == 2
        assert errors(samples, "throws") == {"TypeError": 2}
        assert samples.queue("job_duration_seconds_count", QUEUE) == 3

    eventually(all_ended, within=30, every=0.2)
    boss.stop_work(QUEUE)
    boss.stop_work("throws")


@only("bench", ["11@15"], indirect=True)
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


@only("bench", ["12@15"], indirect=True)
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


@only("bench", ["10@15", "12@15"], indirect=True)
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
