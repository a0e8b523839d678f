"""Processes that end with the one that started them (see tether.py), and who listens where."""

import contextlib
import http
import http.client
import os
import pwd
import random
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import IO

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
