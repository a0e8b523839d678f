"""What a source did not answer is not paid for: its budget would keep us away long after the trouble is over."""

import threading
import time

import pytest

from chassis.clock import SystemClock
from chassis.secrets import SecretUrl
from demo.servers import Postgres
from exporter.clients.postgres import Database as Client
from exporter.clients.redis import Store
from exporter.model import Reason, SampleFailed
from exporter.sampling.sampler import UNANSWERED, Run
from tests.support.databases import Database
from tests.support.servers import RedisServer

LIMIT = 1.0
QUERY = "select count(*) from jobs"


def test_a_frozen_database(own_pg15: Postgres) -> None:
    client = Client(SecretUrl(own_pg15.url()), SystemClock())
    first = Run(SystemClock(), LIMIT)
    with client.session(first) as session:
        session.rows("select 1")
    assert first.source_seconds > 0
    own_pg15.freeze()
    run = Run(SystemClock(), LIMIT)
    try:
        with pytest.raises(SampleFailed) as failed, client.session(run) as session:
            session.rows("select 1")
    finally:
        own_pg15.thaw()
        client.close()
    assert failed.value.reason is Reason.TIMEOUT
    assert run.left < LIMIT / 5, "it did wait"
    assert 0 < run.source_seconds <= UNANSWERED


def test_a_database_that_was_frozen_for_a_while(own_pg15: Postgres) -> None:
    client = Client(SecretUrl(own_pg15.url()), SystemClock())
    patient, hasty = Run(SystemClock(), 30.0), Run(SystemClock(), LIMIT)
    asked = threading.Event()

    def ask() -> None:
        with client.session(patient, "exact") as session:
            session.rows("select 1")
            asked.set()
            session.rows("select pg_sleep(0.5)")

    thread = threading.Thread(target=ask)
    with client.session(hasty) as session:
        session.rows("select 1")
    thread.start()
    assert asked.wait(10)
    own_pg15.freeze()
    began = time.monotonic()
    try:
        with pytest.raises(SampleFailed), client.session(hasty) as session:
            session.rows("select 1")
    finally:
        own_pg15.thaw()
    thread.join(10)
    client.close()
    assert time.monotonic() - began > LIMIT / 2
    assert 0 < patient.source_seconds < 2 * UNANSWERED + 0.1


@pytest.mark.parametrize("database", ["penguinmails@15"], indirect=True)
def test_a_locked_table(database: Database) -> None:
    client = Client(SecretUrl(database.reader_url), SystemClock())
    run = Run(SystemClock(), LIMIT)
    with database.connect() as owner, owner.transaction():
        owner.execute("lock table jobs in access exclusive mode")
        with pytest.raises(SampleFailed) as failed, client.session(run) as session:
            session.begin()
            before = run.source_seconds
            session.rows(QUERY)
    client.close()
    assert failed.value.reason is Reason.LOCKED
    assert 0 < run.source_seconds - before <= UNANSWERED


@pytest.mark.parametrize("database", ["penguinmails@15"], indirect=True)
def test_work_that_was_cut_short_is_paid_for(database: Database) -> None:
    client = Client(SecretUrl(database.reader_url), SystemClock())
    run = Run(SystemClock(), 4 * LIMIT)
    with pytest.raises(SampleFailed) as failed, client.session(run) as session:
        session.begin()
        session.rows("select count(*) from generate_series(1, 1000000000)")
    client.close()
    assert failed.value.reason is Reason.TIMEOUT
    assert run.source_seconds > LIMIT / 2


def test_a_frozen_redis(own_redis: RedisServer) -> None:
    store = Store(SecretUrl(own_redis.url), SystemClock(), timeout=LIMIT)
    store.one(Run(SystemClock(), LIMIT), "PING")
    own_redis.freeze()
    run = Run(SystemClock(), LIMIT)
    try:
        with pytest.raises(SampleFailed) as failed:
            store.one(run, "PING")
    finally:
        own_redis.thaw()
        store.close()
    assert failed.value.reason is Reason.TIMEOUT
    assert run.left < LIMIT / 5
    assert 0 < run.source_seconds <= UNANSWERED
