"""The store on bad days: 503, and back by itself; or an end with a sentence that tells what to do."""

import resource
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from alerter import app
from alerter.settings import AlerterSettings
from alerter.store.engine import Store, StoreFailed
from chassis.clock import SystemClock
from chassis.lifecycle import ReloadState
from chassis.settings import parse
from demo.providers import Hook
from demo.servers import Postgres
from tests.support.alerter import Alerter, alert
from tests.support.databases import create_database
from tests.support.wait import eventually


@pytest.fixture
def hook() -> Iterator[Hook]:
    with Hook() as it:
        yield it


def told_by(hook: Hook) -> dict[str, Any]:
    """A configuration that tells it of everything."""
    receiver = {"name": "bus", "kind": "webhook", "url": hook.url, "secret": hook.secret, "rate": "6000/min"}
    return {"receivers": [receiver], "default": {"receivers": ["bus"]}}


def refused(alerter: Alerter) -> str:
    """What it says when it does not start at all; it exits with 1."""
    command = [sys.executable, "-m", "alerter", "run", "--config", str(alerter.path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    return done.stderr.strip().splitlines()[-1]


def named(hook: Hook) -> set[str]:
    """Alerts that it was told of."""
    return {each["labels"]["alertname"] for taken in hook.taken for each in taken["alerts"]}


def test_a_full_disk_is_answered_503_and_all_goes_on_afterwards(hook: Hook, tmp_path: Path) -> None:
    with Alerter(tmp_path, told_by(hook)) as alerter:
        assert alerter.send(alert("Before")).status_code == 200
        eventually(lambda: named(hook) == {"Before"}, within=20)
        # No file of its may grow any more, as if there were no room.
        largest = max(path.stat().st_size for path in tmp_path.iterdir())
        resource.prlimit(alerter.pid, resource.RLIMIT_FSIZE, (largest, resource.RLIM_INFINITY))
        many = [alert(f"Full{number}", severity="info") for number in range(1500)]
        answer = alerter.send(*many)
        assert answer.status_code == 503
        assert "the disk is full" in answer.json()["error"]
        assert httpx.get(f"{alerter.url}/healthz").status_code == 200
        assert "the disk is full" in httpx.get(f"{alerter.url}/readyz").text
        assert "webhooks are answered 503" in alerter.client.get("/").text
        resource.prlimit(alerter.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert alerter.send(*many).json() == {"alerts": 1500, "opened": 1500}
        assert "503" not in alerter.client.get("/").text
        assert alerter.send(alert("After"), group="after").status_code == 200
        eventually(lambda: "After" in named(hook), within=60)
        assert alerter.stop() == 0
    with closing(sqlite3.connect(tmp_path / "alerter.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_while_another_process_holds_the_lock_the_sender_is_asked_to_come_again(hook: Hook, tmp_path: Path) -> None:
    with Alerter(tmp_path, told_by(hook)) as alerter:
        with closing(sqlite3.connect(tmp_path / "alerter.db")) as other:
            other.execute("BEGIN IMMEDIATE")
            answer = alerter.send(alert("Locked"))
            assert answer.status_code == 503
            assert "another process holds its lock" in answer.json()["error"]
            other.execute("ROLLBACK")
        assert alerter.send(alert("Locked")).status_code == 200
        eventually(lambda: named(hook) == {"Locked"}, within=30)


def test_while_the_database_is_away_what_is_answered_is_counted(hook: Hook, own_pg15: Postgres, tmp_path: Path) -> None:
    storage = create_database(own_pg15, "empty").url.replace("postgresql://", "postgresql+psycopg://", 1)
    with Alerter(tmp_path, {**told_by(hook), "storage": storage}) as alerter:
        own_pg15.kill()
        assert alerter.send(alert("Away")).status_code == 503
        eventually(lambda: alerter.value("postwatch_alerter_webhooks_total", code="503") == 1, within=20)
        # What nobody can know now is not told as if it were so.
        assert alerter.value("postwatch_alerter_outbox_pending") is None
        assert alerter.value("postwatch_alerter_receiver_state", state="ok") == 1
        own_pg15.start()
        eventually(lambda: alerter.send(alert("Away")).status_code == 200, within=30)
        eventually(lambda: alerter.value("postwatch_alerter_outbox_pending") == 0, within=30)


def test_a_lock_at_the_start_is_told(tmp_path: Path) -> None:
    alerter = Alerter(tmp_path, {})
    with alerter:
        alerter.stop()
    with closing(sqlite3.connect(tmp_path / "alerter.db")) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert "another process holds its lock; `fuser` shows which" in refused(alerter)


def test_two_on_one_file(tmp_path: Path) -> None:
    with Alerter(tmp_path, {}) as first:
        (tmp_path / "second").mkdir()
        second = Alerter(tmp_path / "second", {"storage": f"sqlite:///{tmp_path / 'alerter.db'}"})
        assert "is in use by another alerter" in refused(second)
        assert first.send(alert("Still")).status_code == 200
        first.kill()
        with second:
            assert second.feed(q="Still")


def test_a_file_that_is_taken_away_takes_no_more_in(hook: Hook, tmp_path: Path) -> None:
    with Alerter(tmp_path, told_by(hook)) as alerter:
        assert alerter.send(alert("Before")).status_code == 200
        (tmp_path / "alerter.db").rename(tmp_path / "elsewhere.db")
        for _ in range(2):
            answer = alerter.send(alert("After"))
            assert answer.status_code == 503
            assert "was removed or replaced" in answer.json()["error"]
            (tmp_path / "alerter.db").touch()  # another one is not the same
        eventually(lambda: named(hook) == {"Before"}, within=20)
        alerter.kill()
        alerter.start()
        assert alerter.send(alert("After")).status_code == 200
        eventually(lambda: named(hook) == {"Before", "After"}, within=20)


def test_a_damaged_file(tmp_path: Path) -> None:
    with Alerter(tmp_path, {}) as alerter:
        alerter.send(*(alert(f"Some{number}") for number in range(200)))
        alerter.stop()
    with (tmp_path / "alerter.db").open("r+b") as file:
        file.seek(4096 * 5)
        file.write(b"\xa5" * 4096 * 20)
    assert "is damaged, or no database of ours. Put it aside" in refused(alerter)


def test_tables_of_a_newer_version(tmp_path: Path) -> None:
    with Alerter(tmp_path, {}) as alerter:
        alerter.stop()
    with closing(sqlite3.connect(tmp_path / "alerter.db")) as other, other:
        other.execute("UPDATE alembic_version SET version_num = '9999'")
    assert "its tables are of a newer version of Postwatch" in refused(alerter)


@pytest.mark.parametrize("place", ["missing/alerter.db", "alerter.yml/alerter.db", "/proc/alerter.db"])
def test_a_folder_that_cannot_be_used(tmp_path: Path, place: str) -> None:
    alerter = Alerter(tmp_path, {"storage": f"sqlite:///{tmp_path / place}"})
    assert "the folder has to exist and be writable" in refused(alerter)


def test_postgresql_that_is_away_at_the_start_is_waited_for(hook: Hook, own_pg15: Postgres, tmp_path: Path) -> None:
    storage = create_database(own_pg15, "empty").url.replace("postgresql://", "postgresql+psycopg://", 1)
    storage = storage.replace("@", ":secret-word@", 1)
    own_pg15.kill()
    with Alerter(tmp_path, {**told_by(hook), "storage": storage}) as alerter:
        assert httpx.get(f"{alerter.url}/healthz").status_code == 200
        ready = httpx.get(f"{alerter.url}/readyz")
        assert ready.status_code == 503
        assert "Connection refused" in ready.text
        assert alerter.send(alert("Early")).status_code == 503
        assert alerter.client.get("/api/v1/alerts").status_code == 503
        assert alerter.client.get("/").status_code == 503
        (said,) = alerter.logged("waiting for the store; alerts are answered 503 meanwhile")
        assert "Connection refused" in said["reason"]
        own_pg15.start()
        eventually(lambda: alerter.send(alert("Early")).status_code == 200, within=30)
        eventually(lambda: named(hook) == {"Early"}, within=20)
        eventually(lambda: httpx.get(f"{alerter.url}/readyz").status_code == 200, within=20)
        assert alerter.logged("store is there")
        assert "secret-word" not in alerter.output.read_text(encoding="utf-8")


def test_a_defect_while_it_waits_is_not_the_end_of_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[Exception | None] = [StoreFailed("storage: away"), RuntimeError("a defect"), None]

    def answer(_store: Store) -> None:
        if problem := answers.pop(0):
            raise problem

    monkeypatch.setattr(Store, "open", answer)
    monkeypatch.setattr(app, "_KNOCK", 0.01)
    text = "{storage: 'postgresql+psycopg://jo@127.0.0.1:1/alerts', web: {listen: '127.0.0.1:0'}}"
    settings = parse(text, AlerterSettings, {})
    it = app.App(settings, lambda: settings, ReloadState(), SystemClock())
    it.start()
    try:
        eventually(lambda: not answers, within=20)
    finally:
        it.stop(5)


def test_postgresql_that_is_away_keeps_nobody_from_stopping(tmp_path: Path) -> None:
    with Alerter(tmp_path, {"storage": "postgresql+psycopg://jo@127.0.0.1:1/alerts"}) as alerter:
        assert alerter.stop() == 0


def test_postgresql_that_refuses_us_at_the_start(pg15: Postgres, tmp_path: Path) -> None:
    address = pg15.url("postgres", "nobody").replace("postgresql://", "postgresql+psycopg://", 1)
    said = refused(Alerter(tmp_path, {"storage": address.replace("@", ":secret-word@", 1)}))
    assert 'role "nobody" does not exist; check user, password and database in `storage`' in said
    assert "secret-word" not in said
