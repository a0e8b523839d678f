"""Brings up all that a demo needs, in order, and takes it down again."""

import contextlib
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from demo.alarms import Alarms, Progress
from demo.config import write_config
from demo.outside import Outside
from demo.platform import DATABASE, READER, create_layout
from demo.process import ServerError, Tethered, answers_well, free_port, listens, tail
from demo.servers import Postgres, Redis, Valkey

DEFAULT_PORT = 9797
_READY_WITHIN = 30.0


@dataclass(frozen=True)
class Pace:
    """How quickly the exporter looks."""

    interval: str = "2s"
    slow: str = "5s"
    budget: str = "5%"
    dead_after: str = "10s"
    warmup_target: str = "15m"


@dataclass
class Stage:
    """What was brought up; `exporter` and `alarms` are None if the exporter was not wanted."""

    folder: Path
    postgres: Postgres
    store: Redis
    config: Path
    pace: Pace
    keep: bool
    outside: Outside
    port: int = 0
    exporter: Tethered | None = None
    alarms: Alarms | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def listen_on(self, port: int) -> None:
        """Writes the exporter's configuration."""
        self.port = port
        postgres = self.postgres.url(DATABASE, READER)
        write_config(
            self.config,
            port=port,
            postgres=postgres,
            redis=self.store.url,
            outside=self.outside.ports,
            **vars(self.pace),
        )

    def start_exporter(self, *, other_port: bool) -> None:
        """Returns when it is ready; takes another port if somebody took ours meanwhile and `other_port` is set."""
        command = [sys.executable, "-m", "exporter", "run", "--config", str(self.config)]
        for attempt in range(5):
            self.exporter = Tethered(command, log=self.log, remove=None if self.keep else self.folder)
            try:
                _wait_until_ready(self)
                return
            except ServerError as error:
                if not other_port or "in use" not in str(error) or attempt == 4:
                    raise
            self.stop_exporter()
            self.listen_on(free_port())

    def exporter_listens(self) -> bool:
        return self.exporter is not None and listens(self.exporter.pid, self.port)

    def stop_exporter(self) -> None:
        if self.exporter is not None:
            self.exporter.stop()

    def start_alarms(self, progress: Progress) -> None:
        """From now on people are told of what is wrong. Raises ServerError with a sentence for a person."""
        if self.alarms is not None:
            self.alarms.start(progress)

    @property
    def log(self) -> Path:
        return self.folder / "exporter.log"

    def problem(self) -> str | None:
        """What is not running any more, in a sentence."""
        for server in (self.postgres, self.store):
            if not server.running:
                return f"{server.kind} ended:\n{tail(server.log)}"
        if self.exporter is not None and not self.exporter.running:
            return f"the exporter ended:\n{tail(self.log)}"
        return None if self.alarms is None else self.alarms.problem()


@contextlib.contextmanager
def set_up(
    progress: Progress, *, folder: Path | None, keep: bool, port: int | None, exporter: bool, pace: Pace
) -> Iterator[Stage]:
    """Servers, tables and exporter. What tells people of its figures is there, and started by `start_alarms`.

    At the end, or if this process vanishes, all are gone with their folder.
    Raises ServerError with a sentence for a person.
    """
    with contextlib.ExitStack() as stack:
        top = _own_folder(folder)
        if not keep:
            stack.callback(shutil.rmtree, top, ignore_errors=True)
        postgres = Postgres(top / "postgres", keep=keep)
        store = Valkey(top / "valkey", keep=keep)
        for server in (postgres, store):
            server.removed_with_us = None if keep else top
        with progress("Starting PostgreSQL 18, with pg_stat_statements"):
            stack.enter_context(postgres)
        with progress("Starting Valkey, which speaks Redis' protocol"):
            stack.enter_context(store)
        with progress("Creating the queue tables and a role that may only read them"):
            create_layout(postgres)
        with progress("Starting an API, a mail server and the DNS of two blocklists, all of the demo's own"):
            outside = stack.enter_context(Outside())
        stage = Stage(top, postgres, store, top / "exporter.yml", pace, keep, outside)
        stage.listen_on(port or _usual_port())
        if exporter:
            with progress("Starting the exporter"):
                stack.callback(stage.stop_exporter)
                stage.start_exporter(other_port=port is None)
            (top / "alarms").mkdir()
            stage.alarms = Alarms(top / "alarms", stage.url, keep=keep)
            stack.callback(stage.alarms.stop)
        yield stage


def _own_folder(folder: Path | None) -> Path:
    if folder is None:
        made = Path(tempfile.mkdtemp(prefix="postwatch-demo-"))
    else:
        made = folder.absolute()
        try:
            if made.exists():
                if made.is_dir() and not any(made.iterdir()):
                    return made
                raise ServerError(f"{folder} is not an empty folder; the demo removes its own at the end")
            made.mkdir()
        except OSError as error:
            raise ServerError(f"the folder {folder} cannot be used: {error.strerror}") from error
    if os.geteuid() == 0:
        made.chmod(0o711)  # PostgreSQL runs as nobody and has to get at its own folder below
    return made


def _usual_port() -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", DEFAULT_PORT))
        except OSError:
            return free_port()
    return DEFAULT_PORT


def _wait_until_ready(stage: Stage) -> None:
    until = time.monotonic() + _READY_WITHIN
    while time.monotonic() < until:
        problem = stage.problem()
        if problem:
            raise ServerError(problem)
        # The exporter of another demo may answer there while ours is about to notice that.
        if answers_well(f"{stage.url}/readyz") and stage.exporter_listens():
            return
        time.sleep(0.05)
    raise ServerError(f"the exporter is not ready after {_READY_WITHIN:.0f} seconds:\n{tail(stage.log)}")
