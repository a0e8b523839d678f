"""The layout `penguinmails`: every number against what the test itself wrote."""

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from tests.support.databases import Database
from tests.support.exporter import Exporter, config, source
from tests.support.jobs import Owner, add, change, element, epoch, queues
from tests.support.samples import Samples
from tests.support.servers import RedisServer

pytestmark = pytest.mark.parametrize("database", ["penguinmails@15", "penguinmails@18"], indirect=True)

STATES = ("scheduled", "waiting", "active", "failed")
TARGETS = {
    "queue:email-sending:high": {"target": "1m", "time_limit": "2m", "depth": {"warning": 50, "critical": 500}},
    "queue:email-sending": {"target": "5m", "time_limit": "10m"},
    "*": {"target": "15m", "time_limit": "1h"},
}


@pytest.fixture
def owner(owner: Owner) -> Owner:
    queues(owner, "email-sending", "analytics:daily-aggregate", "warmup:process")
    return owner


@pytest.fixture
def exporter(database: Database, role: str, store: "redis.Redis", redis_server: RedisServer) -> Iterator[Exporter]:
    with Exporter(
        config(source(role, redis_server.url, labels={"team": "delivery"}, targets=TARGETS), labels={"tenant": "acme"})
    ) as running:
        yield running


def states(samples: Samples, name: str) -> dict[str, float | None]:
    return {state: samples.queue("jobs", name, state=state) for state in STATES}


def test_depth_and_states(owner: Owner, exporter: Exporter, store: "redis.Redis") -> None:
    add(owner, queue_name="email-sending", status="queued", count=3, run_at=-60)
    handed = add(owner, queue_name="email-sending", status="migrated_to_redis", count=2, run_at=-90)
    add(owner, queue_name="email-sending", status="queued", count=4, run_at=3600)
    add(owner, queue_name="email-sending", status="running", started=-30, worker_id="w1")
    add(owner, queue_name="email-sending", status="processing", started=-40, worker_id="w1")
    add(owner, queue_name="email-sending", status="failed", count=2, failed=-9, started=-10)
    add(owner, queue_name="email-sending", status="completed", count=7, completed=-9, started=-10)
    for number, priority in ((1, 0), (2, 50), (4, 51), (8, 150), (16, 151), (32, 999)):
        add(owner, queue_name="warmup:process", status="queued", count=number, priority=priority)
    # More in Redis than PostgreSQL knows of: never added to the depth.
    store.lpush("queue:email-sending", *(element(job) for job in [*handed, *range(5)]))
    samples = exporter.look("counts", "failed", "workers", "counts")
    assert states(samples, "email-sending") == {"scheduled": 4, "waiting": 5, "active": 2, "failed": 2}
    assert samples.queue("depth", "email-sending") == 5
    assert samples.queue("handed_over_jobs", "email-sending") == 2
    assert samples.queue("redis_length", "email-sending") == 7
    assert samples.queue("depth", "warmup:process:high") == 3
    assert samples.queue("depth", "warmup:process") == 12
    assert samples.queue("depth", "warmup:process:low") == 48
    oldest = epoch(owner, "select min(run_at) from jobs where status = 'migrated_to_redis'")
    assert samples.queue("oldest_waiting_timestamp_seconds", "email-sending") == pytest.approx(oldest, abs=0.001)
    started = epoch(owner, "select min(started) from jobs where status = 'processing'")
    assert samples.queue("oldest_active_timestamp_seconds", "email-sending") == pytest.approx(started, abs=0.001)
    ended = epoch(owner, "select max(coalesce(completed, failed)) from jobs")
    assert samples.queue("last_finished_timestamp_seconds", "email-sending") == pytest.approx(ended, abs=0.001)
    # A queue that is known and empty says 0, and nothing where there is no moment to tell.
    assert states(samples, "analytics:daily-aggregate") == dict.fromkeys(
        ("scheduled", "waiting", "active", "failed"), 0
    )
    assert samples.queue("depth", "analytics:daily-aggregate") == 0
    for metric in ("oldest_waiting", "oldest_active", "last_finished"):
        assert samples.queue(f"{metric}_timestamp_seconds", "analytics:daily-aggregate") is None
    now = epoch(owner, "select now()")
    for state in STATES:
        counted = samples.queue("counted_timestamp_seconds", "email-sending", state=state)
        assert counted == pytest.approx(now, abs=5)
    # Redis loses all: what was handed over still waits.
    store.flushall()
    samples = exporter.look("counts", "workers", "counts")
    assert (samples.queue("depth", "email-sending"), samples.queue("redis_length", "email-sending")) == (5, 0)
    assert samples.queue("handed_over_jobs", "email-sending") == 2


def test_the_oldest_of_a_retried_job_is_its_first_attempt(owner: Owner, exporter: Exporter) -> None:
    add(owner, queue_name="email-sending", status="queued", attempt_count=1, created=-500, run_at=-5)
    add(owner, queue_name="email-sending", status="queued", created=-700, run_at=-20)
    created = epoch(owner, "select created from jobs where attempt_count = 1")
    found = exporter.look().queue("oldest_waiting_timestamp_seconds", "email-sending")
    assert found == pytest.approx(created, abs=0.001)


def counters(samples: Samples, name: str) -> dict[str, Any]:
    simple = ("jobs_enqueued", "jobs_within_target", "job_retries", "job_timeouts")
    outcomes = ("completed", "failed", "cancelled", "expired")
    return {
        **{each: samples.queue(f"{each}_total", name) for each in simple},
        **{each: samples.queue("jobs_finished_total", name, outcome=each) for each in outcomes},
        "durations": samples.queue("job_duration_seconds_count", name),
        "waits": samples.queue("job_wait_seconds_count", name),
    }


ZERO = dict.fromkeys(
    ("jobs_enqueued", "jobs_within_target", "job_retries", "job_timeouts", "completed", "failed", "cancelled",
     "expired", "durations", "waits"), 0,
)  # fmt: skip


def test_what_happens_to_jobs(owner: Owner, exporter: Exporter) -> None:
    history = add(owner, queue_name="email-sending", status="completed", count=5, started=-3, completed=-2)
    add(owner, queue_name="email-sending", status="running", count=2, started=-3, attempt_count=1)
    assert counters(exporter.look(), "email-sending") == ZERO
    assert counters(exporter.samples(), "email-sending:high") == ZERO, (
        "named in the configuration: known from the start"
    )

    end: dict[str, Any] = {"queue_name": "email-sending", "attempt_count": 1, "created": -400}
    add(owner, **end, run_at=-50, started=-40, completed=0, status="completed")  # waits 10, takes 40, in time
    add(owner, **end, run_at=-400, started=-2, completed=0, status="completed")  # waits 398, takes 2, late
    add(owner, **end, run_at=-20, started=-20, failed=0, status="failed", last_error_message="ValueError: x@y")
    # A little less than a bound: each time is rounded for itself.
    add(owner, **end, run_at=-30, started=-29.9, failed=0, status="failed", last_error_message="reading timed out")
    add(owner, **end, run_at=-10, started=-10, failed=0, status="failed", last_error_message="asyncio.TimeoutError")
    add(owner, **end, run_at=-10, completed=0, status="cancelled")
    add(owner, **end, run_at=-10, completed=0, status="expired", count=2)
    add(owner, **{**end, "priority": 10}, run_at=-61, started=-1, completed=0, status="completed")  # 61 s: late
    new = add(owner, queue_name="email-sending", status="queued", count=3)
    samples = exporter.look()
    assert counters(samples, "email-sending") == {
        "jobs_enqueued": 3, "jobs_within_target": 1, "job_retries": 0, "job_timeouts": 1,
        "completed": 2, "failed": 3, "cancelled": 1, "expired": 2, "durations": 5, "waits": 5,
    }  # fmt: skip
    assert counters(samples, "email-sending:high") == {**ZERO, "completed": 1, "durations": 1, "waits": 1}
    errors = samples.by("error", "postwatch_queue_job_errors_total", queue="email-sending", priority="normal")
    assert errors == {"ValueError": 1, "TimeoutError": 1, "_other": 1}
    assert samples.queue("job_duration_seconds_sum", "email-sending") == pytest.approx(40 + 2 + 20 + 30 + 10, abs=1.5)
    assert samples.queue("job_wait_seconds_sum", "email-sending") == pytest.approx(10 + 398, abs=1.5)
    buckets = samples.by("le", "postwatch_queue_job_duration_seconds_bucket", queue="email-sending", priority="normal")
    expected = {"1.0": 0, "5.0": 1, "15.0": 2, "30.0": 4, "60.0": 5, "+Inf": 5}
    assert {le: buckets[le] for le in expected} == expected
    finished = samples.queue("last_finished_timestamp_seconds", "email-sending")
    latest = epoch(owner, "select max(coalesce(completed, failed)) from jobs where priority = 100")
    assert finished == pytest.approx(latest, abs=0.001)

    # An attempt fails and is put off; it runs again and completes. One of history is touched: nothing of it counts.
    change(owner, new[:1], status="running", attempt_count=1, started=0, updated=0, worker_id="w1")
    change(owner, history, payload='{"scrubbed": true}', updated=0)
    exporter.look()
    change(
        owner, new[:1], status="queued", run_at=3600, updated=0, last_error_message="smtplib.SMTPServerDisconnected: no"
    )
    samples = exporter.look()
    assert samples.queue("job_retries_total", "email-sending") == 1
    assert samples.queue("job_errors_total", "email-sending", error="SMTPServerDisconnected") == 1
    assert states(samples, "email-sending") == {"scheduled": 1, "waiting": 2, "active": 2, "failed": None}
    change(owner, new[:1], status="running", attempt_count=2, started=0, run_at=0, updated=0)
    exporter.look()
    change(owner, new[:1], status="completed", completed=0, updated=0)
    samples = exporter.look()
    assert samples.queue("job_retries_total", "email-sending") == 1
    assert samples.queue("jobs_finished_total", "email-sending", outcome="completed") == 3
    assert samples.queue("jobs_enqueued_total", "email-sending") == 3
    assert samples.queue("jobs_finished_total", "email-sending", outcome="failed") == 3


def test_a_failed_job_put_back_by_hand_counts_again(owner: Owner, exporter: Exporter) -> None:
    exporter.look()
    (job,) = add(owner, queue_name="email-sending", status="failed", started=-1, failed=0, attempt_count=3)
    assert exporter.look().queue("jobs_finished_total", "email-sending", outcome="failed") == 1
    change(owner, [job], status="queued", attempt_count=0, failed=None, started=None, updated=0)
    samples = exporter.look()
    assert samples.queue("depth", "email-sending") == 1
    change(owner, [job], status="failed", attempt_count=1, started=-1, failed=0, updated=0)
    samples = exporter.look()
    assert samples.queue("jobs_finished_total", "email-sending", outcome="failed") == 2
    owner.execute("delete from jobs")
    samples = exporter.look()
    assert samples.queue("jobs_finished_total", "email-sending", outcome="failed") == 2
    assert samples.queue("depth", "email-sending") == 0


def test_counts_are_carried_forward_between_exact_ones(owner: Owner, exporter: Exporter) -> None:
    add(owner, queue_name="email-sending", status="queued", count=10)
    before = exporter.look()
    counted = before.queue("counted_timestamp_seconds", "email-sending", state="waiting")
    ids = add(owner, queue_name="email-sending", status="queued", count=6)
    add(owner, queue_name="email-sending", status="queued", run_at=3600, count=2)
    change(owner, ids[:3], status="running", started=0, attempt_count=1, updated=0, worker_id="w1")
    change(owner, ids[:1], status="completed", completed=0, updated=0)
    exporter.clock.monotonic_offset += 0.45  # less than a step of the clock, more than the pause between looks
    samples = exporter.look("changes")
    assert samples.queue("depth", "email-sending") == 13
    assert states(samples, "email-sending") == {"scheduled": 2, "waiting": 13, "active": 2, "failed": None}
    assert samples.queue("counted_timestamp_seconds", "email-sending", state="waiting") == counted
    assert exporter.look().queue("depth", "email-sending") == 13


def test_paused_stuck_and_dead_letters(owner: Owner, exporter: Exporter, store: "redis.Redis") -> None:
    now = exporter.clock.now()
    owner.execute("update job_queues set is_active = false where name = 'email-sending'")
    add(owner, queue_name="email-sending", status="running", started=-660, worker_id="alive")  # past its limit
    add(owner, queue_name="email-sending", status="running", started=-60, worker_id="alive")
    add(owner, queue_name="email-sending", status="running", started=-60, worker_id="gone", count=2)
    add(owner, queue_name="email-sending", status="running", started=-660, worker_id="gone")  # once, not twice
    store.sadd("workers:active", "alive", "gone")
    store.set("worker:alive:last_heartbeat", now)
    store.set("worker:gone:last_heartbeat", now - 100)
    store.lpush("deadletter:queue", "a", "b", "c")
    samples = exporter.look("counts", "workers", "counts")
    assert samples.queue("stuck_jobs", "email-sending") == 4
    assert samples.queue("stuck_jobs", "warmup:process") == 0
    assert samples.value("postwatch_queue_dead_letters", source="mail") == 3
    paused = samples.by("queue", "postwatch_queue_paused", priority="normal")
    assert paused == {"email-sending": 1, "analytics:daily-aggregate": 0, "warmup:process": 0}
    store.delete("deadletter:queue")
    owner.execute("update job_queues set is_active = true")
    samples = exporter.look("workers", "counts")
    assert samples.value("postwatch_queue_dead_letters", source="mail") == 0
    assert samples.queue("paused", "email-sending") == 0


def test_targets_thresholds_and_constant_labels(owner: Owner, exporter: Exporter) -> None:
    add(owner, queue_name="email-sending", status="queued", priority=10)
    samples = exporter.look("counts", "workers", "failed")
    assert samples.queue("target_seconds", "email-sending:high") == 60
    assert samples.queue("target_seconds", "email-sending") == 300
    assert samples.queue("target_seconds", "warmup:process") == 900
    for queue, levels in (
        ("email-sending:high", {"warning": 50, "critical": 500, "page": 10000}),
        ("warmup:process", {"warning": 100, "critical": 1000, "page": 10000}),
    ):
        assert {level: samples.queue("depth_threshold", queue, level=level) for level in levels} == levels
        assert samples.queue("failure_threshold", queue, level="critical") == 10
        assert samples.queue("failure_threshold", queue, level="page") == 0.05
    told = [
        name for name in samples.names if name.startswith(("postwatch_queue", "postwatch_worker", "postwatch_sampler"))
    ]
    assert len(told) > 30
    for name in told:
        for labels, _ in samples.series(name):
            assert (labels["team"], labels["tenant"], labels["source"]) == ("delivery", "acme", "mail"), name
            assert not labels.get("queue", "").startswith("queue:"), name


def test_a_queue_that_is_deleted_loses_its_gauges(owner: Owner, exporter: Exporter) -> None:
    queues(owner, "short-lived")
    (job,) = add(owner, queue_name="short-lived", status="queued")
    exporter.look()
    change(owner, [job], status="completed", started=0, completed=0, updated=0)
    samples = exporter.look("counts", "failed", "workers")
    assert samples.queue("depth", "short-lived") == 0
    owner.execute("delete from jobs; delete from job_queues where name = 'short-lived'")
    samples = exporter.look("counts", "failed", "workers")
    gone = [name for name in samples.names if samples.series(name, queue="short-lived")]
    assert {name for name in gone if not name.endswith(("_total", "_bucket", "_sum", "_count"))} == set()
    assert samples.queue("jobs_finished_total", "short-lived", outcome="completed") == 1
