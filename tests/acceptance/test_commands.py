"""What somebody reads under stress: the commands in a terminal of 80 columns, and the page at `/`."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import redis
import yaml

from tests.support.databases import Database
from tests.support.exporter import Daemon, config, source
from tests.support.jobs import add, queues
from tests.support.servers import RedisServer

LONG = "bounce-classification-of-inbound-mail-by-region"
NAMES = ("email-sending", "<b>bold</b> & [red]", LONG)


def run(*arguments: str | Path, columns: int = 80) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "exporter", *arguments],
        env={**os.environ, "COLUMNS": str(columns)},
        text=True,
        capture_output=True,
    )


@pytest.fixture
def given(database: Database, store: redis.Redis, redis_server: RedisServer, tmp_path: Path) -> Path:
    """A configuration of one source with a queue of each colour."""
    with database.connect() as owner:
        queues(owner, *NAMES)
        queues(owner, "webhooks", is_active=False)
        add(owner, queue_name="email-sending", priority=10, count=1234, run_at=-7500, created=-7500)
        add(owner, queue_name="email-sending", priority=200, count=140)
        add(owner, queue_name="webhooks", count=12, status="migrated_to_redis")
    store.rpush("queue:webhooks", *range(12))
    file = tmp_path / "postwatch.yml"
    file.write_text(yaml.safe_dump(config(source(database.reader_url, redis_server.url))))
    return file


def rows(table: str) -> dict[str, list[str]]:
    return {cells[0]: cells[1:] for line in table.splitlines() if (cells := line.split())}


def test_a_table_fits_80_columns_and_leaves_nothing_out(given: Path) -> None:
    done = run("sample", "--config", given)
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "…" not in done.stdout
    told = rows(done.stdout)
    assert told["queue"] == ["waiting", "oldest", "active", "sched.", "failed", "Redis", "state"]
    assert told["email-sending:high"] == ["1,234", "2h", "0", "0", "0", "0", "critical"]
    assert told["email-sending:low"][-1] == "warning"
    assert told["webhooks"][2:] == ["0", "0", "0", "12", "paused"]
    assert "<b>bold</b> & [red]" in done.stdout
    wrapped = re.search(rf"^({LONG[:20]}\S*).*\n(\S+) *$", done.stdout, re.M)
    assert wrapped
    assert wrapped[1] + wrapped[2] == LONG


def test_a_wide_table_has_a_line_for_each_queue(given: Path) -> None:
    done = run("sample", "--config", given, columns=140)
    assert rows(done.stdout)[LONG][-1] == "healthy"
    assert "in Redis" in done.stdout


def test_what_cannot_be_read_is_unknown_not_healthy(given: Path) -> None:
    settings = yaml.safe_load(given.read_text())
    settings["queues"][0]["postgres"] = "postgresql://nobody:hunter2@127.0.0.1:1/mail"
    given.write_text(yaml.safe_dump(settings))
    done = run("sample", "--config", given)
    assert done.returncode == 1
    assert "healthy" not in done.stdout
    assert "its queues could not be counted" in done.stdout
    assert "check the address, and that the server runs" in " ".join(done.stderr.split())
    assert "check --connect --config" in done.stderr
    assert "hunter2" not in done.stdout + done.stderr


def test_check_names_every_right_that_is_missing_with_the_grant(given: Path, database: Database) -> None:
    with database.connect() as owner:
        owner.execute(f"revoke select on jobs, job_queues from {database.reader}".encode())
    done = run("check", "--connect", "--config", given)
    assert done.returncode == 1
    assert f"grant select on jobs to {database.reader};" in done.stdout
    assert f"grant select on job_queues to {database.reader};" in done.stdout
    assert "1 of 1 sources cannot be sampled as they are" in done.stdout


def test_a_secret_file_that_is_missing_is_told_not_thrown(given: Path) -> None:
    settings = yaml.safe_load(given.read_text())
    del settings["queues"][0]["postgres"]
    given.write_text(yaml.safe_dump({**settings, "queues": [{**settings["queues"][0], "postgres_file": "/no/such"}]}))
    done = run("check", "--connect", "--config", given)
    assert done.returncode == 1
    assert "/no/such: No such file" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("order", [("check", "--config"), ("--config",), ("-c",)])
def test_options_may_stand_before_the_command(given: Path, order: tuple[str, ...]) -> None:
    words = [*order, str(given)] if order[0] == "check" else [*order, str(given), "check"]
    done = run(*words)
    assert (done.returncode, done.stderr) == (0, "")


def test_each_command_explains_itself_within_80_columns() -> None:
    for command in ([], ["run"], ["check"], ["sample"], ["metrics"]):
        told = run(*command, "--help").stdout
        assert max(map(len, told.splitlines())) <= 80
        assert len(told) > 200


def test_a_file_without_sources_says_what_to_do(tmp_path: Path) -> None:
    empty = tmp_path / "postwatch.yml"
    empty.write_text("")
    for command in ("check", "sample"):
        done = run(command, "--config", empty)
        assert done.returncode == 0
        assert "name your sources under `queues`" in done.stdout + done.stderr


def test_the_page_tells_failures_first_and_escapes_what_it_shows(
    given: Path, tmp_path: Path, database: Database
) -> None:
    settings = yaml.safe_load(given.read_text())
    (mail,) = settings["queues"]
    broken = {**mail, "name": "broken", "postgres": mail["postgres"].replace(database.name, "nowhere", 1)}
    with Daemon(tmp_path, {**settings, "queues": [mail, broken]}) as daemon:
        daemon.until_up(1, "counts", "workers")
        daemon.until_up(0, "counts", source="broken")
        page = daemon.get("/").text
    assert page.index("samplers fail") < page.index('class="failure"') < page.index("<h2>mail (hybrid)</h2>")
    assert "&lt;b&gt;bold&lt;/b&gt; &amp; [red]" in page
    assert "<b>bold" not in page
    assert "<script" not in page
    assert re.search(r'email-sending:high<td class="n" data-of="waiting">1,234<td class="n" data-of="oldest">2h', page)
    assert re.search(r'webhooks<.*?<td class="state good">healthy <span class="paused">', page)
