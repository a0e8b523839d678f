"""Servers for every test that needs one; tests/support/README.md tells how to use them."""

from collections.abc import Iterator

import pytest
import redis
from hypothesis import settings

from demo.servers import Postgres
from tests.support.databases import Database, cached_template, create_database, drop_database
from tests.support.jobs import Owner
from tests.support.servers import PgBouncer, Postgres15, RedisServer

# No property is about time, and on a busy machine an example may take any. The examples are the same each time, so that
# a change is judged by what it changes; `make soak` looks for others.
settings.register_profile("same", deadline=None, derandomize=True)
settings.register_profile("others", deadline=None)
settings.load_profile("same")


@pytest.fixture(scope="session")
def pg15() -> Iterator[Postgres]:
    """Debian's PostgreSQL 15, for the whole session: do not stop it."""
    with Postgres15(template=cached_template(Postgres15)) as server:
        yield server


@pytest.fixture(scope="session")
def pg18() -> Iterator[Postgres]:
    """PostgreSQL 18 from the wheel, for the whole session: do not stop it."""
    with Postgres(template=cached_template(Postgres)) as server:
        yield server


@pytest.fixture
def own_pg15() -> Iterator[Postgres]:
    """A PostgreSQL 15 of the test's own, to be stopped, killed or frozen."""
    with Postgres15(template=cached_template(Postgres15)) as server:
        yield server


@pytest.fixture
def own_pg18() -> Iterator[Postgres]:
    """A PostgreSQL 18 of the test's own, to be stopped, killed or frozen."""
    with Postgres(template=cached_template(Postgres)) as server:
        yield server


@pytest.fixture(scope="session")
def bouncer15(pg15: Postgres) -> Iterator[PgBouncer]:
    """PgBouncer in transaction mode before `pg15`."""
    with PgBouncer(pg15) as server:
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """Debian's redis-server, for the whole session: do not stop it."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A redis-server of the test's own, to be stopped, killed or frozen."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def store(redis_server: RedisServer) -> Iterator["redis.Redis"]:
    """A client of `redis_server`, emptied for this test."""
    with redis_server.client() as client:
        client.flushall()
        yield client


@pytest.fixture
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """A fresh database: `LAYOUT@VERSION`, by default penguinmails@15.

    Others by `@pytest.mark.parametrize("database", ["basic@15", "penguinmails@18"], indirect=True)`;
    layouts: basic, penguinmails, empty.
    """
    layout, _, version = getattr(request, "param", "penguinmails@15").partition("@")
    fresh = create_database(request.getfixturevalue(f"pg{version or 15}"), layout)
    yield fresh
    drop_database(fresh)


@pytest.fixture
def role(database: Database) -> str:
    """The URL of `database` as a role with SELECT on its tables and pg_monitor, nothing more."""
    return database.reader_url


@pytest.fixture
def owner(database: Database) -> Iterator[Owner]:
    """A connection to `database` as its owner, to write what an application would."""
    with database.connect() as connection:
        yield connection
