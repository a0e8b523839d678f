"""The world that bad days come over."""

from collections.abc import Iterator
from contextlib import ExitStack

import psycopg
import pytest

from demo.servers import Postgres
from tests.integration.bad_days.world import FAST, PLACES, World, fill
from tests.support.databases import cached_template, create_database, drop_database
from tests.support.exporter import Daemon, config, source
from tests.support.servers import Postgres15, RedisServer


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
