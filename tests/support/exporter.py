"""The exporter under test: as a daemon in a process of its own, or in this one, where each look is asked for."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO
from unittest.mock import patch

import httpx
import psycopg
import structlog
import yaml

from chassis.board import Board
from chassis.clock import SystemClock
from chassis.exposition import Format
from chassis.settings import parse
from exporter.__main__ import main
from exporter.app import Watch
from exporter.catalogue import CATALOGUE
from exporter.sampling.outcome import Outcome
from exporter.settings import ExporterSettings
from tests.support.databases import Database
from tests.support.samples import Samples
from tests.support.wait import eventually

REPOSITORY = Path(__file__).parents[2]
Log = dict[str, Any]
# Quick looks as often as may be, and a budget that no test is to wait for.
QUICK = {"interval": "1s", "stale_after": "2s", "budget": "100%"}


def source(postgres: str, redis: str | None = None, name: str = "mail", **more: Any) -> dict[str, Any]:
    """One entry of `queues`; `more` are its further options, `schema` among them."""
    given = {"name": name, "kind": "hybrid", "postgres": postgres, **more}
    return given if redis is None else {**given, "redis": redis}


def config(*sources: Mapping[str, Any], **defaults: Any) -> dict[str, Any]:
    """A whole configuration; `defaults` go over quick ones."""
    return {
        "web": {"listen": "127.0.0.1:0"},
        "defaults": {**QUICK, **defaults},
        "queues": [dict(each) for each in sources],
    }


class OffsetClock(SystemClock):
    """The machine's clock, set forward or back."""

    def __init__(self) -> None:
        self.monotonic_offset = 0.0
        self.offset = 0.0

    def now(self) -> float:
        return super().now() + self.offset

    def monotonic(self) -> float:
        return super().monotonic() + self.monotonic_offset


class Exporter:
    """Samplers in this process, run when they are asked to; logs of it are in `log`."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.clock = OffsetClock()
        self.board = Board([metric.family for metric in CATALOGUE], self.clock)
        self.watch = Watch(parse(yaml.safe_dump(dict(given)), ExporterSettings, {}), self.board, self.clock)
        self.log: list[Log] = []
        self._capture = structlog.testing.capture_logs()

    def __enter__(self) -> Self:
        # structlog types it for any logger's lines.
        self.log = self._capture.__enter__()  # type: ignore[assignment]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._capture.__exit__(kind, error, trace)
        self.watch.stop(5)

    def run(self, *kinds: str, source: str = "mail") -> Outcome:
        """Runs samplers in order; answers the last one's outcome."""
        outcome = None
        for kind in kinds:
            outcome = self.watch.sampling.run_once(f"{kind}/{source}")
        assert outcome is not None
        return outcome

    def look(self, *kinds: str, source: str = "mail") -> Samples:
        """Runs samplers, by default the exact count with its look, which have to succeed; then what is served."""
        for kind in kinds or ("counts",):
            outcome = self.run(kind, source=source)
            assert outcome.up, outcome.error
        return self.samples()

    def samples(self) -> Samples:
        """What is served now."""
        self.watch.publish_settings()
        return Samples(self.board.body(Format.TEXT).decode())

    def logged(self, event: str) -> list[Log]:
        """Lines of the log with that event."""
        return [line for line in self.log if line["event"] == event]


class Daemon:
    """`python -m exporter` as a process; ended with the block."""

    def __init__(self, folder: Path, given: Mapping[str, Any] | str, *, prefix: tuple[str, ...] = ()) -> None:
        self.config = folder / "exporter.yml"
        self.write(given)
        self._out = folder / "exporter.log"
        self._err = folder / "exporter.err"
        self._prefix = prefix
        self._files: list[TextIO] = []
        self.process: subprocess.Popen[str]

    def write(self, given: Mapping[str, Any] | str) -> None:
        """The configuration, at once as an editor does it."""
        fresh = self.config.with_suffix(".new")
        fresh.write_text(given if isinstance(given, str) else yaml.safe_dump(dict(given)))
        fresh.replace(self.config)

    def __enter__(self) -> Self:
        self._files = [self._out.open("w"), self._err.open("w")]
        self.process = subprocess.Popen(
            [*self._prefix, sys.executable, "-m", "exporter", "--config", str(self.config)],
            stdout=self._files[0],
            stderr=self._files[1],
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONWARNINGS": "error::ResourceWarning"},
            text=True,
        )
        try:
            eventually(self._started, within=30)
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        if kind is None:
            assert "Traceback" not in self.errors, self.errors

    def _started(self) -> bool:
        assert self.process.poll() is None or self._ended(), f"exit {self.process.returncode}: {self.errors}"
        return bool(self.logged("started"))

    def _ended(self) -> bool:
        raise RuntimeError(f"the daemon ended with {self.process.returncode}: {self.errors}")

    @property
    def url(self) -> str:
        """Where it answers."""
        return str(self.logged("started")[0]["url"])

    @property
    def errors(self) -> str:
        """What stands on its standard error."""
        return self._err.read_text()

    def log(self) -> list[Log]:
        """All complete lines so far."""
        lines = self._out.read_text().split("\n")[:-1]
        return [json.loads(line) for line in lines]

    def logged(self, event: str, **fields: str) -> list[Log]:
        """Lines of the log with that event and these fields."""
        return [line for line in self.log() if line["event"] == event and fields.items() <= line.items()]

    def get(self, path: str = "/metrics", **headers: str) -> httpx.Response:
        """The answer to a GET."""
        return httpx.get(self.url + path, headers=headers, timeout=5)

    def samples(self) -> Samples:
        """What it serves now."""
        return Samples(self.get().text)

    def until(self, metric: str, expected: float | None, within: float = 15.0, **labels: str) -> Samples:
        """Waits until the one series has that value (None: is gone); answers all that was served then."""

        def reached() -> Samples:
            samples = self.samples()
            found = samples.get(metric, **labels)
            assert found == expected, f"{metric} is {found}"
            return samples

        return eventually(reached, within, every=0.2)

    def until_up(self, expected: float, *samplers: str, source: str = "mail", within: float = 15.0) -> Samples:
        """Waits until these samplers of a source have that `postwatch_sampler_up`."""

        def reached() -> Samples:
            samples = self.samples()
            found = {each: samples.up(each, source) for each in samplers}
            assert found == dict.fromkeys(samplers, expected), f"up: {found}"
            return samples

        return eventually(reached, within, every=0.2)

    def signal(self, number: signal.Signals) -> None:
        """Sends it a signal."""
        self.process.send_signal(number)

    def stop(self) -> int:
        """SIGTERM; its exit code, which has to come within 10 seconds."""
        self.process.terminate()
        return self.process.wait(10)

    def kill(self) -> None:
        """Ends it at once."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        for file in self._files:
            file.close()


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A command of the exporter that comes to its end, in this process: starting one takes seconds."""
    out, err = StringIO(), StringIO()
    # pytest-xdist sets a width for its own output.
    unset = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    with patch.dict(os.environ, unset, clear=True), redirect_stdout(out), redirect_stderr(err):
        code = main(arguments)
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def start(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The exporter's command as a process that comes to its end."""
    return subprocess.run(
        [sys.executable, "-m", "exporter", *arguments],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def connections(database: Database) -> int:
    """Sessions that the exporter has open in a database, as the server knows them."""
    with psycopg.connect(database.server.url()) as admin:
        row = admin.execute(
            "select count(*) from pg_stat_activity where application_name = 'postwatch' and datname = %s",
            [database.name],
        ).fetchone()
    assert row is not None
    return int(row[0])
