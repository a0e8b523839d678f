"""The alerter under test, as a daemon in a process of its own, and webhooks as Alertmanager sends them."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Mapping
from contextlib import closing, redirect_stderr, redirect_stdout
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from unittest.mock import patch

import httpx
import psutil
import yaml
from prometheus_client.parser import text_string_to_metric_families

from alerter.__main__ import main
from tests.support.wait import eventually

TOKEN = "a-token-for-tests"


def rfc3339(seconds: float) -> str:
    """As Go writes a time."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def alert(
    name: str, status: str = "firing", *, starts: float = 1_790_000_000.0, ends: float | None = None, **labels: str
) -> dict[str, Any]:
    """One entry of `alerts`. What begins with `severity` and `service` are labels like all others."""
    return {
        "status": status,
        "labels": {"alertname": name, "severity": "critical", "service": "queues", **labels},
        "annotations": {"summary": f"{name} is unwell", "description": "More of it."},
        "startsAt": rfc3339(starts),
        "endsAt": "0001-01-01T00:00:00Z" if status == "firing" else rfc3339(starts + 60 if ends is None else ends),
        "generatorURL": "http://prometheus.example.com/graph?g0.expr=up",
        "fingerprint": uuid.uuid5(uuid.NAMESPACE_URL, json.dumps([name, labels])).hex[:16],
    }


def payload(
    *alerts: Mapping[str, Any], group: str = '{}:{alertname="x"}', url: str = "http://am-0:9093", **more: Any
) -> dict[str, Any]:
    """A webhook's body."""
    return {
        "version": "4",
        "groupKey": group,
        "truncatedAlerts": 0,
        "status": "firing" if any(each["status"] == "firing" for each in alerts) else "resolved",
        "receiver": "postwatch",
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": url,
        "alerts": list(alerts),
        **more,
    }


class Died(Exception):
    """The daemon ended before it answered; the text is what it wrote."""


class Alerter:
    """The daemon; `with` starts it, `kill` and `start` again are allowed inside."""

    def __init__(self, folder: Path, given: Mapping[str, Any], **environ: str) -> None:
        """`given` lacks `web.listen` and `storage`, unless a test wants its own."""
        self.folder = folder
        self.path = folder / "alerter.yml"
        self.output = folder / "alerter.log"
        self._environ = environ
        self._process: subprocess.Popen[bytes] | None = None
        self.write(given)

    def write(self, given: Mapping[str, Any]) -> None:
        """Another configuration; the daemon sees it by itself."""
        settings = {"storage": f"sqlite:///{self.folder / 'alerter.db'}", **given}
        settings["web"] = {"listen": "127.0.0.1:0", "bearer_token": TOKEN, **given.get("web", {})}
        temporary = self.path.with_suffix(".new")
        temporary.write_text(yaml.safe_dump(settings), encoding="utf-8")
        temporary.replace(self.path)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        if kind is not None:
            sys.stderr.write(self.output.read_text(encoding="utf-8")[-8000:])

    def start(self, *, by: tuple[str, ...] = ("alerter",)) -> None:
        """Start it, by another module if need be; returns when it answers. Raises Died."""
        with self.output.open("ab") as output:
            begun = output.tell()
            self._process = subprocess.Popen(
                [sys.executable, "-m", *by, "run", "--config", str(self.path)],
                stdout=output,
                stderr=output,
                env={**os.environ, **self._environ},
            )

        def listens() -> str:
            if not self.running:
                raise Died(self.output.read_bytes()[begun:].decode())
            lines = self.output.read_bytes()[begun:].decode().splitlines()
            started = [entry for entry in map(_read, lines) if entry.get("event") == "started"]
            assert started, "it has not started yet"
            return str(started[-1]["url"])

        self.url = eventually(listens, within=120)
        self.client = httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30)

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            self.client.close()

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Of the daemon's process."""
        assert self._process is not None
        return self._process.pid

    def cpu(self) -> float:
        """Seconds of processor time so far, of the daemon alone."""
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)

    def stop(self) -> int:
        """SIGTERM; answers the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(timeout=20)
        self._process = None
        self.client.close()
        return code

    def send(self, *alerts: Mapping[str, Any], path: str = "/webhook", **more: Any) -> httpx.Response:
        """A webhook; answers what it was answered."""
        return self.client.post(path, json=payload(*alerts, **more))

    def feed(self, **parameters: Any) -> list[dict[str, Any]]:
        """What the feed shows, the latest first."""
        answer = self.client.get("/api/v1/alerts", params=parameters)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["alerts"]
        return found

    def value(self, name: str, **labels: str) -> float | None:
        """One series of /metrics; None if it is not there."""
        for family in text_string_to_metric_families(self.client.get("/metrics").text):
            for sample in family.samples:
                if sample.name == name and labels.items() <= sample.labels.items():
                    return float(sample.value)
        return None

    def audit(self) -> list[tuple[str, str, str]]:
        """Who, what and the detail of all that was written down, in order; of SQLite."""
        with closing(sqlite3.connect(self.folder / "alerter.db")) as connection:
            return list(connection.execute("SELECT who, what, detail FROM audit ORDER BY id"))

    def hang_up(self) -> None:
        """SIGHUP."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Log lines of this event."""
        lines = map(_read, self.output.read_text(encoding="utf-8").splitlines())
        return [line for line in lines if line.get("event") == event]


def write(folder: Path, settings: Mapping[str, Any]) -> Path:
    """A configuration file for commands; with a store of its own unless it names one."""
    file = folder / "alerter.yml"
    file.write_text(yaml.safe_dump({"storage": f"sqlite:///{folder / 'alerter.db'}", **settings}))
    return file


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """A command of the alerter that comes to its end, in this process: starting one takes seconds."""
    out, err = StringIO(), StringIO()
    # pytest-xdist sets a width for its own output.
    unset = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    words = [str(each) for each in arguments]
    with patch.dict(os.environ, unset, clear=True), redirect_stdout(out), redirect_stderr(err):
        try:
            code = main(words)
        except SystemExit as ended:  # of argparse
            code = int(ended.code or 0)
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())


def _read(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
