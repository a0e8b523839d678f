"""What PostgreSQL has to do against a replica that stands still, and the client against a server that is gone."""

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from alerter.store import engine
from alerter.store.engine import StoreFailed
from tests.support import booked
from tests.support.booked import World, firing, over


@pytest.fixture
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with booked.world("postgresql", request, tmp_path) as made:
        yield made


@pytest.mark.parametrize("turn", [None, "oncall", ""], ids=["taking in", "claiming", "noting an outcome"])
def test_a_replica_that_stands_still_does_not_stop_the_others(
    world: World, turn: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_IDLE", "500ms")
    holds, goes_on = threading.Event(), threading.Event()
    failures: list[StoreFailed] = []

    def stand_still() -> None:
        try:
            with world.store.write() if turn is None else world.store.touch(turn=turn) as connection:
                if turn == "":
                    connection.exec_driver_sql("LOCK TABLE outbox")
                holds.set()
                assert goes_on.wait(60)
        except StoreFailed as error:
            failures.append(error)

    frozen = threading.Thread(target=stand_still)
    frozen.start()
    try:
        assert holds.wait(30)
        world.hear(firing())
        with world.store.touch(turn="oncall"):
            pass
    finally:
        goes_on.set()
        frozen.join(30)
    assert len(failures) == 1  # what it wrote is not there, and it knows


def test_nobody_waits_for_a_lock_for_ever(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with world.store.write():
        monkeypatch.setattr(engine, "_LOCKED", "200ms")
        with pytest.raises(StoreFailed), world.store.write():
            pass
    world.hear(firing())


def test_a_server_that_is_gone_without_a_word_is_noticed(world: World) -> None:
    with world.store.read() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        with socket.socket(fileno=os.dup(driver.fileno())) as line:
            assert line.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT)
            assert [line.getsockopt(socket.IPPROTO_TCP, each) for each in options] == [10, 5, 3, 20_000]
        assert isinstance(driver, psycopg.Connection)
        assert driver.info.get_parameters()["connect_timeout"] == "5"
        # PgBouncer may have the next transaction done by another server, which knows none of our statements.
        assert driver.prepare_threshold is None


def test_a_connection_that_broke_while_nobody_used_it_is_not_used(world: World) -> None:
    world.hear(firing())
    with psycopg.connect(world.store.engine.url.render_as_string(hide_password=False).replace("+psycopg", "")) as other:
        ended = other.execute(
            "SELECT pg_terminate_backend(pid, 20000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchall()
    assert ended == [(True,)] * len(ended)
    assert ended
    world.hear(over(firing()))
