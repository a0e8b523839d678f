"""What PostgreSQL and Redis believe of the same jobs: found both ways, confirmed, at a bounded cost."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from tests.support.exporter import Exporter, config, source
from tests.support.jobs import Owner, add, change, element, queues
from tests.support.samples import Samples
from tests.support.servers import RedisServer

KINDS = ("missing_in_redis", "missing_in_postgres", "expired")
PENGUINMAILS = pytest.mark.parametrize("database", ["penguinmails@15"], indirect=True)


@pytest.fixture
def exporter(role: str, store: "redis.Redis", redis_server: RedisServer) -> Iterator[Exporter]:
    with Exporter(config(source(role, redis_server.url))) as running:
        yield running


def drift(samples: Samples, name: str, metric: str = "drift_jobs") -> dict[str, float | None]:
    return {kind: samples.queue(metric, name, kind=kind) for kind in KINDS}


def looks(exporter: Exporter, *kinds: str) -> Samples:
    return exporter.look("counts", *kinds, "drift")


def found(*counts: int) -> dict[str, float | None]:
    return dict(zip(KINDS, counts, strict=True))


@PENGUINMAILS
def test_both_ways_and_confirmed(owner: Owner, exporter: Exporter, store: "redis.Redis") -> None:
    queues(owner, "mail", "other")
    assert drift(looks(exporter), "mail") == found(0, 0, 0)
    queued = add(owner, queue_name="mail", status="migrated_to_redis", count=4)
    (running,) = add(owner, queue_name="mail", status="migrated_to_redis")
    lost = add(owner, queue_name="mail", status="migrated_to_redis", count=2)
    ended = add(owner, queue_name="mail", status="completed", completed=0)
    (urgent,) = add(owner, queue_name="mail", status="migrated_to_redis", priority=10)
    store.lpush("queue:mail", *map(element, queued), element(ended[0]), element(uuid.uuid4()), str(uuid.uuid4()))
    store.lpush("queue:mail", '{"id": ', '{"queue_name": "mail"}', '["a"]')  # nobody can run these
    store.lpush("queue:mail:high", f'{{"jobId": "{urgent}"}}')
    store.hset(f"job:{running}", mapping={"status": "processing"})
    for job in queued[1:]:
        store.hset(f"job:{job}", mapping={"status": "queued"})
    first = looks(exporter)
    assert drift(first, "mail") == found(0, 0, 0), "the first look only suspects"
    outcome = exporter.watch.sampling.outcomes["drift/mail"]
    assert outcome.soon is not None
    assert outcome.soon <= 10, "a suspicion is looked at again soon"
    second = looks(exporter)
    assert drift(second, "mail") == found(2, 6, 4)
    assert drift(second, "mail:high") == found(0, 0, 1)
    assert drift(second, "other") == found(0, 0, 0)
    assert drift(second, "mail", "drift_checked_jobs") == found(7, 7, 7)
    assert second.queue("redis_length", "mail") is None, "told by the quick look at Redis, not by this one"
    # Put right again.
    store.delete("queue:mail", "queue:mail:high")
    store.lpush("queue:mail", *map(element, [*queued, *lost]))
    store.lpush("queue:mail:high", element(urgent))
    for job in (*queued, *lost, urgent):
        store.hset(f"job:{job}", mapping={"status": "queued"})
    assert drift(looks(exporter), "mail") == found(0, 0, 0)
    assert drift(looks(exporter), "mail:high") == found(0, 0, 0)


@PENGUINMAILS
def test_jobs_in_flight_are_no_drift(owner: Owner, exporter: Exporter, store: "redis.Redis") -> None:
    queues(owner, "mail")
    for round_ in range(4):
        # Handed over by a row that Redis does not have yet, and popped by a worker whose row still waits.
        arriving = add(owner, queue_name="mail", status="migrated_to_redis", count=2)
        leaving = add(owner, queue_name="mail", status="running", count=2)
        store.lpush("queue:mail", *map(element, leaving))
        change(owner, leaving, status="completed", completed=0, updated=0)
        assert drift(looks(exporter), "mail") == found(0, 0, 0), round_
        store.delete("queue:mail")
        change(owner, arriving, status="running", started=0, updated=0)


@pytest.mark.parametrize("database", ["basic@15"], indirect=True)
def test_numbers_as_ids(owner: Owner, role: str, store: "redis.Redis", redis_server: RedisServer) -> None:
    states = {"handed_over": ["handed"], "waiting": ["waiting"], "active": ["active"]}
    given = source(role, redis_server.url, schema={"preset": "basic", "states": states})
    queues(owner, "queue:mail:low")
    ids = add(owner, queue="queue:mail:low", status="handed", count=3)
    lost = add(owner, queue="queue:mail:low", status="handed", count=1)
    store.lpush("queue:mail:low", f'{{"id": {ids[0]}}}', str(ids[1]), f'"{ids[2]}"', "999999999999999999999", "x", "-1")
    with Exporter(config(given)) as exporter:
        looks(exporter)
        samples = looks(exporter)
        assert drift(samples, "mail:low") == found(len(lost), 3, 0), "without data keys nothing can expire"
        assert samples.queue("handed_over_jobs", "mail:low") == 4
        assert not [line for line in exporter.log if line["log_level"] != "info"]


@PENGUINMAILS
def test_long_lists_are_compared_by_number_and_sample(owner: Owner, role: str, own_redis: RedisServer) -> None:
    queues(owner, "huge", "edge")
    add(owner, queue_name="huge", status="migrated_to_redis", count=12_000)
    add(owner, queue_name="edge", status="migrated_to_redis", count=10_000)
    with own_redis.client() as client, Exporter(config(source(role, own_redis.url))) as exporter:
        for queue, count in (("huge", 11_700), ("edge", 10_000)):
            rows = owner.execute("select id from jobs where queue_name = %s limit %s", [queue, count]).fetchall()
            client.lpush(f"queue:{queue}", *(element(job) for (job,) in rows))
        client.rpush("queue:huge", element(uuid.uuid4()), element(uuid.uuid4()))
        client.config_set("slowlog-max-len", 100_000)
        client.config_set("slowlog-log-slower-than", 0)
        client.config_resetstat()
        for _ in range(4):  # the first meets the queues; two counts have to differ, and to differ again
            samples = looks(exporter, "workers")
        client.config_set("slowlog-log-slower-than", -1)
        commands: list[str] = [entry["command"].decode() for entry in client.slowlog_get(100_000)]
        stats: dict[str, Any] = client.info("commandstats")
    assert drift(samples, "edge") == found(0, 0, 0)
    assert drift(samples, "edge", "drift_checked_jobs") == found(10_000, 10_000, 10_000)
    assert drift(samples, "huge") == found(12_000 - 11_702, 2, 0)
    assert drift(samples, "huge", "drift_checked_jobs") == found(0, 1_000, 1_000)
    ranges = {command for command in commands if command.startswith("LRANGE queue:huge")}
    assert ranges == {"LRANGE queue:huge 0 499", "LRANGE queue:huge -500 -1"}
    used = {name.removeprefix("cmdstat_") for name in stats} - {"config|set", "config|resetstat", "client|setinfo"}
    assert used <= {
        "llen", "lindex", "lrange", "pttl", "exists", "hget", "hgetall", "get", "type", "info", "client|setname",
        "hello", "slowlog|get",
    }, used  # fmt: skip


@PENGUINMAILS
def test_a_lost_list_shows_at_no_cost(owner: Owner, exporter: Exporter, store: "redis.Redis") -> None:
    queues(owner, "mail")
    jobs = add(owner, queue_name="mail", status="migrated_to_redis", count=5)
    store.lpush("queue:mail", *map(element, jobs))
    samples = exporter.look("counts", "workers")
    assert samples.queue("next_expiry_timestamp_seconds", "mail") is None
    store.expire("queue:mail", 3600)
    samples = exporter.look("workers")
    expiry = samples.queue("next_expiry_timestamp_seconds", "mail")
    assert expiry == pytest.approx(exporter.clock.now() + 3600, abs=5)
    store.hset(f"job:{jobs[1]}", "status", "queued")
    store.expire(f"job:{jobs[1]}", 10)  # not the oldest: unseen
    store.hset(f"job:{jobs[0]}", "status", "queued")
    store.expire(f"job:{jobs[0]}", 60)
    samples = exporter.look("workers")
    expiry = samples.queue("next_expiry_timestamp_seconds", "mail")
    assert expiry == pytest.approx(exporter.clock.now() + 60, abs=5)
    store.delete("queue:mail")
    looks(exporter, "workers")
    samples = looks(exporter, "workers")
    assert samples.queue("redis_length", "mail") == 0
    assert samples.queue("handed_over_jobs", "mail") == 5
    assert samples.queue("next_expiry_timestamp_seconds", "mail") is None
    assert drift(samples, "mail") == found(5, 0, 0)
