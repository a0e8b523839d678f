"""What the documents tell to do is done here, word for word, against real servers."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
import pytest
import redis
import redis.exceptions
import yaml

from demo.process import free_port
from tests.helm.chart import render
from tests.support.databases import Database
from tests.support.documents import DOCUMENTS, REPOSITORY, Block, blocks, prose
from tests.support.servers import RedisServer
from tests.support.wait import eventually

README = REPOSITORY / "README.md"
CONFIGURATION = REPOSITORY / "docs" / "configuration.md"
ALERTER = REPOSITORY / "docs" / "alerter.example.yml"
YAML = [block for document in DOCUMENTS for block in blocks(document, "yaml")]
BIN = Path(sys.executable).parent
ENVIRONMENT = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}


def marked(mark: str, language: str) -> str:
    """All blocks of the README that are marked so, in order."""
    found = [block.text for block in blocks(README, language) if block.mark == mark]
    assert found, f"the README has no {language} marked {mark}"
    return "".join(found)


@dataclass(frozen=True)
class QuickStart:
    """The README's "Your own queues", on servers of the test's own: only ports and names are put in."""

    folder: Path
    port: int
    database: Database
    redis_url: str

    def here(self, text: str) -> str:
        places = {
            "127.0.0.1:5432/mail": f"127.0.0.1:{self.database.server.port}/{self.database.name}",
            "redis://127.0.0.1:6379/0": self.redis_url,
            "127.0.0.1:9797": f"127.0.0.1:{self.port}",
        }
        for there, here in places.items():
            text = text.replace(there, here)
        return text

    def shell(self, script: str) -> list[str]:
        return ["sh", "-euc", self.here(script)]


@pytest.fixture
def quick_start(
    database: Database, store: redis.Redis, redis_server: RedisServer, tmp_path: Path
) -> Iterator[QuickStart]:
    start = QuickStart(tmp_path, free_port(), database, redis_server.url)
    with database.connect() as owner:
        owner.execute(marked("run", "sql").encode())
        owner.execute("insert into job_queues (name) values ('email-sending')")
        owner.execute(
            "insert into jobs (queue_name, priority, payload)"
            " select 'email-sending', 10, '{}' from generate_series(1, 17)"
        )
    (tmp_path / "postwatch.yml").write_text(start.here(marked("postwatch.yml", "yaml")))
    yield start
    with database.connect() as owner:
        owner.execute("drop owned by postwatch")
        owner.execute("drop role postwatch")


def test_the_quick_start_shows_the_queues_before_anything_is_left_running(quick_start: QuickStart) -> None:
    done = subprocess.run(
        quick_start.shell(marked("run", "sh")),
        cwd=quick_start.folder,
        env=ENVIRONMENT,
        text=True,
        capture_output=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "email-sending" in done.stdout
    assert "17" in done.stdout
    assert "Traceback" not in done.stderr


def test_the_quick_start_serves_until_it_is_told_to_end(quick_start: QuickStart) -> None:
    exports = "".join(line for line in marked("run", "sh").splitlines(True) if line.startswith("export "))
    serving = subprocess.Popen(
        quick_start.shell(f"{exports} exec {marked('serve', 'sh')}"),
        cwd=quick_start.folder,
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{quick_start.port}"

    def depth() -> bool:
        assert serving.poll() is None, "it ended by itself"
        try:
            metrics = httpx.get(f"{address}/metrics").text
        except httpx.TransportError:
            return False
        return bool(re.search(r'^postwatch_queue_depth\{.*priority="high".*\} 17(\.0)?$', metrics, re.M))

    try:
        eventually(depth, within=20)
        assert httpx.get(f"{address}/").status_code == 200
        with psycopg.connect(quick_start.database.server.url()) as admin:
            rows = admin.execute("select usename from pg_stat_activity where application_name = 'postwatch'").fetchall()
        assert 1 <= len(rows) <= 2
        assert set(rows) == {("postwatch",)}
        serving.send_signal(signal.SIGTERM)
        assert serving.wait(timeout=15) == 0
    finally:
        serving.kill()
        serving.wait()


@pytest.mark.parametrize("block", YAML, ids=str)
def test_every_piece_of_configuration_is_accepted(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "file.yml"
    file.write_text(block.text)
    keys = yaml.safe_load(block.text).keys()
    if block.document.name == "kubernetes.md":
        assert render(file)
        return
    command: list[str | Path] = [BIN / "postwatch-exporter", "check", "--config", file]
    if "scrape_configs" in keys:
        command = ["/usr/bin/promtool", "check", "config", file]
    elif "receivers" in keys:
        command = [BIN / "postwatch-alerter", "check", "--config", file]
    elif "cases" in keys:
        command = [BIN / "postwatch-alerter", "routes", "--config", ALERTER, "--cases", file]
    urls = {
        "MAIL_DATABASE_URL": "postgresql://db.example.org/mail",
        "MAIL_REDIS_URL": "redis://cache.example.org",
        "HOOKS_DATABASE_URL": "postgresql://db.example.org/hooks",
        "FLOWS_DATABASE_URL": "postgresql://db.example.org/flows",
    }
    done = subprocess.run(command, env={**ENVIRONMENT, **urls}, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr


def told(document: Path) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Each of our commands that a document names: program, subcommand, options."""
    shell = [line for block in blocks(document, "sh") for line in block.text.splitlines()]
    # Whatever kubectl does without running a command, it does to an object of that name.
    shell = [line for line in shell if not line.startswith("kubectl ") or " -- " in line]
    rows = [line for line in prose(document).splitlines() if line.startswith("| `postwatch-")]
    spans = re.findall(r"`(postwatch-[^`]+)`", prose(document))
    for text in [*shell, *rows, *spans]:
        if words := re.search(r"\b(postwatch-(?:exporter|alerter|demo))\b(?: \[?([a-z]+(?:-[a-z]+)?)\]?)?", text):
            yield words[1], words[2] or "", tuple(sorted(set(re.findall(r"--[a-z-]+", text))))


@pytest.mark.parametrize(
    ("program", "subcommand", "options"),
    sorted({command for document in DOCUMENTS for command in told(document)}),
)
def test_every_command_and_option_that_is_named_exists(program: str, subcommand: str, options: tuple[str, ...]) -> None:
    command: list[str | Path] = [BIN / program, *([subcommand] if subcommand else []), "--help"]
    done = subprocess.run(command, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert not {option for option in options if option not in done.stdout}


def test_every_metric_that_the_readme_names_is_in_the_catalogue() -> None:
    catalogue = subprocess.run([BIN / "postwatch-exporter", "metrics"], text=True, capture_output=True)
    assert catalogue.returncode == 0, catalogue.stderr
    named = set(re.findall(r"postwatch_[a-z_]+", README.read_text()))
    assert named
    assert {name for name in named if name not in catalogue.stdout} == set()


def test_the_rights_that_are_told_for_redis_are_enough_and_no_more(
    quick_start: QuickStart, own_redis: RedisServer, tmp_path: Path
) -> None:
    told = [block.text for block in blocks(CONFIGURATION) if block.text.startswith("ACL SETUSER")]
    (command,) = (line for text in told for line in text.splitlines())
    with own_redis.client() as client:
        client.execute_command(*command.split())
        client.lpush("queue:email-sending:high", "1")
        client.sadd("workers:active", "w1")
        client.hset("worker:w1", "last_heartbeat", "1")
    user, password = command.split()[2], next(word[1:] for word in command.split() if word.startswith(">"))
    url = own_redis.url_as(user, password)
    limited = QuickStart(tmp_path, quick_start.port, quick_start.database, url)
    done = subprocess.run(
        limited.shell(marked("run", "sh")), cwd=tmp_path, env=ENVIRONMENT, text=True, capture_output=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "may not" not in done.stdout
    with redis.Redis.from_url(url) as stranger, pytest.raises(redis.exceptions.NoPermissionError):
        stranger.delete("queue:email-sending:high")
