"""What goes wrong with PostgreSQL: the right gauge, one line in the log, all others untouched, and back by itself."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import psycopg
import pytest

from tests.integration.bad_days.world import OF_POSTGRES, PLACES, WAITING, Mishap, World, bad_day
from tests.support.wait import eventually


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
    with bad_day(world, mishap, reason, *samplers) as daemon:
        samples = daemon.samples()
        assert samples.up("workers") == 1
        assert samples.get("postwatch_queue_redis_length", source="mail", queue="email-sending") == WAITING
        assert daemon.get("/").elapsed.total_seconds() < 0.5
        assert "mail" in daemon.get("/").text
        # Gauges have gone with the knowledge behind them, counters and thresholds stay.
        daemon.until("postwatch_queue_depth", None, source="mail", queue="email-sending", priority="normal")
        samples = daemon.samples()
        assert samples.get("postwatch_queue_jobs_enqueued_total", source="mail", queue="email-sending") == 0
        assert samples.series("postwatch_queue_depth_threshold", source="mail", queue="email-sending")
        assert samples.get("postwatch_queue_depth", source="other", queue="email-sending") == WAITING
