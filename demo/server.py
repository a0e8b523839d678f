"""A server as a process: started on a port of its own, killed, frozen, started again, and gone at the end."""

import pwd
import shutil
import signal
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from demo import tether
from demo.process import ServerError, Tethered, free_port, tail


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
