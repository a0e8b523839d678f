"""One daemon lives through the bad days of a module, with a second source on servers that stay well."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import redis

from demo.servers import Postgres
from tests.support.databases import Database
from tests.support.exporter import Daemon, connections
from tests.support.jobs import add, element, queues
from tests.support.samples import Samples
from tests.support.servers import RedisServer
from tests.support.wait import eventually

OF_POSTGRES = ("changes", "counts", "failed", "drift")
FAST: dict[str, Any] = {"failed": {"interval": "1s"}, "drift": {"interval": "1s"}}
WAITING = 3
ENDED = ("terminating connection", "reset by peer", "closed by server", "closed the connection unexpectedly")
PLACES = 8  # connections that others may have beside an administrator


@dataclass
class World:
    server: Postgres
    database: Database
    redis: RedisServer
    daemon: Daemon
    other: Database

    def owner(self) -> "psycopg.Connection[tuple[Any, ...]]":
        return self.database.connect()

    def well(self) -> Samples:
        """Both sources are sampled, with the truth, and fewer connections than anyone would mind."""

        def is_well() -> Samples:
            samples = self.daemon.samples()
            for name in ("mail", "other"):
                up = {sampler: samples.up(sampler, name) for sampler in (*OF_POSTGRES, "workers")}
                assert up == dict.fromkeys(up, 1.0), name
                assert samples.get("postwatch_queue_depth", source=name, queue="email-sending") == WAITING
                assert samples.get("postwatch_queue_redis_length", source=name, queue="email-sending") == WAITING
                assert samples.series("postwatch_queue_depth_threshold", source=name, queue="email-sending")
            return samples

        samples = eventually(is_well, within=30, every=0.2)
        eventually(lambda: connections(self.database) <= 2)
        assert connections(self.other) <= 2
        return samples


def fill(database: Database, client: "redis.Redis") -> None:
    with database.connect() as owner:
        queues(owner, "email-sending")
        jobs = add(owner, queue_name="email-sending", status="migrated_to_redis", count=WAITING)
    client.lpush("queue:email-sending", *map(element, jobs))


Mishap = Callable[[World], AbstractContextManager[object]]


def runs(samples: Samples, name: str, reason: str | None = None) -> float:
    """Failed runs of a source's samplers."""
    wanted = {"source": name} if reason is None else {"source": name, "reason": reason}
    return sum(value for _, value in samples.series("postwatch_sampler_failures_total", **wanted))


def others_go_on(before: Samples, now: Samples) -> bool:
    name = "postwatch_sampler_runs_total"
    return all(now.value(name, **labels) > value for labels, value in before.series(name, source="other"))


def told_once(daemon: Daemon, mark: int, reason: str) -> None:
    lines = daemon.log()[mark:]
    causes = [line for line in lines if line["event"] == "sampler_failed"]
    # A test that ends sessions to begin with: that may be a cause of its own.
    ended = [line for line in causes if any(words in line["error"] for words in ENDED)]
    failures = causes if reason == "refused" else [line for line in causes if line not in ended]
    assert [(line["source"], line["reason"]) for line in failures] == [("mail", reason)], json.dumps(failures, indent=1)
    recovered = [line["source"] for line in lines if line["event"] == "sampler_recovered"]
    assert recovered
    assert recovered == ["mail"] * len(recovered)
    assert len(recovered) <= len(causes)
    assert {line["event"] for line in lines} <= {"sampler_failed", "sampler_recovered", "reading_starts_afresh"}
    assert "Traceback" not in json.dumps(lines)
    assert "right" not in json.dumps(lines), "the password"
    assert daemon.errors == ""


@contextmanager
def bad_day(world: World, mishap: Mishap, reason: str, *samplers: str) -> Iterator[Daemon]:
    """Something is wrong in the block: `samplers` fail again and again, and nothing of the other source does.

    It is told once, and all is well again by itself.
    """
    before, daemon = world.well(), world.daemon
    mark = len(daemon.log())
    with mishap(world):
        daemon.until_up(0, *samplers)
        first = runs(daemon.samples(), "mail", reason)

        def goes_on_failing() -> bool:
            found = daemon.samples()
            return runs(found, "mail", reason) >= first + 3 and others_go_on(before, found)

        eventually(goes_on_failing, within=20, every=0.2)
        yield daemon
        samples = daemon.samples()
        assert {samples.up(each, "other") for each in (*OF_POSTGRES, "workers")} == {1}
        assert runs(samples, "other") == 0
    world.well()
    told_once(daemon, mark, reason)
