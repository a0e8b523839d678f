"""Redis' own health, against what the test did to it: one server, Sentinel, Cluster."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis as redis_client

from demo.servers import Redis, Valkey
from exporter.model import Reason
from exporter.stores import keyspace
from tests.support.exporter import Exporter, source
from tests.support.redis_groups import Cluster, Sentinel
from tests.support.servers import RedisServer
from tests.support.stores import checked, later, redis
from tests.support.wait import eventually

KINDS = {"string", "list", "hash", "set", "zset", "stream"}
Client = redis_client.Redis


def fill(client: Client, **counts: int) -> None:
    """Keys of each kind."""
    pipeline = client.pipeline(transaction=False)
    make: dict[str, Callable[[str], object]] = {
        "string": lambda key: pipeline.set(key, "v"),
        "list": lambda key: pipeline.lpush(key, "v"),
        "hash": lambda key: pipeline.hset(key, "f", "v"),
        "set": lambda key: pipeline.sadd(key, "v"),
        "zset": lambda key: pipeline.zadd(key, {"v": 1}),
        "stream": lambda key: pipeline.xadd(key, {"f": "v"}),
    }
    for kind, count in counts.items():
        for number in range(count):
            make[kind](f"{kind}:{number}")
    pipeline.execute()


def keys(exporter: Exporter) -> dict[str, float]:
    return later(exporter, "redis", "cache").by("kind", "postwatch_redis_keys")


@pytest.mark.parametrize("server", ["redis", "valkey"])
def test_figures_are_the_server_s(server: str) -> None:
    with RedisServer() if server == "redis" else Valkey() as store, store.client() as client:
        client.config_set("maxmemory", 64 * 2**20)
        with Exporter(redis(store.url)) as exporter:
            first = exporter.look("redis", source="cache")
            client.set("there", 1)
            for _ in range(5):
                client.get("there")
            for _ in range(3):
                client.get("not there")
            client.set("short", 1, px=1)
            eventually(lambda: client.get("short") is None, within=10)
            samples = exporter.look("redis", source="cache")
            truth = client.info()
            assert samples.value("postwatch_redis_up") == 1
            assert samples.value("postwatch_redis_memory_max_bytes") == 64 * 2**20
            assert samples.value("postwatch_redis_memory_used_bytes") == pytest.approx(truth["used_memory"], rel=0.2)
            assert samples.value("postwatch_redis_connected_clients") == truth["connected_clients"]
            assert samples.value("postwatch_redis_keyspace_hits_total") == truth["keyspace_hits"] >= 5
            assert samples.value("postwatch_redis_keyspace_misses_total") == truth["keyspace_misses"] >= 3
            assert samples.value("postwatch_redis_expired_keys_total") == 1
            assert samples.value("postwatch_redis_evicted_keys_total") == 0
            name = "postwatch_redis_commands_total"
            assert samples.value(name) - first.value(name) >= 11
            assert samples.value("postwatch_redis_ping_seconds_count") == 2
            assert 0 < samples.value("postwatch_redis_ping_seconds_sum") < 2


def test_evictions(own_redis: RedisServer) -> None:
    with Exporter(redis(own_redis.url)) as exporter, own_redis.client() as client:
        assert exporter.look("redis", source="cache").get("postwatch_redis_memory_max_bytes") is None  # no limit
        client.config_set("maxmemory-policy", "allkeys-random")
        client.config_set("maxmemory", client.info()["used_memory"] + 2**20)
        for number in range(40):
            client.set(f"large:{number}", "x" * 2**17)
        samples = exporter.look("redis", source="cache")
        assert samples.value("postwatch_redis_evicted_keys_total") == client.info()["evicted_keys"] > 0


def test_few_keys_are_counted_exactly(own_redis: RedisServer) -> None:
    with Exporter(redis(own_redis.url)) as exporter, own_redis.client() as client:
        assert keys(exporter) == dict.fromkeys(KINDS, 0)
        counts = {"string": 300, "list": 200, "hash": 100, "set": 50, "zset": 20, "stream": 3}
        fill(client, **counts)
        assert keys(exporter) == counts
        client.delete(*client.keys("string:*"))
        assert keys(exporter) == {**counts, "string": 0}
        with own_redis.client(database=3) as other:  # not the one that the URL names
            fill(other, list=10)
        assert keys(exporter) == {**counts, "string": 0}


def test_many_keys_are_estimated_by_a_bounded_sample(own_redis: RedisServer) -> None:
    with Exporter(redis(own_redis.url)) as exporter, own_redis.client() as client:
        counts = {"string": 30_000, "list": 6_000, "hash": 3_000, "set": 900, "zset": 100, "stream": 0}
        fill(client, **counts)
        exporter.look("redis", source="cache")
        before = Counter(asked(client))
        estimates = [keys(exporter) for _ in range(5)]
        after = Counter(asked(client))
        for kind, count in counts.items():
            mean = sum(estimate[kind] for estimate in estimates) / len(estimates)
            # Five standard deviations of five samples of a thousand.
            share = count / 40_000
            assert abs(mean - count) <= 5 * 40_000 * (share * (1 - share) / 5_000) ** 0.5 + 1, kind
        assert (after - before)["randomkey"] == 5 * 1_000
        assert (after - before)["type"] <= 5 * 1_000
        assert after["keys"] == before["keys"]
        assert after["scan"] == before["scan"]


def asked(client: Client) -> dict[str, int]:
    """How often each command was called, as the server counts it."""
    statistics = client.info("commandstats")
    return {name.removeprefix("cmdstat_"): int(told["calls"]) for name, told in statistics.items()}


def test_what_remains_of_many_keys_is_not_walked_through_for_ever(
    own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SCAN visits the buckets of what once was: those of a part of the table are a sample too."""
    monkeypatch.setattr(keyspace, "MOST_SCANS", 3)
    with Exporter(redis(own_redis.url)) as exporter, own_redis.client() as client:
        client.config_set("activerehashing", "no")
        client.config_set("hz", 1)
        fill(client, string=60_000, list=40)
        with client.pipeline(transaction=True) as pipeline:  # so that the table has no time to shrink
            pipeline.delete(*(f"string:{number}" for number in range(59_960)))
            pipeline.scan(0, count=1000)
            pipeline.execute()
            before = asked(client)
            found = keys(exporter)
        after = asked(client)
        assert after["scan"] - before["scan"] <= 3
        assert "randomkey" not in after
        assert sum(found.values()) == pytest.approx(80, abs=1)  # however they are shared out
        assert {kind for kind, count in found.items() if count} <= {"string", "list"}


def test_keys_are_looked_at_on_an_interval_of_their_own(own_redis: RedisServer) -> None:
    with Exporter(redis(own_redis.url, keys={"interval": "20s"})) as exporter, own_redis.client() as client:
        fill(client, string=10)
        exporter.look("redis", source="cache")
        fill(client, list=10)
        samples = later(exporter, "redis", "cache", seconds=5)
        assert samples.by("kind", "postwatch_redis_keys")["list"] == 0
        samples = later(exporter, "redis", "cache", seconds=20)
        assert samples.by("kind", "postwatch_redis_keys")["list"] == 10


def test_down_and_back(own_redis: RedisServer) -> None:
    with Exporter(redis(own_redis.url)) as exporter, own_redis.client() as client:
        for _ in range(50):
            client.ping()
        commands = exporter.look("redis", source="cache").value("postwatch_redis_commands_total")
        own_redis.stop()
        assert exporter.run("redis", source="cache").failures[Reason.REFUSED] == 1
        exporter.clock.monotonic_offset += 60
        exporter.run("redis", source="cache")
        samples = exporter.samples()
        assert samples.value("postwatch_redis_up") == 0
        assert not samples.series("postwatch_redis_connected_clients")
        assert not samples.series("postwatch_redis_keys")
        assert samples.value("postwatch_redis_commands_total") == commands
        assert len(exporter.logged("sampler_failed")) == 1
        own_redis.start()
        samples = exporter.look("redis", source="cache")
        assert samples.value("postwatch_redis_up") == 1
        assert samples.value("postwatch_redis_commands_total") < commands  # a server's own count starts anew with it


def test_a_frozen_redis_is_down_within_the_time_limit(own_redis: RedisServer) -> None:
    given = redis(own_redis.url)
    given["defaults"]["timeout"] = "500ms"
    with Exporter(given) as exporter:
        exporter.look("redis", source="cache")
        own_redis.freeze()
        began = time.monotonic()
        assert exporter.run("redis", source="cache").failures[Reason.TIMEOUT] == 1
        assert time.monotonic() - began < 5
        assert exporter.samples().value("postwatch_redis_up") == 0
        own_redis.thaw()


def test_by_sentinel_after_a_failover() -> None:
    with Sentinel(replicas=1, sentinels=3) as group:
        hosts = ",".join(f"{host}:{port}" for host, port in group.addresses)
        with Exporter(redis(f"redis+sentinel://{hosts}/{group.name}")) as exporter:
            with group.master.client() as client:
                fill(client, list=7)
                eventually(lambda: client.wait(1, 1000) == 1, within=20)
            assert keys(exporter)["list"] == 7
            group.failover()
            eventually(lambda: exporter.run("redis", source="cache").up, within=30)
            assert keys(exporter)["list"] == 7


def test_a_cluster_is_the_sum_of_its_primaries() -> None:
    with Cluster() as cluster, cluster.client() as client:
        for number in range(120):
            client.set(f"string:{number}", "v")
        for number in range(60):
            client.lpush(f"list:{number}", "v")
        hosts = ",".join(f"{host}:{port}" for host, port in cluster.addresses)
        with Exporter(redis(f"redis+cluster://{hosts}")) as exporter:
            assert keys(exporter) == {**dict.fromkeys(KINDS, 0), "string": 120, "list": 60}
            samples = exporter.samples()
            primaries = len(_nodes(client))
            used = sum(int(node.info()["used_memory"]) for node in _nodes(client))
            assert samples.value("postwatch_redis_memory_used_bytes") == pytest.approx(used, rel=0.3)
            assert samples.value("postwatch_redis_ping_seconds_count") == primaries
            # Redis counts our own look at the keys as well.
            before = exporter.look("redis", source="cache").value("postwatch_redis_keyspace_hits_total")
            for number in range(100):
                client.get(f"string:{number}")
            samples = exporter.look("redis", source="cache")
            assert samples.value("postwatch_redis_keyspace_hits_total") - before == 100
            for node in _nodes(client):
                node.config_resetstat()
                break
            for number in range(100):
                client.get(f"string:{number}")
            # One node's new start takes nothing away from the sum.
            samples = exporter.look("redis", source="cache")
            assert samples.value("postwatch_redis_keyspace_hits_total") - before == 200


def _nodes(client: Any) -> list[Client]:  # untyped there
    return [client.get_redis_connection(node) for node in client.get_primaries()]


class TestWithoutRights:
    def test_info_and_keys_are_absent_and_said_once(self, tmp_path: Path) -> None:
        users = {"watch": "on >s ~queue:* +ping +dbsize +randomkey +scan +type"}
        with RedisServer(users=users) as server, server.client() as client:
            client.set("elsewhere", 1)
            given = redis(server.url_as("watch", "s"))
            with Exporter(given) as exporter:
                for _ in range(3):
                    samples = later(exporter, "redis", "cache")
                assert {name for name in samples.names if name.startswith("postwatch_redis_")} == {
                    "postwatch_redis_up", "postwatch_redis_ping_seconds_bucket", "postwatch_redis_ping_seconds_sum",
                    "postwatch_redis_ping_seconds_count",
                }  # fmt: skip
                assert samples.value("postwatch_redis_up") == 1
                said = exporter.logged("metrics_absent")
                assert [line["metrics"][-1] for line in said] == [
                    "postwatch_redis_expired_keys_total", "postwatch_redis_keys",
                ]  # fmt: skip
                client.execute_command("ACL", "SETUSER", "watch", "+info", "~*")
                samples = later(exporter, "redis", "cache")
                assert samples.by("kind", "postwatch_redis_keys")["string"] == 1
                assert samples.value("postwatch_redis_connected_clients")
                assert len(exporter.logged("metrics_back")) == 2
            client.execute_command("ACL", "SETUSER", "watch", "-info", "resetkeys")
            told = checked(tmp_path, given)
            assert "+info" in told
            assert "+randomkey" in told

    def test_a_wrong_password_is_down_and_never_shown(self, tmp_path: Path) -> None:
        with RedisServer(password="right") as server:
            given = redis(server.url_as("", "hunter22"))
            with Exporter(given) as exporter:
                assert exporter.run("redis", source="cache").failures[Reason.AUTH] == 1
                assert exporter.samples().value("postwatch_redis_up") == 0
                assert "hunter22" not in str(exporter.log)
            assert "hunter22" not in checked(tmp_path, given)


def test_the_queues_in_the_same_redis_share_its_budget(role: str, own_redis: Redis) -> None:
    given = {**redis(own_redis.url), "queues": [source(role, own_redis.url)]}
    with Exporter(given) as exporter:
        (part,) = exporter.watch.parts
        (sampler,) = part.samplers()
        assert sampler.account == exporter.watch.sources[0].context.store_account
        samples = exporter.look("redis", source="cache")
        assert samples.value("postwatch_sampler_source_seconds_total", sampler="redis", source="cache") > 0
