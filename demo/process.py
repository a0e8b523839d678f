"""Processes that end with the one that started them (see tether.py), and servers made of them."""

import contextlib
import http
import http.client
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from demo import tether

_TETHER = str(Path(tether.__file__))


class ServerError(Exception):
    """A server that did not start, or cannot; the message is meant for a person."""


class Tethered:
    """A running command that ends with this process, even when that is killed.

    `remove` is a folder that is deleted if this process vanishes without stopping the command.
    """

    def __init__(
        self,
        command: list[str],
        *,
        log: Path,
        user: pwd.struct_passwd | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        grace: float = 10.0,
        remove: Path | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        options = ["--stop-signal", str(int(stop_signal)), "--grace", str(grace)]
        if user is not None:
            options += ["--user", str(user.pw_uid), "--group", str(user.pw_gid)]
        if remove is not None:
            options += ["--remove", str(remove)]
        with log.open("ab") as output:
            self._tether = subprocess.Popen(
                [sys.executable, "-I", "-S", _TETHER, *options, "--", *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                env=None if env is None else {**os.environ, **env},
                cwd=cwd,
                start_new_session=True,  # Ctrl-C in a terminal goes to the asker alone
            )
        first = self._out.readline()
        if not first:
            self._finish()
            raise ServerError(f"{command[0]} could not be started:\n{tail(log)}")
        self.pid = int(first)

    @property
    def _in(self) -> IO[bytes]:
        assert self._tether.stdin is not None  # noqa: S101 — true by construction above
        return self._tether.stdin

    @property
    def _out(self) -> IO[bytes]:
        assert self._tether.stdout is not None  # noqa: S101 — true by construction above
        return self._tether.stdout

    @property
    def running(self) -> bool:
        return self._tether.poll() is None

    def family(self) -> list[int]:
        """The command and everything below it."""
        return tether.descendants(self._tether.pid)

    def stop(self) -> int:
        """Asks the command to end and waits for it and its children; its exit code (128 + n for signal n)."""
        if self.running:
            with contextlib.suppress(BrokenPipeError):
                self._in.write(b".")
                self._in.flush()
        return self._finish()

    def kill(self) -> None:
        """SIGKILL to the command and all its children."""
        tether.signal_all(self.family(), signal.SIGKILL)
        self._finish()

    def wait(self, seconds: float) -> bool:
        """Whether the command ended within that time."""
        try:
            self._tether.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _finish(self) -> int:
        code = self._tether.wait()
        with contextlib.suppress(BrokenPipeError):
            self._in.close()
        self._out.close()
        return code


class Server:
    """A server with a folder and a port of its own, startable, stoppable, restartable on the same port.

    The folder, a new temporary one if none is given, is removed at the end of the `with` block and when this
    process vanishes, unless `keep` is set.
    """

    kind = "server"
    stop_signal = signal.SIGTERM
    start_within = 30.0

    def __init__(self, folder: Path | None = None, *, port: int | None = None, keep: bool = False) -> None:
        self.folder = (folder or Path(tempfile.mkdtemp(prefix="postwatch-"))).resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.keep = keep
        self.removed_with_us = None if keep else self.folder  # by the tether, if this process vanishes
        self.log = self.folder / f"{self.kind}.log"
        self._fixed_port = port is not None
        self.port = port or free_port()
        self._prepared = False
        self._process: Tethered | None = None

    # What a kind of server says about itself.

    def prepare(self) -> None:
        """Makes what is needed once, before the first start."""

    def command(self) -> list[str]:
        raise NotImplementedError

    def user(self) -> pwd.struct_passwd | None:
        return None

    def environment(self) -> Mapping[str, str]:
        return {}

    def answers(self) -> bool:
        """Whether a client would be served now."""
        raise NotImplementedError

    # What can be done with it.

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.running

    @property
    def pid(self) -> int:
        if self._process is None:
            raise ServerError(f"{self.kind} is not running")
        return self._process.pid

    def start(self) -> Self:
        """Starts it and waits until it answers; raises ServerError with the end of its log."""
        if not self._prepared:
            self.prepare()
        for attempt in range(5):
            self._process = Tethered(
                self.command(),
                log=self.log,
                user=self.user(),
                stop_signal=self.stop_signal,
                remove=self.removed_with_us,
                env=self.environment(),
            )
            if self._answers_in_time():
                self._prepared = True
                return self
            said = tail(self.log)
            self._end()
            if self._prepared or self._fixed_port or "in use" not in said or attempt == 4:
                break
            self.port = free_port()  # someone took the port between our look and the start
        raise ServerError(f"{self.kind} did not start on port {self.port}:\n{said}")

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop()
            self._process = None

    def kill(self) -> None:
        """SIGKILL to all its processes at once, as a crash of the host would."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def freeze(self) -> None:
        """SIGSTOP: connections stay open and nobody answers."""
        if self._process is not None:
            tether.signal_all(self._process.family(), signal.SIGSTOP)

    def thaw(self) -> None:
        if self._process is not None:
            tether.signal_all(self._process.family(), signal.SIGCONT)

    def close(self) -> None:
        """Stops it and removes its folder, unless that is to be kept."""
        self._end()
        if not self.keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _end(self) -> None:
        self.stop()

    def _answers_in_time(self) -> bool:
        until = time.monotonic() + self.start_within
        while time.monotonic() < until:
            if not self.running:
                return False
            if self.answers():
                # Another server may answer on that port while ours is failing to bind it.
                return self._process is not None and not self._process.wait(0.02)
            time.sleep(0.01)
        return False


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on.

    Taken from below the range of outgoing connections: there, a client that keeps trying a port whose server
    is down ends up connected to itself, and keeps the server from coming back.
    """
    while True:
        port = random.randrange(10_300, 32_000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def answers_well(url: str) -> bool:
    """Whether a GET of it, which is a server's of this machine, is answered with 200."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 — our own URL
            return bool(answer.status == http.HTTPStatus.OK)
    except (urllib.error.URLError, OSError, http.client.HTTPException):
        return False


def listens(pid: int, port: int) -> bool:
    """Whether it is that process, and not another one, that listens on that port of 127.0.0.1."""
    listening = "0A"
    address = f"0100007F:{port:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
    sockets = {f"socket:[{row[9]}]" for row in rows if row[1] == address and row[3] == listening}
    try:
        files = list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:  # it has ended, perhaps because somebody else listens there
        return False
    for file in files:
        with contextlib.suppress(OSError):  # closed while we looked
            if str(file.readlink()) in sockets:
                return True
    return False


def tail(log: Path, lines: int = 12) -> str:
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return "(it wrote nothing)"


def unprivileged() -> pwd.struct_passwd | None:
    """The user that servers which refuse root run as: nobody if we are root, else ourselves (None)."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def open_to_all(path: Path) -> bool:
    """Whether any user may enter all folders above `path` and read it."""
    path = path.resolve()
    return all(folder.stat().st_mode & 0o001 for folder in path.parents) and bool(path.stat().st_mode & 0o004)
