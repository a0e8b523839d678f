"""The layout `basic`, with and without its log, any mapping over a layout, and what each cannot tell."""

from collections.abc import Iterator

import psycopg
import pytest
import redis

from tests.support.databases import Database
from tests.support.exporter import Exporter, config, source
from tests.support.jobs import Owner, add, change, queues
from tests.support.servers import RedisServer

BASIC = pytest.mark.parametrize("database", ["basic@15", "basic@18"], indirect=True)
BASIC_15 = pytest.mark.parametrize("database", ["basic@15"], indirect=True)
MAIL = "queue:email-sending"
TARGETS = {"*": {"target": "1m", "time_limit": "10m"}}


@pytest.fixture
def basic(database: Database, role: str, owner: Owner) -> Iterator[Exporter]:
    queues(owner, MAIL, f"{MAIL}:high", f"{MAIL}:low")
    with Exporter(config(source(role, schema="basic", targets=TARGETS))) as running:
        yield running


@pytest.fixture
def without_log(database: Database, role: str, owner: Owner) -> Iterator[Exporter]:
    owner.execute("drop table job_logs; drop table job_queues")
    with Exporter(config(source(role, schema="basic", targets=TARGETS))) as running:
        yield running


@BASIC
def test_basic_depth_and_states(owner: Owner, basic: Exporter) -> None:
    owner.execute("update job_queues set is_active = false where name = %s", [f"{MAIL}:low"])
    for number, queue in ((1, f"{MAIL}:high"), (2, MAIL), (4, f"{MAIL}:low"), (8, "queue:new"), (16, "bare:normal")):
        add(owner, queue=queue, status="waiting", count=number, created_at=-60)
    add(owner, queue=MAIL, status="queued")
    add(owner, queue=MAIL, status="pending")
    for status in ("active", "running", "processing"):
        add(owner, queue=MAIL, status=status)
    add(owner, queue=MAIL, status="failed", count=5)
    samples = basic.look("counts", "failed")
    depths = {(labels["queue"], labels["priority"]): value for labels, value in samples.series("postwatch_queue_depth")}
    assert depths == {
        ("email-sending", "high"): 1,
        ("email-sending", "normal"): 4,
        ("email-sending", "low"): 4,
        ("new", "normal"): 8,
        ("bare", "normal"): 16,
    }
    assert samples.queue("jobs", "email-sending", state="active") == 3
    assert samples.queue("jobs", "email-sending", state="failed") == 5
    assert samples.queue("jobs", "email-sending", state="scheduled") == 0
    assert samples.queue("paused", "email-sending:low") == 1
    assert samples.queue("paused", "email-sending") == 0


@BASIC
def test_basic_attempts_as_rows_of_their_own(owner: Owner, basic: Exporter) -> None:
    (old,) = add(owner, queue=MAIL, status="completed")
    add(owner, "job_logs", job_id=old, status="success", attempt=1, started_at=-9, finished_at=-8)
    basic.look()
    well, tried, lost = add(owner, queue=MAIL, status="waiting", count=3, created_at=-30)
    for job in (well, tried, lost):
        add(owner, "job_logs", job_id=job, status="attempting", attempt=1, started_at=-20)
    change(owner, [well, tried, lost], status="active", updated_at=0)
    samples = basic.look()
    assert samples.queue("jobs_enqueued_total", "email-sending") == 3
    assert samples.queue("jobs", "email-sending", state="active") == 3
    add(owner, "job_logs", job_id=well, status="success", attempt=1, started_at=-20, finished_at=-18)
    add(owner, "job_logs", job_id=tried, status="retry", attempt=1, started_at=-20, finished_at=-15,
        error="ConnectionResetError: by peer")  # fmt: skip
    add(owner, "job_logs", job_id=lost, status="failed", attempt=1, started_at=-20, finished_at=0,
        error="smtp.SendTimeout: after 20 s")  # fmt: skip
    change(owner, [well], status="completed", updated_at=0)
    change(owner, [tried], status="waiting", updated_at=0)
    change(owner, [lost], status="failed", updated_at=0)
    samples = basic.look()
    assert samples.by("outcome", "postwatch_queue_jobs_finished_total", queue="email-sending", priority="normal") == {
        "completed": 1, "failed": 1, "cancelled": 0, "expired": 0,
    }  # fmt: skip
    errors = samples.by("error", "postwatch_queue_job_errors_total", queue="email-sending", priority="normal")
    assert errors == {"ConnectionResetError": 1, "SendTimeout": 1, "_other": 0}
    assert samples.queue("job_retries_total", "email-sending") == 1
    assert samples.queue("job_timeouts_total", "email-sending") == 1
    assert samples.queue("jobs_within_target_total", "email-sending") == 1
    assert samples.queue("job_duration_seconds_sum", "email-sending") == pytest.approx(2 + 20, abs=1.5)
    assert samples.queue("job_wait_seconds_sum", "email-sending") == pytest.approx(10 + 10, abs=1.5)
    assert samples.queue("depth", "email-sending") == 1
    assert samples.queue("jobs", "email-sending", state="active") == 0
    assert basic.look().queue("jobs_finished_total", "email-sending", outcome="completed") == 1


@BASIC
def test_basic_attempts_updated_in_place(owner: Owner, basic: Exporter) -> None:
    (before,) = add(owner, queue=MAIL, status="active")
    (open_before,) = add(owner, "job_logs", job_id=before, status="attempting", attempt=1, started_at=-50)
    basic.look()
    jobs = add(owner, queue=MAIL, status="active", count=3)
    rows = [add(owner, "job_logs", job_id=job, status="attempting", attempt=1, started_at=-20)[0] for job in jobs]
    basic.look()
    change(owner, rows[:1], "job_logs", status="success", finished_at=-10)
    change(owner, rows[1:2], "job_logs", status="retry", finished_at=-10, error="KeyError: 'x'")
    change(owner, rows[2:], "job_logs", status="failed", finished_at=-10, error="KeyError: 'x'")
    change(owner, [open_before], "job_logs", status="success", finished_at=0)
    change(owner, [*jobs[:1], before], status="completed", updated_at=0)
    change(owner, jobs[1:2], status="waiting", updated_at=0)
    change(owner, jobs[2:], status="failed", updated_at=0)
    samples = basic.look()
    for _ in range(2):
        outcomes = samples.by(
            "outcome", "postwatch_queue_jobs_finished_total", queue="email-sending", priority="normal"
        )
        assert outcomes == {"completed": 2, "failed": 1, "cancelled": 0, "expired": 0}
        assert samples.queue("job_errors_total", "email-sending", error="KeyError") == 2
        assert samples.queue("job_retries_total", "email-sending") == 1
        assert samples.queue("job_duration_seconds_sum", "email-sending") == pytest.approx(50 + 3 * 10 - 10, abs=1.5)
        samples = basic.look()


@BASIC_15
def test_basic_is_not_read_twice_after_a_right_came_back(owner: Owner, basic: Exporter, database: Database) -> None:
    for job in add(owner, queue=MAIL, status="completed", count=5):
        add(owner, "job_logs", job_id=job, status="success", attempt=1, started_at=-9, finished_at=-8)
    basic.look()
    (job,) = add(owner, queue=MAIL, status="completed")
    add(owner, "job_logs", job_id=job, status="success", attempt=1, started_at=-2, finished_at=-1)
    assert basic.look().queue("jobs_finished_total", "email-sending", outcome="completed") == 1
    owner.execute(f'revoke select on jobs from "{database.reader}"'.encode())
    assert basic.run("counts").up is False
    (job,) = add(owner, queue=MAIL, status="completed")
    add(owner, "job_logs", job_id=job, status="success", attempt=1, started_at=-2, finished_at=-1)
    owner.execute(f'grant select on jobs to "{database.reader}"'.encode())
    samples = basic.look()
    assert samples.queue("jobs_finished_total", "email-sending", outcome="completed") == 2
    assert samples.queue("jobs_enqueued_total", "email-sending") == 2


@BASIC
def test_basic_without_its_log(owner: Owner, without_log: Exporter) -> None:
    add(owner, queue=MAIL, status="completed", updated_at=-100)
    without_log.look()
    add(owner, queue=MAIL, status="waiting", count=2)
    jobs = add(owner, queue=MAIL, status="active", count=3, attempts=1, created_at=-30)
    samples = without_log.look()
    assert samples.queue("jobs_enqueued_total", "email-sending") == 2, "the others are older than the first look"
    change(owner, jobs[:1], status="completed", updated_at=0)
    change(owner, jobs[1:2], status="failed", updated_at=0)
    change(owner, jobs[2:], status="waiting", updated_at=0)
    samples = without_log.look("counts", "failed")
    for _ in range(2):
        assert samples.queue("jobs_finished_total", "email-sending", outcome="completed") == 1
        assert samples.queue("jobs_finished_total", "email-sending", outcome="failed") == 1
        assert samples.queue("job_retries_total", "email-sending") == 1
        assert samples.queue("jobs_within_target_total", "email-sending") == 1
        assert samples.queue("depth", "email-sending") == 3
        assert samples.queue("jobs", "email-sending", state="failed") == 1
        change(owner, jobs[:2], payload='{"scrubbed": true}', updated_at=0)
        samples = without_log.look("counts", "failed")
    for absent in ("job_duration_seconds_count", "job_wait_seconds_count", "paused",
                   "oldest_active_timestamp_seconds", "redis_length", "handed_over_jobs"):  # fmt: skip
        assert samples.queue(absent, "email-sending") is None, absent
    assert not samples.series("postwatch_queue_job_errors_total")
    assert not samples.series("postwatch_queue_job_timeouts_total")
    assert not samples.series("postwatch_workers")
    assert not samples.series("postwatch_queue_dead_letters")


MAPPED = """
create schema "App";
create type "App".phase as enum ('new', 'passed on', 'busy', 'done', 'broken', 'dropped');
create table "App"."Work items" (
    no text primary key default 'w' || nextval('public.numbers'), lane text not null, phase "App".phase not null,
    body jsonb, weight smallint, tries smallint not null default 0, born timestamp not null default now(),
    due timestamp, began timestamp, done timestamp, broke timestamp, touched timestamp not null default now(),
    problem text, hand text);
create index on "App"."Work items" (phase, touched);
grant usage on schema "App" to "{reader}";
grant select on "App"."Work items" to "{reader}";
"""
MAPPING = {
    "jobs": {
        "table": '"App"."Work items"', "id": "no", "queue": "lane", "status": "phase", "priority": "weight",
        "created": "born", "run_at": "due", "started": "began", "completed": "done", "failed": "broke",
        "changed": "touched", "attempts": "tries", "error": "problem", "worker": "hand",
    },
    "queues": None,
    "states": {
        "waiting": ["new"], "handed_over": ["passed on"], "active": ["busy"], "completed": ["done"],
        "failed": ["broken"], "cancelled": ["dropped"], "expired": [],
    },
}  # fmt: skip


@pytest.mark.parametrize("database", ["empty@15", "empty@18"], indirect=True)
def test_any_mapping(
    database: Database, role: str, owner: Owner, store: "redis.Redis", redis_server: RedisServer
) -> None:
    owner.execute("create sequence numbers")
    owner.execute(MAPPED.replace("{reader}", database.reader).encode())
    # Times without zone are read in the session's zone, as whoever wrote them has it.
    owner.execute(f"alter database {database.name} set timezone to 'America/Caracas'".encode())
    with psycopg.connect(database.url, autocommit=True) as writer:
        insert = 'insert into "App"."Work items" (lane, phase, weight, due) values (%s, %s, %s, now() + %s)'
        for lane, phase, weight, due in (
            ("mail", "new", 10, "-1 min"),
            ("mail", "new", None, "1 hour"),
            ("mail", "passed on", 100, "-2 min"),
            ("mail", "busy", 100, "-3 min"),
            ("mail", "broken", 500, "-4 min"),
        ):
            writer.execute(insert, (lane, phase, weight, due))
        with Exporter(config(source(role, redis_server.url, schema=MAPPING, targets=TARGETS))) as exporter:
            samples = exporter.look("counts", "failed", "workers")
            assert samples.queue("depth", "mail:high") == 1
            assert samples.queue("depth", "mail") == 1
            assert samples.queue("handed_over_jobs", "mail") == 1
            assert samples.queue("jobs", "mail", state="active") == 1
            assert samples.queue("jobs", "mail:low", state="failed") == 1
            scheduled = [value for _, value in samples.series("postwatch_queue_jobs", queue="mail", state="scheduled")]
            assert sum(scheduled) == 1
            oldest = samples.queue("oldest_waiting_timestamp_seconds", "mail")
            assert oldest == pytest.approx(exporter.clock.now() - 120, abs=5)
            writer.execute(
                """update "App"."Work items" set phase = 'done', began = now() - interval '30 s', done = now(),
                   touched = now(), tries = 1 where phase = 'passed on'"""
            )
            writer.execute(
                """update "App"."Work items" set phase = 'dropped', done = now(), touched = now()
                   where phase = 'busy'"""
            )
            samples = exporter.look()
            assert samples.queue("jobs_finished_total", "mail", outcome="completed") == 1
            assert samples.queue("jobs_finished_total", "mail", outcome="cancelled") == 1
            assert samples.queue("job_duration_seconds_sum", "mail") == pytest.approx(30, abs=1.5)
            assert samples.queue("job_wait_seconds_sum", "mail") == pytest.approx(90, abs=5)
            assert samples.queue("jobs_within_target_total", "mail") == 0
            last = samples.queue("last_finished_timestamp_seconds", "mail")
            assert last == pytest.approx(exporter.clock.now(), abs=5)
            assert not samples.series("postwatch_queue_paused")


@pytest.mark.parametrize("database", ["empty@15"], indirect=True)
def test_only_jobs_with_hardly_a_column_is_required(role: str, owner: Owner) -> None:
    owner.execute("create table jobs (id bigint primary key, queue_name text, status text)")
    owner.execute("insert into jobs values (1, 'mail', 'queued'), (2, 'mail', 'running'), (3, 'mail', 'failed')")
    with Exporter(config(source(role, targets=TARGETS))) as exporter:
        samples = exporter.look("counts", "changes", "failed")
    found = {state: samples.queue("jobs", "mail", state=state) for state in ("waiting", "active", "failed")}
    assert found == {"waiting": 1, "active": 1, "failed": 1}
    told = {name for name in samples.names if name.startswith("postwatch_queue")}
    assert told == {
        "postwatch_queue_depth", "postwatch_queue_jobs", "postwatch_queue_counted_timestamp_seconds",
        "postwatch_queue_target_seconds", "postwatch_queue_depth_threshold", "postwatch_queue_failure_threshold",
        "postwatch_queue_stuck_jobs",
    }  # fmt: skip


@pytest.mark.parametrize("database", ["penguinmails@15"], indirect=True)
def test_past_max_queues_what_can_be_added_is_added(role: str, owner: Owner) -> None:
    names = [f"q{number:03}" for number in range(300)]
    queues(owner, *names)
    for name in names:
        add(owner, queue_name=name, status="queued")
    targets = {"queue:q299": {"target": "1m"}, "queue:absent": {"target": "1m"}}
    with Exporter(config(source(role, targets=targets), max_queues=50)) as exporter:
        first = exporter.look()
        done = add(owner, queue_name="q299", status="completed", completed=0, started=-1)
        done += add(owner, queue_name="q298", status="completed", completed=0, started=-1)
        done += add(owner, queue_name="q297", status="completed", completed=0, started=-1)
        samples = exporter.look("counts", "failed")
    depths = samples.by("queue", "postwatch_queue_depth")
    assert len(depths) == 51
    assert depths.keys() == first.by("queue", "postwatch_queue_depth").keys(), "what came first stays"
    assert depths["_other"] == 300 - 49
    assert depths["q299"] == 1
    assert depths["absent"] == 0
    assert sum(depths.values()) == 300
    finished = samples.by("queue", "postwatch_queue_jobs_finished_total", outcome="completed")
    assert (finished["q299"], finished["_other"]) == (1, 2)
    # What cannot be added up is not told of the rest.
    for metric in ("target_seconds", "depth_threshold", "oldest_waiting_timestamp_seconds",
                   "last_finished_timestamp_seconds", "paused"):  # fmt: skip
        assert not samples.series(f"postwatch_queue_{metric}", queue="_other"), metric
