"""From start to exit: signals, reloads, and an end that comes in time.

SIGTERM and SIGINT stop; a second one exits at once. SIGHUP and changed files reload: all is valid or nothing
changes.
"""

import os
import select
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Protocol

from chassis.clock import Clock
from chassis.log import get_logger
from chassis.settings import SettingsError
from chassis.watch import FileWatch

_STOPPING = (signal.SIGTERM, signal.SIGINT)
_MARGIN = 1.0  # seconds of the time to stop that are kept for what comes after the daemon's own stop


class Daemon(Protocol):
    """What `run` keeps going."""

    def start(self) -> None:
        """Begins to work, in threads of its own. May raise; then nothing runs."""
        ...

    def reload(self) -> None:
        """Works by the configuration as it is now; raises SettingsError, with nothing changed, if invalid."""
        ...

    def stop(self, timeout: float) -> None:
        """Ends the work: accepts nothing more, finishes what is under way within `timeout` seconds."""
        ...


@dataclass
class ReloadState:
    """How the last reading of the configuration went; the daemons export it as metrics."""

    last_successful: bool = False
    last_timestamp: float = 0.0
    """Of the last success, in seconds since the epoch."""


def run(
    daemon: Daemon,
    watch: Callable[[], Sequence[Path]],
    clock: Clock,
    *,
    state: ReloadState | None = None,
    interval: float = 2.0,
    stop_within: float = 10.0,
) -> int:
    """Runs `daemon` in the main thread until a signal ends it; answers the exit code, 0.

    `watch` names the files whose change means a reload, looked at each `interval` seconds. Errors of
    `daemon.start()` are raised. From the signal on the process has `stop_within` seconds: whatever hangs
    then, in the daemon's stop or afterwards, it exits, with 1 if the daemon had not stopped.
    """
    state = state or ReloadState()
    files = FileWatch(watch())
    with _Signals(stop_within).installed() as signals:
        daemon.start()
        state.last_successful, state.last_timestamp = True, clock.now()
        while not signals.stopping:
            signals.wait(files.settling if files.changing else interval)
            changed = files.changed(watch())
            if not signals.stopping and (signals.take_reload() or changed):
                _reload(daemon, state, clock)
        logger = get_logger("chassis.lifecycle")
        logger.info("stopping", within=stop_within)
        daemon.stop(max(0.0, stop_within - _MARGIN))
        signals.stopped = True
        logger.info("stopped")
    return 0


def _reload(daemon: Daemon, state: ReloadState, clock: Clock) -> None:
    logger = get_logger("chassis.lifecycle")
    try:
        daemon.reload()
    except SettingsError as error:
        state.last_successful = False
        mistakes = [str(mistake) for mistake in error.mistakes]
        logger.error("configuration refused; the earlier one stays", mistakes=mistakes)  # noqa: TRY400  # no crash
    except Exception:  # a daemon that works must not end because it could not change
        state.last_successful = False
        logger.exception("reload failed")
    else:
        state.last_successful, state.last_timestamp = True, clock.now()
        logger.info("configuration reloaded")


class _Signals:
    """The process's signals, waited for like data."""

    def __init__(self, stop_within: float) -> None:
        self.stopping = False
        self.stopped = False
        self._reload = False
        self._stop_within = stop_within
        self._woken, self._wakes = socket.socketpair()

    @contextmanager
    def installed(self) -> Iterator["_Signals"]:
        """Puts back what was there before, at the end."""
        self._woken.setblocking(False)
        self._wakes.setblocking(False)
        before = {each: signal.signal(each, self._handle) for each in (*_STOPPING, signal.SIGHUP)}
        # Without it `select` would go on sleeping after a handler ran (PEP 475).
        wakeup = signal.set_wakeup_fd(self._wakes.fileno(), warn_on_full_buffer=False)
        try:
            yield self
        finally:
            signal.set_wakeup_fd(wakeup)
            for each, handler in before.items():
                signal.signal(each, handler)
            self._woken.close()
            self._wakes.close()

    def wait(self, timeout: float) -> None:
        """Until a signal comes, at most `timeout` seconds."""
        readable, _, _ = select.select([self._woken], [], [], timeout)
        if readable:
            self._woken.recv(4096)

    def take_reload(self) -> bool:
        """Whether SIGHUP came since the last call."""
        asked, self._reload = self._reload, False
        return asked

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            self._reload = True
        elif self.stopping:
            os._exit(128 + number)
        else:
            self.stopping = True
            overtime = threading.Timer(self._stop_within, self._exit)
            overtime.daemon = True
            overtime.start()

    def _exit(self) -> None:
        os._exit(0 if self.stopped else 1)
