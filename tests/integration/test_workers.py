"""Workers, by their heartbeats in both forms and by the rows they work on."""

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from tests.support.exporter import Exporter, config, source
from tests.support.jobs import Owner, add, change, queues
from tests.support.samples import Samples
from tests.support.servers import RedisServer

pytestmark = pytest.mark.parametrize("database", ["penguinmails@15"], indirect=True)
WORKERS = {"expected": 5, "dead_after": "60s", "forget_after": "15m", "error_limit": "5%"}


@pytest.fixture
def owner(owner: Owner) -> Owner:
    queues(owner, "mail")
    return owner


@pytest.fixture
def exporter(role: str, store: "redis.Redis", redis_server: RedisServer) -> Iterator[Exporter]:
    with Exporter(config(source(role, redis_server.url, workers=WORKERS))) as running:
        yield running


def states(samples: Samples) -> dict[str, float]:
    return samples.by("state", "postwatch_workers")


def of(samples: Samples, metric: str, worker: str, **labels: str) -> float | None:
    return samples.get(f"postwatch_worker_{metric}", worker=worker, **labels)


@pytest.mark.parametrize("kind", ["set", "list"])
def test_single_keys(owner: Owner, exporter: Exporter, store: "redis.Redis", kind: str) -> None:
    now = exporter.clock.now()
    samples = exporter.look("workers")
    assert states(samples) == {"active": 0, "paused": 0, "draining": 0, "dead": 0}
    (store.sadd if kind == "set" else store.lpush)("workers:active", "a", "b", "never-seen")
    for worker, beat in (("a", now - 1), ("b", now - 61)):
        store.set(f"worker:{worker}:last_heartbeat", beat)
        store.set(f"worker:{worker}:current_jobs", 2)
        store.set(f"worker:{worker}:processed_total", 40)
    samples = exporter.look("workers")
    assert states(samples) == {"active": 1, "paused": 0, "draining": 0, "dead": 2}, (
        "also who is named without a heartbeat"
    )
    assert samples.get("postwatch_workers_healthy") == 1
    assert samples.get("postwatch_workers_expected") == 5
    assert of(samples, "jobs_running", "a") == 2
    assert of(samples, "last_heartbeat_timestamp_seconds", "a") == pytest.approx(now - 1, abs=0.01)
    before = of(samples, "jobs_finished_total", "a", outcome="completed")
    assert before is not None
    store.incrby("worker:a:processed_total", 7)
    after = of(exporter.look("workers"), "jobs_finished_total", "a", outcome="completed")
    assert after == before + 7
    for metric in ("capacity", "start_timestamp_seconds"):
        assert of(samples, metric, "a") is None, "not told in this form"


def test_hashes(owner: Owner, exporter: Exporter, store: "redis.Redis") -> None:
    now = exporter.clock.now()

    def beat(worker: str, **fields: Any) -> None:
        store.sadd("workers:active", worker)
        store.hset(f"worker:{worker}", mapping=fields | {"last_heartbeat": fields.get("last_heartbeat", now)})

    beat("well", status="active", capacity=8, current_jobs=3, started_at=now - 500, processed_total=100, failed_total=4)
    beat("sick", status="active", processed_total=100, failed_total=5)
    beat("young", status="active", processed_total=1, failed_total=1)
    beat("resting", status="Paused")
    beat("leaving", status="draining", restarts=2)
    beat("odd", status="dancing", capacity="many", last_heartbeat="2100-01-01T00:00:00+00:00")
    beat("late", last_heartbeat=now - 100)
    beat("milli", last_heartbeat=(now - 100) * 1000)
    samples = exporter.look("workers")
    assert states(samples) == {"active": 4, "paused": 1, "draining": 1, "dead": 2}
    assert samples.get("postwatch_workers_healthy") == 5, "all but the sick and the dead"
    assert of(samples, "capacity", "well") == 8
    assert of(samples, "jobs_running", "well") == 3
    assert of(samples, "start_timestamp_seconds", "well") == pytest.approx(now - 500, abs=0.01)
    assert of(samples, "restarts_total", "leaving") == 2
    assert of(samples, "capacity", "odd") is None
    # It starts anew, with its counts at zero: a restart is counted, and no counter falls.
    before = of(samples, "jobs_finished_total", "well", outcome="completed")
    assert before is not None
    beat("well", started_at=now - 1, processed_total=3, failed_total=0)
    samples = exporter.look("workers")
    assert of(samples, "restarts_total", "well") == 1
    assert of(samples, "jobs_finished_total", "well", outcome="completed") == before + 3
    # A failure that is written before the job is counted as processed makes nothing fall either.
    beat("well", failed_total=1)
    samples = exporter.look("workers")
    assert of(samples, "jobs_finished_total", "well", outcome="completed") == before + 3


def test_the_dead_are_forgotten(owner: Owner, exporter: Exporter, store: "redis.Redis") -> None:
    store.sadd("workers:active", "w1")
    store.set("worker:w1:last_heartbeat", exporter.clock.now())
    assert states(exporter.look("workers"))["active"] == 1
    store.flushall()  # keys of a heartbeat expire; the worker stays known
    exporter.clock.offset += 61
    samples = exporter.look("workers")
    assert states(samples)["dead"] == 1
    assert of(samples, "last_heartbeat_timestamp_seconds", "w1") is not None
    exporter.clock.offset += 830
    assert states(exporter.look("workers"))["dead"] == 1
    exporter.clock.offset += 20
    samples = exporter.look("workers")
    assert states(samples) == {"active": 0, "paused": 0, "draining": 0, "dead": 0}
    assert not [name for name in samples.names if samples.series(name, worker="w1")]
    store.sadd("workers:active", "w1")
    store.set("worker:w1:last_heartbeat", exporter.clock.now())
    assert states(exporter.look("workers"))["active"] == 1


def test_by_the_rows_alone(owner: Owner, exporter: Exporter, store: "redis.Redis") -> None:
    exporter.look("counts", "workers")
    jobs = add(owner, queue_name="mail", status="running", started=-10, worker_id="w1", attempt_count=1, count=3)
    samples = exporter.look("counts", "workers")
    assert states(samples)["active"] == 1
    assert samples.queue("stuck_jobs", "mail") == 0, "where nobody has a heartbeat none is gone"
    change(owner, jobs[:1], status="completed", completed=0, updated=0)
    change(owner, jobs[1:2], status="failed", failed=0, updated=0)
    samples = exporter.look("counts", "workers")
    assert of(samples, "jobs_finished_total", "w1", outcome="completed") == 1
    assert of(samples, "jobs_finished_total", "w1", outcome="failed") == 1
    assert of(samples, "job_seconds_total", "w1") == pytest.approx(20, abs=1)
    assert of(samples, "last_heartbeat_timestamp_seconds", "w1") is None
