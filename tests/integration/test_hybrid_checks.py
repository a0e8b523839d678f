"""`check --connect` of a hybrid queue: rights, tables, indexes and states, each lack with its remedy."""

from pathlib import Path
from typing import Any

import pytest
import redis
import yaml

from tests.support.databases import Database
from tests.support.exporter import Exporter, command, config, source
from tests.support.jobs import Owner, add
from tests.support.servers import RedisServer


def check(folder: Path, *sources: dict[str, Any]) -> tuple[int, str]:
    path = folder / "exporter.yml"
    path.write_text(yaml.safe_dump(config(*sources)))
    done = command("check", "--connect", "--config", str(path))
    assert "Traceback" not in done.stderr + done.stdout, done.stderr
    return done.returncode, done.stdout


@pytest.mark.parametrize("database", ["penguinmails@15", "penguinmails@18"], indirect=True)
def test_least_rights_are_enough(
    database: Database, role: str, tmp_path: Path, redis_server: RedisServer, store: "redis.Redis"
) -> None:
    code, told = check(tmp_path, source(role, redis_server.url))
    assert code == 0, told
    assert "it can be sampled" in told
    assert "grant" not in told.lower()


@pytest.mark.parametrize("database", ["penguinmails@15"], indirect=True)
def test_missing_rights_are_named_with_their_remedy(
    database: Database, owner: Owner, role: str, tmp_path: Path
) -> None:
    owner.execute(f'revoke pg_monitor from "{database.reader}"'.encode())
    code, told = check(tmp_path, source(role))
    assert code == 0
    assert f"grant pg_monitor to {database.reader};" in told
    owner.execute(f'revoke select on jobs from "{database.reader}"'.encode())
    code, told = check(tmp_path, source(role))
    assert code == 1
    assert f"grant select on jobs to {database.reader};" in told
    with Exporter(config(source(role))) as exporter:
        outcome = exporter.run("counts")
        assert not outcome.up
        assert "check --connect" in outcome.error
    # The remedies work as they are printed.
    owner.execute(f"grant select on jobs to {database.reader}; grant pg_monitor to {database.reader};".encode())
    code, told = check(tmp_path, source(role))
    assert (code, "grant" in told) == (0, False)


@pytest.mark.parametrize("database", ["empty@15"], indirect=True)
def test_a_schema_that_may_not_be_used_is_named(database: Database, owner: Owner, role: str, tmp_path: Path) -> None:
    owner.execute("create schema app; create table app.jobs (id bigint, queue_name text, status text)")
    code, told = check(tmp_path, source(role, schema={"jobs": {"table": "app.jobs"}, "queues": None}))
    assert code == 1
    assert f"grant usage on schema app to {database.reader};" in told
    owner.execute(f"grant usage on schema app to {database.reader}".encode())
    code, told = check(tmp_path, source(role, schema={"jobs": {"table": "app.jobs"}, "queues": None}))
    assert code == 1
    assert f"grant select on app.jobs to {database.reader};" in told


@pytest.mark.parametrize("database", ["basic@15"], indirect=True)
def test_a_missing_index_and_missing_metrics_are_named(
    database: Database, owner: Owner, role: str, tmp_path: Path
) -> None:
    owner.execute("drop table job_logs")
    add(owner, queue="queue:email-sending", status="archived", count=3)
    owner.execute("analyze jobs")
    code, told = check(tmp_path, source(role, schema="basic"))
    assert code == 0
    remedy = "create index concurrently on jobs (status, updated_at);"
    assert remedy in told
    assert "postwatch_queue_job_duration_seconds" in told
    assert "job_logs" in told
    assert "'archived'" in told
    owner.execute(remedy.encode())
    code, told = check(tmp_path, source(role, schema="basic"))
    assert (code, "create index" in told) == (0, False)
