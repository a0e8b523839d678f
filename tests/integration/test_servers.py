"""The servers that other tests stand on: each starts, serves, and ends when it should."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from demo.process import ServerError
from demo.server import Server
from demo.servers import Postgres, Valkey
from tests.support.databases import Database
from tests.support.redis_groups import Cluster, Sentinel
from tests.support.servers import PgBouncer, RedisServer, Standby
from tests.support.wait import eventually


@pytest.mark.parametrize("database", ["penguinmails@15", "penguinmails@18", "basic@15"], indirect=True)
def test_a_reader_may_look_and_not_touch(database: Database, role: str) -> None:
    with database.connect() as owner:
        owner.execute("drop table job_logs cascade")
        owner.execute("create table job_logs (id int)")
    with psycopg.connect(role, autocommit=True) as reader:
        assert reader.execute("select count(*) from jobs").fetchone() == (0,)
        assert reader.execute("select count(*) from job_logs").fetchone() == (0,), "recreated: still readable"
        assert reader.execute("select count(*) > 0 from pg_stat_statements").fetchone() == (True,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute("delete from jobs")


def test_a_password_is_asked_of_those_who_need_one(pg15: Postgres) -> None:
    with psycopg.connect(pg15.url(), autocommit=True) as admin:
        admin.execute("create role need_password")
        admin.execute("create role guarded login password 'right' in role need_password")
    with psycopg.connect(pg15.url(user="guarded", password="right")) as guarded:
        assert guarded.execute("select 1").fetchone() == (1,)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(pg15.url(user="guarded", password="wrong"))
    with psycopg.connect(pg15.url(), autocommit=True) as admin:
        admin.execute("drop role guarded")
        admin.execute("drop role need_password")


@pytest.mark.parametrize("version", ["own_pg15", "own_pg18"])
def test_a_standby_follows(version: str, request: pytest.FixtureRequest) -> None:
    primary: Postgres = request.getfixturevalue(version)
    with Standby(primary) as standby:
        with psycopg.connect(primary.url()) as connection:
            connection.execute("create table seen (n int)")
        eventually(standby.caught_up)
        with psycopg.connect(standby.url()) as connection:
            assert connection.execute("select count(*), pg_is_in_recovery() from seen").fetchone() == (
                0,
                True,
            )
        standby.promote()
        with psycopg.connect(standby.url()) as connection:
            connection.execute("insert into seen values (1)")


def test_pgbouncer_lets_any_user_in(bouncer15: PgBouncer, database: Database) -> None:
    url = bouncer15.url(database.name, database.reader)
    with psycopg.connect(url, prepare_threshold=None) as reader:
        assert reader.execute("select current_user::text").fetchone() == (database.reader,)


def test_redis_with_acl_and_tls() -> None:
    with RedisServer(password="open", users={"watch": "on >sesame ~* +@all"}, tls=True) as server:
        assert server.certificates
        authority = str(server.certificates.ca)
        url = server.url_as("watch", "sesame")
        with redis.Redis.from_url(url, ssl_ca_certs=authority) as client:
            assert client.execute_command("ACL", "WHOAMI") == b"watch"
        with (
            redis.Redis.from_url(server.url_as("watch", "guess"), ssl_ca_certs=authority) as client,
            pytest.raises(redis.AuthenticationError),
        ):
            client.ping()


def test_sentinel_fails_over() -> None:
    with Sentinel() as group:
        with group.master.client() as client:
            client.set("a", "1")
            client.wait(1, 1000)
        group.failover()
        assert group.master_port() == group.replicas[0].port
        with group.replicas[0].client() as client:
            assert client.get("a") == "1"


def test_cluster_spreads_keys() -> None:
    with Cluster() as cluster:
        client = cluster.client()
        for number in range(30):
            client.set(f"key{number}", number)
        assert all(node.client().dbsize() > 0 for node in cluster.nodes)
        client.close()


def _select(server: Server) -> None:
    assert isinstance(server, Postgres)
    with psycopg.connect(server.url(), connect_timeout=2, tcp_user_timeout=1000) as connection:
        connection.execute("select 1")


def _ping(server: Server) -> None:
    assert isinstance(server, RedisServer | Valkey)
    with server.client() as client:
        client.ping()


@pytest.mark.parametrize(
    ("kind", "use", "failure"),
    [
        ("own_pg15", _select, psycopg.OperationalError),
        ("own_pg18", _select, psycopg.OperationalError),
        ("own_redis", _ping, redis.RedisError),
    ],
)
def test_stop_kill_freeze_and_back_on_the_same_port(
    kind: str, use: Callable[[Server], None], failure: type[Exception], request: pytest.FixtureRequest
) -> None:
    server: Server = request.getfixturevalue(kind)
    port = server.port
    for end in (server.stop, server.kill):
        pid = server.pid
        end()
        assert not psutil.pid_exists(pid)
        with pytest.raises(failure):
            use(server)
        server.start()
        use(server)
    server.freeze()
    with pytest.raises(failure):
        use(server)
    server.thaw()
    use(server)
    assert server.port == port


def test_a_missing_program_is_named() -> None:
    with pytest.raises(ServerError, match="not-a-redis is missing: install the package"):
        RedisServerWithoutBinary().__enter__()


class RedisServerWithoutBinary(RedisServer):
    def __init__(self) -> None:
        super().__init__()
        self.binary = "not-a-redis"


_PARENT = """
import sys
from demo.servers import Postgres, Valkey
with Postgres() as postgres, Valkey() as valkey:
    if "frozen" in sys.argv:
        postgres.freeze()
    print(postgres.pid, valkey.pid, postgres.folder, valkey.folder, flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("how", ["running", "frozen"])
def test_nothing_outlives_a_killed_parent(how: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT, how], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout
        postgres, valkey, *folders = parent.stdout.readline().split()
        family = [
            psutil.Process(int(postgres)),
            *psutil.Process(int(postgres)).children(recursive=True),
            psutil.Process(int(valkey)),
        ]
        assert len(family) > 3, "PostgreSQL has children of its own"
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        eventually(lambda: not any(process.is_running() for process in family))
        eventually(lambda: not any(Path(folder).exists() for folder in folders))


def test_nothing_outlives_a_killed_tether() -> None:
    with Valkey() as valkey:
        server = psutil.Process(valkey.pid)
        tether = server.parent()
        assert tether
        tether.kill()
        eventually(lambda: not server.is_running())


def test_programs_out_of_nobodys_reach_are_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("demo.wheels.open_to_all", lambda path: False)
    with Postgres() as server:
        assert server.binaries
        assert server.binaries.is_relative_to(server.folder) is (os.geteuid() == 0)
        _select(server)
