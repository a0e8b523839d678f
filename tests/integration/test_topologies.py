"""The same numbers through PgBouncer, from a standby, by Sentinel, from a Cluster, over TLS and as an ACL user."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
import redis
import yaml

from demo.servers import Postgres
from exporter.model import Reason
from tests.support.databases import Database, create_database, drop_database
from tests.support.exporter import Exporter, command, config, connections, source
from tests.support.jobs import add, element, queues
from tests.support.redis_groups import Cluster, Sentinel
from tests.support.samples import Samples
from tests.support.servers import PgBouncer, RedisServer, Standby
from tests.support.wait import eventually

Client = redis.Redis | redis.RedisCluster


def fill(database: Database, client: Client | None = None) -> list[str]:
    """Three jobs that wait in Redis, on lists of their own, and a worker."""
    jobs = []
    with database.connect() as owner:
        for name in ("one", "two", "three"):
            queues(owner, name)
            (job,) = add(owner, queue_name=name, status="migrated_to_redis")
            jobs.append(job)
            if client is not None:
                client.lpush(f"queue:{name}", element(job))
                client.hset(f"job:{job}", "status", "queued")
    if client is not None:
        client.sadd("workers:active", "w1")
        client.hset("worker:w1", mapping={"last_heartbeat": 4e9, "status": "active", "capacity": 4})
    return jobs


def holds(samples: Samples) -> None:
    lengths = samples.by("queue", "postwatch_queue_redis_length")
    assert lengths == {"one": 1, "two": 1, "three": 1}
    assert samples.by("queue", "postwatch_queue_depth") == lengths
    assert samples.by("state", "postwatch_workers")["active"] == 1
    for kind in ("missing_in_redis", "missing_in_postgres", "expired"):
        assert set(samples.by("queue", "postwatch_queue_drift_jobs", kind=kind).values()) == {0}
    assert set(samples.by("queue", "postwatch_queue_drift_checked_jobs", kind="expired").values()) == {1}


ALL = ("counts", "workers", "failed", "drift", "drift")


@pytest.mark.parametrize("database", ["penguinmails@15"], indirect=True)
def test_pgbouncer_in_transaction_mode(database: Database, pg15: Postgres) -> None:
    # One server connection for all: whatever relied on a session would be lost or met by others.
    with PgBouncer(pg15, settings={"default_pool_size": "1"}) as bouncer:
        fill(database)
        url = bouncer.url(database.name, database.reader)
        with Exporter(config(source(url))) as exporter, database.connect() as owner:
            exporter.look("counts", "changes", "failed")
            for finished in range(1, 6):
                add(owner, queue_name="one", status="completed", started=-1, completed=0)
                with psycopg.connect(url, prepare_threshold=None) as somebody:  # in the same server session
                    assert somebody.execute("show transaction_read_only").fetchone() == ("off",)
                    assert somebody.execute("show statement_timeout").fetchone() == ("0",)
                exporter.clock.monotonic_offset += 0.45
                samples = exporter.look("changes" if finished % 2 else "counts")
                assert samples.queue("jobs_finished_total", "one", outcome="completed") == finished
            assert samples.queue("depth", "one") == 1
            assert connections(database) <= 2
            # PgBouncer is restarted: one look fails, the next one works.
            bouncer.restart()
            exporter.run("counts")
            assert exporter.look("counts").queue("depth", "one") == 1


@pytest.mark.parametrize("version", ["own_pg15", "own_pg18"])
def test_a_standby_and_its_promotion(version: str, request: pytest.FixtureRequest) -> None:
    primary: Postgres = request.getfixturevalue(version)
    database = create_database(primary)
    fill(database)
    with Standby(primary) as standby:
        eventually(standby.caught_up)
        url = standby.url(database.name, database.reader)
        with Exporter(config(source(url))) as exporter, database.connect() as owner:
            assert exporter.look("counts", "changes", "failed").queue("depth", "one") == 1
            for finished in range(1, 4):
                add(owner, queue_name="one", status="completed", started=-1, completed=0, count=10)
                eventually(standby.caught_up)
                # What a standby shows is dated by its replay, so that a look may be one behind.
                finished_so_far(exporter, 10 * finished)
            assert not exporter.logged("reading_starts_afresh")
            standby.promote()
            with psycopg.connect(standby.url(database.name), autocommit=True) as owner_now:
                eventually(lambda: owner_now.execute("select not pg_is_in_recovery()").fetchone() == (True,))
                eventually(lambda: exporter.run("counts").up)
                (line,) = exporter.logged("reading_starts_afresh")
                assert (line["source"], line["reason"]) == ("mail", "failover or restore")
                add(owner_now, queue_name="one", status="completed", started=-1, completed=0, count=7)
                finished_so_far(exporter, 37)
            assert exporter.samples().queue("depth", "one") == 1
            assert len(exporter.logged("reading_starts_afresh")) == 1
    drop_database(database)


def finished_so_far(exporter: Exporter, expected: int) -> None:
    def reached() -> None:
        found = exporter.look().queue("jobs_finished_total", "one", outcome="completed")
        assert found == expected

    eventually(reached)
    reached()


@contextmanager
def sentinel_url(sentinel: Sentinel) -> Iterator[str]:
    hosts = ",".join(f"{host}:{port}" for host, port in sentinel.addresses)
    login = f":{sentinel.password}@" if sentinel.password else ""
    yield f"redis+sentinel://{login}{hosts}/{sentinel.name}"


@pytest.mark.parametrize("database", ["penguinmails@15"], indirect=True)
def test_sentinel_and_its_failover(database: Database, role: str) -> None:
    with Sentinel(replicas=1, sentinels=3, password="secret-word") as sentinel, sentinel_url(sentinel) as url:
        with sentinel.master.client() as client:
            fill(database, client)
            assert client.wait(1, 5000) == 1
        with Exporter(config(source(role, url), timeout="1s")) as exporter:
            holds(exporter.look(*ALL))
            sentinel.failover()
            # The first look may still meet the dead one.
            eventually(lambda: exporter.run("workers").up, within=20)
            holds(exporter.look(*ALL))
            assert len(exporter.logged("sampler_failed")) <= 1
            assert "secret-word" not in str(exporter.log)


@pytest.mark.parametrize("database", ["penguinmails@15"], indirect=True)
def test_cluster(database: Database, role: str) -> None:
    with Cluster() as cluster:
        with cluster.client() as client:
            fill(database, client)
            homes = {client.get_node_from_key(f"queue:{name}").port for name in ("one", "two", "three")}
            assert len(homes) > 1, "the lists lie on more than one node"
        hosts = ",".join(f"{host}:{port}" for host, port in cluster.addresses[:2])
        with Exporter(config(source(role, f"redis+cluster://{hosts}"), timeout="1s")) as exporter:
            holds(exporter.look(*ALL))
            gone = next(node for node in cluster.nodes if node.port in homes)
            gone.freeze()
            outcome = exporter.run("workers")
            assert not outcome.up
            assert outcome.failures[Reason.REFUSED] + outcome.failures[Reason.TIMEOUT] == 1, outcome.error
            gone.thaw()
            eventually(lambda: exporter.run("workers").up, within=20)
            holds(exporter.look(*ALL))


@pytest.mark.parametrize("database", ["penguinmails@15"], indirect=True)
def test_tls_and_an_acl_user(database: Database, role: str, tmp_path: Path) -> None:
    users = {"watch": "on >s3cret/word ~* -@all +@read +info +ping"}
    with RedisServer(password="another", users=users, tls=True) as server:
        assert server.certificates is not None
        with server.client() as client:
            fill(database, client)
        login = server.url_as("watch", quote("s3cret/word", safe=""))
        with Exporter(config(source(role, f"{login}?ssl_ca_certs={server.certificates.ca}"))) as exporter:
            holds(exporter.look(*ALL))
            assert not [line for line in exporter.log if line["log_level"] != "info"]
        path = tmp_path / "exporter.yml"
        for url, code, word in (
            (f"{login}?ssl_ca_certs={server.certificates.ca}", 0, "it can be sampled"),
            (login, 1, "certificate"),
            (login.replace("rediss", "redis"), 1, "fails"),
            (f"{login.replace('word', 'wrong')}?ssl_ca_certs={server.certificates.ca}", 1, "check the user"),
        ):
            path.write_text(yaml.safe_dump(config(source(role, url))))
            done = command("check", "--connect", "--config", str(path))
            assert (done.returncode, word in done.stdout) == (code, True), done.stdout + done.stderr
            assert "s3cret" not in done.stdout + done.stderr
            assert "Traceback" not in done.stdout + done.stderr
        with server.client() as client:
            client.execute_command("ACL SETUSER watch -hgetall -lindex")
        path.write_text(yaml.safe_dump(config(source(role, f"{login}?ssl_ca_certs={server.certificates.ca}"))))
        done = command("check", "--connect", "--config", str(path))
        assert "HGETALL" in done.stdout, done.stdout
        assert "ACL SETUSER" in done.stdout
