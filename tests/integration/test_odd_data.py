"""Strange content, steps of the clock, and a daemon's own beginnings and ends."""

import signal
import socket
import time
from pathlib import Path

import psycopg
import pytest
import redis
import yaml

from demo.servers import Postgres
from tests.support.databases import Database, cached_template, create_database
from tests.support.exporter import Daemon, Exporter, command, config, source, start
from tests.support.jobs import add, change, element, queues
from tests.support.servers import Postgres15, RedisServer, free_port
from tests.support.wait import eventually

NAMES = [
    'say "hello"', "it's", "two\nlines", "tab\tand \\ backslash", "postbote 📮", "{curly} %(s)s %s", "", "Ünïcode",
    "a" * 100, "queue:", ":high", "x:high:low", "\\n",
]  # fmt: skip


@pytest.mark.parametrize("database", ["penguinmails@15"], indirect=True)
def test_names_of_all_kinds(database: Database, role: str, store: "redis.Redis", redis_server: RedisServer) -> None:
    with database.connect() as owner, Exporter(config(source(role, redis_server.url))) as exporter:
        for name in NAMES:
            queues(owner, name)
            (job,) = add(owner, queue_name=name, status="migrated_to_redis", worker_id=name)
            store.lpush(f"queue:{name}", element(job))
        samples = exporter.look("counts", "workers", "failed", "drift")
        depths = samples.series("postwatch_queue_depth")
        assert sum(value for _, value in depths) == len(NAMES)
        for name in ('say "hello"', "it's", "two\nlines", "postbote 📮", "a" * 100, "{curly} %(s)s %s"):
            assert samples.get("postwatch_queue_depth", queue=name) == 1, name
            assert samples.get("postwatch_queue_redis_length", queue=name) == 1, name
        assert not any(line["level"] == "warning" for line in exporter.log), exporter.log


@pytest.mark.parametrize("database", ["penguinmails@15"], indirect=True)
def test_keys_of_another_type(database: Database, role: str, store: "redis.Redis", redis_server: RedisServer) -> None:
    with database.connect() as owner, Exporter(config(source(role, redis_server.url))) as exporter:
        queues(owner, "good", "bad")
        (job,) = add(owner, queue_name="good", status="migrated_to_redis", worker_id="w1")
        store.set("queue:bad", "no list")
        store.lpush("queue:good", element(job))
        store.set("deadletter:queue", "no list")
        store.set("workers:active", "no list")
        store.set("worker:w1", "no hash")
        store.set(f"job:{job}", "no hash")
        for _ in range(3):
            samples = exporter.look("counts", "workers", "drift")
        assert samples.queue("redis_length", "good") == 1
        assert samples.queue("redis_length", "bad") is None
        assert samples.queue("depth", "bad") == 0
        assert samples.queue("drift_jobs", "good", kind="missing_in_redis") == 0
        assert not samples.series("postwatch_queue_dead_letters")
        warnings = [line for line in exporter.log if line["log_level"] == "warning"]
        assert [(line["event"], line["list"]) for line in warnings] == [("redis_list_unreadable", "queue:bad")]
        store.delete("queue:bad")
        assert exporter.look("workers").queue("redis_length", "bad") == 0
        assert len(exporter.logged("redis_list_readable")) == 1


@pytest.mark.parametrize("database", ["penguinmails@15"], indirect=True)
def test_a_list_of_a_million_elements(database: Database, role: str, own_redis: RedisServer) -> None:
    with own_redis.client() as client, database.connect() as owner:
        queues(owner, "huge")
        client.eval("for i = 1, 250 do local t = {} for j = 1, 4000 do t[j] = tostring(i * 4000 + j) end "
                    "redis.call('lpush', 'queue:huge', unpack(t)) end", 0)  # fmt: skip
        client.config_resetstat()
        client.slowlog_reset()
        with Exporter(config(source(role, own_redis.url))) as exporter:
            began = time.monotonic()
            samples = exporter.look("counts", "workers", "drift")
            assert time.monotonic() - began < 2
            assert samples.queue("redis_length", "huge") == 1_000_000
            assert samples.queue("drift_checked_jobs", "huge", kind="missing_in_postgres") == 1_000
            slowest = max(entry["duration"] for entry in client.slowlog_get(128) or [{"duration": 0}])
            assert slowest < 50_000, "microseconds"
            stats = client.info("commandstats")
            assert "cmdstat_keys" not in stats
            assert "cmdstat_scan" not in stats


@pytest.mark.parametrize("seconds", [-600, 600])
@pytest.mark.parametrize("database", ["penguinmails@15"], indirect=True)
def test_our_own_clock_is_set(database: Database, role: str, seconds: float) -> None:
    with database.connect() as owner, Exporter(config(source(role))) as exporter:
        queues(owner, "email-sending")
        ids = add(owner, queue_name="email-sending", status="running", count=20, started=-5, attempt_count=1)
        exporter.look()
        for position in range(0, 20, 5):
            change(owner, ids[position : position + 5], status="completed", completed=0, updated=0)
            if position == 10:
                exporter.clock.offset += seconds
            samples = exporter.look()
        assert samples.queue("jobs_finished_total", "email-sending", outcome="completed") == 20
        assert samples.queue("depth", "email-sending") == 0
        assert samples.queue("jobs", "email-sending", state="active") == 0
        assert not [line for line in exporter.log if line["log_level"] != "info"]


def test_everything_absent_at_the_start(tmp_path: Path) -> None:
    with Postgres15(template=cached_template(Postgres15)) as server:
        database = create_database(server)
        server.stop()
        place = RedisServer(port=free_port())
        given = config(
            source(database.reader_url, place.url, failed={"interval": "1s"}, drift={"interval": "1s"}),
            source("postgresql://nobody@no-such-host.invalid/db", name="lost"),
            timeout="1s",
        )
        with Daemon(tmp_path, given) as daemon:
            daemon.until_up(0, "changes", "counts", "failed", "workers", "drift")
            samples = daemon.until("postwatch_sampler_up", 0, sampler="changes", source="lost")
            assert not samples.series("postwatch_queue_depth")
            assert daemon.get("/healthz").status_code == 200
            assert daemon.get("/health").status_code == 503
            server.start()
            with place:
                daemon.until_up(1, "changes", "counts", "failed", "workers", "drift")
                failures = [(line["source"], line["reason"]) for line in daemon.logged("sampler_failed")]
                # Two stores of one source are two causes.
                assert sorted(failures) == [("lost", "resolve"), ("mail", "refused"), ("mail", "refused")]
                assert daemon.stop() == 0


def test_sigterm_while_all_is_frozen(tmp_path: Path, own_pg15: Postgres, own_redis: RedisServer) -> None:
    database = create_database(own_pg15)
    with Daemon(tmp_path, config(source(database.reader_url, own_redis.url), timeout="1s")) as daemon:
        daemon.until_up(1, "changes", "counts", "workers")
        own_pg15.freeze()
        own_redis.freeze()
        daemon.until_up(0, "changes", "workers")
        began = time.monotonic()
        assert daemon.stop() == 0
        assert time.monotonic() - began < 10
        own_pg15.thaw()
        own_redis.thaw()
        assert {line["level"] for line in daemon.log()} == {"info", "warning"}, "no traceback of what was given up"
        assert daemon.errors == ""


@pytest.mark.parametrize("database", ["penguinmails@15"], indirect=True)
def test_a_reload_is_whole_or_nothing(database: Database, role: str, tmp_path: Path) -> None:
    with database.connect() as owner:
        queues(owner, "email-sending")
        add(owner, queue_name="email-sending", status="queued", count=3)
        with Daemon(tmp_path, config(source(role))) as daemon:
            daemon.until("postwatch_queue_depth", 3, queue="email-sending")
            add(owner, queue_name="email-sending", status="queued")
            daemon.until("postwatch_queue_jobs_enqueued_total", 1, queue="email-sending")
            bad = config(source(role), source(role))
            bad["web"]["port"] = 1
            daemon.write(bad)
            samples = daemon.until("postwatch_config_last_reload_successful", 0)
            (refused,) = eventually(lambda: daemon.logged("configuration refused; the earlier one stays"))
            assert len(refused["mistakes"]) == 2, refused
            assert samples.get("postwatch_queue_depth", queue="email-sending") == 4
            good = config(source(role, targets={"queue:email-sending": {"target": "7m"}}), source(role, name="second"))
            daemon.write(good)
            samples = daemon.until("postwatch_queue_target_seconds", 420, queue="email-sending", source="mail")
            samples = daemon.until("postwatch_queue_depth", 4, queue="email-sending", source="second")
            daemon.until("postwatch_config_last_reload_successful", 1)
            assert samples.get("postwatch_queue_jobs_enqueued_total", source="mail", queue="email-sending") == 1
            daemon.write(config(source(role, name="second")))
            daemon.until("postwatch_queue_depth", None, queue="email-sending", source="mail")
            samples = daemon.samples()
            assert not [name for name in samples.names if samples.series(name, source="mail")]
            before = samples.value("postwatch_config_last_reload_timestamp_seconds")
            daemon.signal(signal.SIGHUP)

            def reloaded() -> bool:
                found = daemon.samples().value("postwatch_config_last_reload_timestamp_seconds")
                return found > before

            eventually(reloaded)
            with psycopg.connect(database.server.url()) as admin:
                eventually(
                    lambda: (
                        admin.execute(
                            "select count(*) <= 2 from pg_stat_activity where application_name = 'postwatch'"
                            " and datname = %s",
                            [database.name],
                        ).fetchone()
                        == (True,)
                    )
                )
            assert daemon.stop() == 0
            assert daemon.errors == ""


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        path = tmp_path / "exporter.yml"
        path.write_text(yaml.safe_dump({"web": {"listen": address}}))
        done = start("--config", str(path))
    assert done.returncode == 1
    assert address in done.stderr
    assert "Traceback" not in done.stderr + done.stdout


TEN_MISTAKES = """
web: {listen: nowhere, tls: {}}
log: {level: loud}
defaults: {interval: fast, budget: 200%, labels: {env: prod}}
queues:
  - name: mail
    kind: hybrid
    schema: {preset: bsaic}
    workers: {expected: many}
    targets: {"queue:a": {target: soon}}
  - {name: "no good", kind: hybrid, postgres: "postgresql://u:secret-word@h/db", max_queues: 0, quees: 1}
"""


def test_ten_mistakes_at_once(tmp_path: Path) -> None:
    path = tmp_path / "exporter.yml"
    path.write_text(TEN_MISTAKES)
    for done in (start("--config", str(path)), command("check", "--config", str(path))):
        assert done.returncode == 2
        told = done.stderr
        for place in (
            "web.listen", "web.tls", "log.level", "defaults.interval", "defaults.budget", "defaults.labels",
            "queues[0].postgres", "queues[0].schema", "queues[0].workers.expected", "queues[0].targets.queue:a.target",
            "queues[1].name", "queues[1].max_queues", "queues[1].quees",
        ):  # fmt: skip
            assert place in told, told
        assert "'fast' is no duration" in told
        assert "secret-word" not in told
        assert "Traceback" not in told
