"""Runs one command and ends it, with all its descendants, when the process that asked for it ends.

Started as a script of its own, `python tether.py [options] -- command…`, because nothing inside the asking
process outlives its SIGKILL, and a death signal alone is lost on fork and on a change of user. It reads one
byte from standard input for "stop"; the end of that pipe, however it comes about, means that the asker is
gone, and then `--remove` is deleted too. The command's process id is written to standard output as a line.
"""

import argparse
import contextlib
import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _die_with_parent() -> None:
    # Runs after the change of user, which clears the death signal. It covers the tether's own SIGKILL.
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _stay(_signal: int, _frame: FrameType | None) -> None:
    """A handler, not SIG_IGN: the command must not inherit that a signal is ignored."""


def _children_of_all() -> dict[int, list[int]]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, ValueError, IndexError):
                continue  # ended while we looked
            children.setdefault(parent, []).append(int(entry.name))
    return children


def descendants(pid: int) -> list[int]:
    """All processes below `pid`, nearest first."""
    children = _children_of_all()
    found: list[int] = []
    todo = [pid]
    while todo:
        below = children.get(todo.pop(0), [])
        found += below
        todo += below
    return found


def signal_all(pids: list[int], number: int) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def _reap_everything() -> None:
    """Kills and collects whatever the command left: as subreaper we inherit its orphans."""
    while True:
        signal_all(descendants(os.getpid()), signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.005)


def _remove(folder: str) -> None:
    # Several tethers of one demo may remove the same folder while a sibling's server still writes.
    for _ in range(50):
        shutil.rmtree(folder, ignore_errors=True)
        if not os.path.lexists(folder):
            return
        time.sleep(0.05)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="tether")
    parser.add_argument("--user", type=int, help="run the command as this user id, without other groups")
    parser.add_argument("--group", type=int)
    parser.add_argument("--stop-signal", type=int, default=int(signal.SIGTERM))
    parser.add_argument("--grace", type=float, default=10.0, help="seconds between the stop signal and SIGKILL")
    parser.add_argument("--remove", help="folder to delete when the asker vanished")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args(argv)

    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, _stay)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    child = subprocess.Popen(
        options.command,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr.fileno(),
        user=options.user,
        group=options.group,
        extra_groups=None if options.user is None else [],
        start_new_session=True,
        preexec_fn=_die_with_parent,  # safe: this process has one thread
    )
    ended = os.pidfd_open(child.pid)
    with contextlib.suppress(BrokenPipeError):  # the asker is gone already; standard input says so too
        os.write(sys.stdout.fileno(), f"{child.pid}\n".encode())
    asked, _, _ = select.select([sys.stdin.fileno(), ended], [], [])
    orphaned = False
    if sys.stdin.fileno() in asked:
        orphaned = not os.read(sys.stdin.fileno(), 1)
        # A frozen process could not obey.
        family = [child.pid, *descendants(child.pid)]
        signal_all([child.pid], options.stop_signal)
        signal_all(family, signal.SIGCONT)
        select.select([ended], [], [], options.grace)
    else:
        # The command ended by itself: whether the asker lives is decided by a look, without waiting.
        child.wait()
        _reap_everything()
        return _status(child.returncode)
    if child.poll() is None:
        child.kill()
    child.wait()
    _reap_everything()
    if orphaned and options.remove:
        _remove(options.remove)
    return _status(child.returncode)


def _status(returncode: int) -> int:
    return returncode if returncode >= 0 else 128 - returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
