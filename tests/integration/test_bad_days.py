"""What goes wrong with what is watched: the right gauge, one line in the log, all others untouched, and back by itself.

One daemon lives through all of a module's bad days, with a second source on servers that stay well.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
import redis

from demo.servers import Postgres
from tests.support.databases import Database, cached_template, create_database, drop_database
from tests.support.exporter import Daemon, Samples, config, connections, source
from tests.support.jobs import add, element, queues
from tests.support.servers import Postgres15, RedisServer
from tests.support.wait import eventually

OF_POSTGRES = ("changes", "counts", "failed", "drift")
FAST: dict[str, Any] = {"failed": {"interval": "1s"}, "drift": {"interval": "1s"}}
WAITING = 3
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


@pytest.fixture(scope="module")
def world(pg15: Postgres, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with ExitStack() as stack:
        server = stack.enter_context(
            Postgres15(template=cached_template(Postgres15), settings={"max_connections": str(PLACES + 4)})
        )
        own_redis = stack.enter_context(RedisServer(settings={"maxclients": "20"}))
        database, other = create_database(server), create_database(pg15)
        stack.callback(drop_database, other)
        with psycopg.connect(server.url(), autocommit=True) as admin:
            admin.execute("create role need_password")
            admin.execute(f"alter role {database.reader} password 'right'".encode())
        with own_redis.client() as mine, redis_server.client() as shared:
            fill(database, mine)
            shared.flushall()
            fill(other, shared)
        given = config(
            source(server.url(database.name, database.reader, "right"), own_redis.url, **FAST),
            source(other.reader_url, redis_server.url, name="other", **FAST),
            timeout="2s",
        )
        daemon = stack.enter_context(Daemon(tmp_path_factory.mktemp("daemon"), given))
        yield World(server, database, own_redis, daemon, other)


Mishap = Callable[[World], AbstractContextManager[object]]


@contextmanager
def server_stopped(world: World) -> Iterator[None]:
    world.server.kill()
    try:
        yield
    finally:
        world.server.start()


@contextmanager
def server_frozen(world: World) -> Iterator[None]:
    world.server.freeze()
    try:
        yield
    finally:
        world.server.thaw()


def end_sessions(world: World) -> None:
    with psycopg.connect(world.server.url(), autocommit=True) as admin:
        admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'postwatch'")


@contextmanager
def no_connection_left(world: World) -> Iterator[None]:
    url = world.server.url(user=world.database.reader, password="right")
    with ExitStack() as stack, psycopg.connect(world.server.url(), autocommit=True) as admin:
        taken: list[object] = []

        def all_taken() -> bool:
            admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'postwatch'")
            with suppress(psycopg.OperationalError):
                taken.append(stack.enter_context(psycopg.connect(url)))
            return len(taken) == PLACES

        eventually(all_taken, every=0.01)
        yield


@contextmanager
def no_connection_left_for_the_role(world: World) -> Iterator[None]:
    reader = world.database.reader
    with psycopg.connect(world.server.url(), autocommit=True) as admin:
        admin.execute(f"alter role {reader} connection limit 0".encode())

        def shut_out() -> bool:
            # A session that was just being opened read the old limit, and is not yet listed.
            end_sessions(world)
            samples = world.daemon.samples()
            return not any(samples.up(each) for each in OF_POSTGRES)

        eventually(shut_out, within=30, every=0.2)
        try:
            yield
        finally:
            admin.execute(f"alter role {reader} connection limit -1".encode())


@contextmanager
def wrong_password(world: World) -> Iterator[None]:
    reader = world.database.reader
    with psycopg.connect(world.server.url(), autocommit=True) as admin:
        admin.execute(f"grant need_password to {reader}; alter role {reader} password 'changed'".encode())
        end_sessions(world)
        try:
            yield
        finally:
            admin.execute(f"alter role {reader} password 'right'; revoke need_password from {reader}".encode())


@contextmanager
def right_revoked(world: World) -> Iterator[None]:
    with world.owner() as owner:
        owner.execute(f"revoke select on jobs from {world.database.reader}".encode())
        try:
            yield
        finally:
            owner.execute(f"grant select on jobs to {world.database.reader}".encode())


@contextmanager
def table_dropped(world: World) -> Iterator[None]:
    with world.owner() as owner:
        owner.execute("create table kept as table jobs; drop table jobs cascade")
        try:
            yield
        finally:
            with owner.transaction():
                owner.execute("create table jobs (like kept)")
                owner.execute("insert into jobs table kept; drop table kept")


@contextmanager
def column_of_another_type(world: World) -> Iterator[None]:
    with world.owner() as owner:
        owner.execute("alter table jobs alter run_at drop default, alter run_at type text")
        try:
            yield
        finally:
            owner.execute("alter table jobs alter run_at type timestamptz using run_at::timestamptz")


@contextmanager
def column_renamed(world: World) -> Iterator[None]:
    with world.owner() as owner:
        owner.execute("alter table jobs rename status to state")
        try:
            yield
        finally:
            owner.execute("alter table jobs rename state to status")


@contextmanager
def locked_by_a_migration(world: World) -> Iterator[None]:
    with world.owner() as owner:
        with owner.transaction():
            owner.execute("lock table jobs in access exclusive mode")
            try:
                yield
            finally:
                # None of ours waits for longer than its time limit, however long the lock is held.
                row = owner.execute(
                    "select count(*), max(clock_timestamp() - query_start) < '2 s' from pg_stat_activity"
                    " where application_name = 'postwatch' and wait_event_type = 'Lock'"
                ).fetchone()
        assert row is not None
        assert row[0] <= 2
        assert row[1] is not False


@pytest.mark.parametrize(
    ("mishap", "reason", "samplers"),
    [
        (server_stopped, "refused", OF_POSTGRES),
        (server_frozen, "timeout", ("changes",)),  # an exact count is given half a minute
        (no_connection_left, "overloaded", OF_POSTGRES),
        (no_connection_left_for_the_role, "overloaded", OF_POSTGRES),
        (wrong_password, "auth", OF_POSTGRES),
        (right_revoked, "permission", OF_POSTGRES),
        (table_dropped, "missing", OF_POSTGRES),
        (column_of_another_type, "mismatch", OF_POSTGRES),
        (column_renamed, "missing", OF_POSTGRES),
        (locked_by_a_migration, "locked", OF_POSTGRES),
    ],
)
def test_bad_days_of_postgresql(world: World, mishap: Mishap, reason: str, samplers: tuple[str, ...]) -> None:
    before = world.well()
    mark = len(world.daemon.log())
    with mishap(world):
        daemon = world.daemon
        daemon.until_up(0, *samplers)
        first = runs(daemon.samples(), "mail", reason)

        def goes_on_failing() -> bool:
            found = daemon.samples()
            return runs(found, "mail", reason) >= first + 3 and others_go_on(before, found)

        eventually(goes_on_failing, within=20, every=0.2)
        samples = daemon.samples()
        assert samples.up("workers") == 1
        assert samples.get("postwatch_queue_redis_length", source="mail", queue="email-sending") == WAITING
        assert {samples.up(each, "other") for each in (*OF_POSTGRES, "workers")} == {1}
        assert runs(samples, "other") == 0
        assert daemon.get("/").elapsed.total_seconds() < 0.5
        assert "mail" in daemon.get("/").text
        # Gauges have gone with the knowledge behind them, counters and thresholds stay.
        daemon.until("postwatch_queue_depth", None, source="mail", queue="email-sending", priority="normal")
        samples = daemon.samples()
        assert samples.get("postwatch_queue_jobs_enqueued_total", source="mail", queue="email-sending") == 0
        assert samples.series("postwatch_queue_depth_threshold", source="mail", queue="email-sending")
        assert samples.get("postwatch_queue_depth", source="other", queue="email-sending") == WAITING
    world.well()
    told_once(world.daemon, mark, reason)


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
    ended = [line for line in causes if "terminating connection" in line["error"]]
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
    before = world.well()
    mark = len(world.daemon.log())
    with mishap(world):
        daemon = world.daemon
        daemon.until_up(0, "workers", "drift")
        first = runs(daemon.samples(), "mail", reason)

        def goes_on_failing() -> bool:
            found = daemon.samples()
            return runs(found, "mail", reason) >= first + 3 and others_go_on(before, found)

        eventually(goes_on_failing, within=20, every=0.2)
        daemon.until("postwatch_queue_redis_length", None, source="mail", queue="email-sending", priority="normal")
        samples = daemon.until_up(1, "changes", "counts", "failed")
        assert samples.get("postwatch_queue_depth", source="mail", queue="email-sending") == WAITING
        assert {samples.up(each, "other") for each in (*OF_POSTGRES, "workers")} == {1}
        assert runs(samples, "other") == 0
        assert connections(world.database) <= 2
    world.well()
    told_once(world.daemon, mark, reason)
