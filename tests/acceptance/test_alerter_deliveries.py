"""What a person does about messages by the command line: try, list, play again; and what the runbook tells."""

import getpass
import os
import pwd
import re
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from alerter.commands import deliveries
from demo.providers import Fault, PagerDuty, Slack
from tests.support.alerter import Alerter, alert, command, write
from tests.support.booked import World, firing, over
from tests.support.documents import REPOSITORY, blocks
from tests.support.wait import eventually

RUNBOOK = REPOSITORY / "docs" / "runbooks" / "alerter-says.md"


# Messages


def test_render_shows_what_would_be_said() -> None:
    example = REPOSITORY / "docs" / "alerter.example.yml"
    done = command("render", "ops-mail", "--config", example, "--alert", "severity=critical,service=smtp,queue=email")
    assert done.returncode == 0
    assert "CRITICAL" in done.stdout
    assert "queue email" in done.stdout


def test_render_shows_an_sms_as_it_is_sent() -> None:
    example = REPOSITORY / "docs" / "alerter.example.yml"
    done = command("render", "oncall-sms", "--config", example, "--alert", "severity=critical,service=smtp,queue=email")
    assert re.fullmatch(r"CRITICAL: smtp: An example \(queue email\) since \d\d:\d\d UTC\n+", done.stdout)


@pytest.mark.parametrize(
    ("template", "code", "told"), [("{{ severity }}!", 0, "critical!"), ("{{ 1 / 0 }}", 1, "failed")]
)
def test_render_tries_a_template(tmp_path: Path, template: str, code: int, told: str) -> None:
    sms = {"name": "sms", "kind": "sms", "account_sid": "AC" + "0" * 32, "auth_token": "s", "from": "+15005550006",
           "to": ["+15005550009"], "templates": {"text": template}}  # fmt: skip
    file = write(tmp_path, {"receivers": [sms], "default": {"receivers": ["sms"]}})
    done = command("render", "sms", "--config", file, "--alert", "severity=critical")
    assert (done.returncode, told in done.stdout) == (code, True), done.stdout


def send_test(folder: Path) -> subprocess.CompletedProcess[str]:
    """To `oncall`, in a process of its own: it sets up logs as the daemon does."""
    words = [sys.executable, "-m", "alerter", "send-test", "oncall", "--config", str(folder / "alerter.yml")]
    return subprocess.run(words, text=True, capture_output=True, env={**os.environ, "COLUMNS": "200"})


def test_send_test_sends_a_marked_message_and_its_end(tmp_path: Path) -> None:
    with PagerDuty() as provider:
        oncall = {"name": "oncall", "kind": "pagerduty", "url": provider.url, "routing_key_file": "key"}
        write(tmp_path, {"receivers": [oncall], "default": {"receivers": ["oncall"]}})
        (tmp_path / "key").write_text(provider.routing_key)
        done = send_test(tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert "accepted by oncall (pagerduty)" in done.stdout
        assert [event["event_action"] for event in provider.events] == ["trigger", "resolve"]
        assert provider.events[0]["payload"]["summary"].startswith("TEST")
        assert not provider.open
        (tmp_path / "key").write_text("f" * 32)
        done = send_test(tmp_path)
        assert done.returncode == 1
        assert "failed (auth)" in done.stdout
        assert "f" * 32 not in done.stdout + done.stderr


# Deliveries


@pytest.fixture
def slack() -> Iterator[Slack]:
    with Slack(rate=100) as provider:
        yield provider


def test_dead_letters_are_listed_and_played_again(slack: Slack, tmp_path: Path) -> None:
    ops = {"name": "ops", "kind": "slack", "url": slack.url, "token": slack.token, "channel": "#ops-alerts"}
    given = {"receivers": [{**ops, "rate": "50/s"}], "default": {"receivers": ["ops"]}}
    with Alerter(tmp_path, given) as alerter:
        slack.inject(Fault.status(200, {"ok": False, "error": "is_archived"}))
        alerter.send(alert("Backlog", queue="email"))
        eventually(lambda: alerter.value("postwatch_alerter_dead_letters", receiver="ops") == 1, within=20)

        def shown(*words: str) -> list[str]:
            done = command("list", "--config", alerter.path, *words)
            assert done.returncode == 0, done.stderr
            return done.stdout.splitlines()[1:]

        (line,) = shown("--state", "dead")
        assert re.match(r" *1 +ops +trigger +dead +1 +\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ +Backlog is unwell", line)
        assert "is_archived" in line
        assert shown("--state", "accepted") == shown("--receiver", "bus") == []

        nothing = command("retry", "--config", alerter.path, "99")
        assert (nothing.returncode, nothing.stdout) == (1, "retried 0 of 1 deliveries; the daemon sends them\n")
        done = command("retry", "--config", alerter.path, "--all", "--receiver", "ops")
        assert (done.returncode, done.stdout) == (0, "retried 1 of 1 deliveries; the daemon sends them\n")
        eventually(lambda: slack.posts, within=20)
        eventually(lambda: shown("--state", "accepted"), within=20)
        assert [entry[1:] for entry in alerter.audit()] == [("replayed", "deliveries 1")]
        assert shown("--limit", "1")[0].split()[3] == "accepted"


def test_a_terminal_is_told_nothing_by_an_alert(tmp_path: Path) -> None:
    world = World(f"sqlite:///{tmp_path / 'alerter.db'}")
    world.hear(replace(firing(), annotations={"summary": "\x1b]0;hello\x07it \u202egrows\x9b2J"}))
    world.store.close()
    done = command("list", "--config", write(tmp_path, {}))
    assert "grows" in done.stdout
    assert not set(done.stdout) & {"\x1b", "\x07", "\x9b", "\u202e"}


def test_very_many_dead_letters_are_played_again_at_once(tmp_path: Path) -> None:
    """Those of an alert that has ended are not, unless it is critical."""
    many = 12_000
    world = World(f"sqlite:///{tmp_path / 'alerter.db'}")
    world.hear(firing("fires", "warning"), firing("ended", "warning"))
    assert len(world.claim("ops")) == 2
    world.hear(over(firing("ended", "warning")))
    world.store.close()
    with closing(sqlite3.connect(tmp_path / "alerter.db")) as connection, connection:
        columns = ", ".join(row[1] for row in connection.execute("PRAGMA table_info(outbox)") if row[1] != "id")
        connection.execute("UPDATE outbox SET state = 'dead', finished_at = 1, lease_until = NULL")
        connection.execute(
            f"INSERT INTO outbox ({columns})"
            f" WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT {many})"
            f" SELECT {columns} FROM outbox, n WHERE outbox.id <= 2 AND outbox.id = 1 + n.i % 2"
        )
    file = write(tmp_path, {})
    asked: list[None] = []

    def count(*_given: object) -> None:
        asked.append(None)

    sa.event.listen(sa.Engine, "before_cursor_execute", count)
    try:
        done = command("retry", "--config", file, "--all")
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", count)
    # The daemon waits for the store meanwhile, and who sends to it: five seconds at most.
    assert len(asked) < many / 50
    assert (done.returncode, done.stdout) == (
        0, f"retried {many // 2 + 2} of {many + 3} deliveries; the daemon sends them\n",
    )  # fmt: skip
    with closing(sqlite3.connect(tmp_path / "alerter.db")) as connection:
        found = connection.execute("SELECT episode_id, action, state, count(*) FROM outbox GROUP BY 1, 2, 3").fetchall()
        ((detail,),) = connection.execute("SELECT detail FROM audit")
    assert sorted(found) == [
        (1, "trigger", "pending", many // 2 + 1), (2, "resolve", "pending", 1),
        (2, "trigger", "superseded", many // 2 + 1),
    ]  # fmt: skip
    assert detail.startswith("deliveries 1, 2, 3, ")
    assert len(detail) < 1000


def test_who_played_them_again_is_known_in_a_container_without_users(monkeypatch: pytest.MonkeyPatch) -> None:
    assert deliveries._who() == getpass.getuser()
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)

    def unknown(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert deliveries._who() == f"uid {os.getuid()}"


@pytest.mark.parametrize("words", [("list",), ("retry", "1")])
def test_a_store_that_is_not_there_is_told_and_not_made(words: tuple[str, ...], tmp_path: Path) -> None:
    done = command(*words, "--config", write(tmp_path, {}))
    assert done.returncode == 1
    assert f"there is no {tmp_path / 'alerter.db'}; has the alerter run here with this file?" in done.stderr
    assert not (tmp_path / "alerter.db").exists()


@pytest.mark.parametrize(("given", "file"), [("storage: sqlite:///kept/it.db\n", "kept/it.db"), ("", "alerter.db")])
def test_a_relative_store_stands_beside_the_configuration(given: str, file: str, tmp_path: Path) -> None:
    (tmp_path / "alerter.yml").write_text(f"log: {{level: info}}\n{given}")
    assert f"there is no {tmp_path / file}; has the" in command("list", "--config", tmp_path / "alerter.yml").stderr


def test_a_storage_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    file = tmp_path / "alerter.yml"
    file.write_text("storage_file: nowhere\n")
    done = command("list", "--config", file)
    assert done.returncode == 1
    assert done.stderr == f"postwatch-alerter: {tmp_path / 'nowhere'}: No such file or directory\n"


# Mail that tells of itself

MAIL = {"name": "mail", "kind": "email", "smarthost": "smtp-1.example.net:587", "from": "a@example.net",
        "to": ["b@example.net"]}  # fmt: skip
BUS = {"name": "bus", "kind": "webhook", "url": "https://h.example.net", "secret": "s"}
DOWN = "if smtp-1.example.net is down, that would be told through smtp-1.example.net alone"


@pytest.mark.parametrize(
    ("settings", "noted"),
    [
        ({"default": {"receivers": ["mail"]}}, True),
        ({"default": {"receivers": ["mail", "bus"]}}, False),
        ({"default": {"receivers": ["mail"], "fallback": {"receivers": ["bus"]}}}, False),
        ({"default": {"receivers": ["mail"], "escalate": {"receivers": ["bus"]}}}, False),
        ({"default": {"receivers": []}}, False),
        ({"default": {"receivers": ["bus"]},
          "routes": [{"match": ['severity="warning"'], "receivers": ["mail"]}]}, True),
        ({"default": {"receivers": ["bus"]}, "routes": [{"match": ['service="smtp-1"'], "receivers": ["mail"]}]}, True),
        ({"default": {"receivers": ["mail"]}, "routes": [{"match": ['kind="smtp"'], "receivers": ["bus"]}]}, False),
    ],
)  # fmt: skip
def test_an_outage_of_mail_is_not_to_be_told_by_mail_alone(
    settings: dict[str, Any], noted: bool, tmp_path: Path
) -> None:
    done = command("check", "--config", write(tmp_path, {"receivers": [MAIL, BUS], **settings}))
    assert done.returncode == 0
    assert (DOWN in done.stdout) is noted


# The runbook


def test_the_commands_of_the_runbook_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with PagerDuty(rate=10_000) as provider:
        oncall = {"name": "oncall", "kind": "pagerduty", "url": provider.url, "routing_key": provider.routing_key}
        with Alerter(tmp_path, {"receivers": [oncall], "default": {"receivers": ["oncall"]}}) as alerter:
            monkeypatch.chdir(tmp_path)
            provider.inject(Fault.status(400))
            alerter.send(alert("Backlog"))
            eventually(lambda: alerter.value("postwatch_alerter_dead_letters", receiver="oncall") == 1, within=20)
            lines = [line for block in blocks(RUNBOOK, "sh") for line in block.text.splitlines()]
            for line in dict.fromkeys(lines):
                program, *words = shlex.split(line)
                done = send_test(tmp_path) if words[0] == "send-test" else command(*words)
                assert (program, done.returncode, done.stderr) == ("postwatch-alerter", 0, ""), f"{line}\n{done}"
            eventually(lambda: "Backlog" in str([each.summary for each in provider.incidents]), within=20)
