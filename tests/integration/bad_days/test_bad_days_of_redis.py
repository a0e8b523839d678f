"""What goes wrong with Redis: the right gauge, one line in the log, all others untouched, and back by itself."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
import redis

from tests.integration.bad_days.world import WAITING, Mishap, World, bad_day
from tests.support.exporter import connections
from tests.support.jobs import element


@contextmanager
def redis_stopped(world: World) -> Iterator[None]:
    world.redis.kill()
    try:
        yield
    finally:
        world.redis.start()
        with world.database.connect() as owner, world.redis.client() as client:
            jobs = owner.execute("select id from jobs").fetchall()
            client.lpush("queue:email-sending", *(element(job) for (job,) in jobs))


@contextmanager
def redis_frozen(world: World) -> Iterator[None]:
    world.redis.freeze()
    try:
        yield
    finally:
        world.redis.thaw()


def cut_clients(client: "redis.Redis") -> None:
    client.client_kill_filter(_type="normal", skipme=True)


@contextmanager
def redis_wants_a_password(world: World) -> Iterator[None]:
    with world.redis.client() as client:
        client.config_set("requirepass", "something")
        cut_clients(client)
        try:
            yield
        finally:
            client.config_set("requirepass", "")


@contextmanager
def redis_without_the_right(world: World) -> Iterator[None]:
    with world.redis.client() as client:
        client.acl_setuser(
            "default", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-llen", "-type", "-info"]
        )
        try:
            yield
        finally:
            client.acl_setuser("default", enabled=True, nopass=True, keys=["*"], commands=["+@all"])


@contextmanager
def redis_full(world: World) -> Iterator[None]:
    with ExitStack() as stack, world.redis.client() as client:
        client.ping()
        cut_clients(client)
        for _ in range(30):
            try:
                stack.enter_context(world.redis.client()).ping()
            except redis.ConnectionError:
                break
        cut = [one for one in client.client_list() if one["name"] == "postwatch"]
        for one in cut:
            client.client_kill_filter(_id=one["id"])
        for _ in cut:
            with ExitStack() as race:
                try:
                    race.enter_context(world.redis.client()).ping()
                except redis.ConnectionError:
                    break
                stack.push(race.pop_all())
        yield


@pytest.mark.parametrize(
    ("mishap", "reason"),
    [
        (redis_stopped, "refused"),
        (redis_frozen, "timeout"),
        (redis_wants_a_password, "auth"),
        (redis_without_the_right, "permission"),
        (redis_full, "overloaded"),
    ],
)
def test_bad_days_of_redis(world: World, mishap: Mishap, reason: str) -> None:
    with bad_day(world, mishap, reason, "workers", "drift") as daemon:
        daemon.until("postwatch_queue_redis_length", None, source="mail", queue="email-sending", priority="normal")
        samples = daemon.until_up(1, "changes", "counts", "failed")
        assert samples.get("postwatch_queue_depth", source="mail", queue="email-sending") == WAITING
        assert connections(world.database) <= 2
