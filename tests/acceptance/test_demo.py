"""The demo as a user has it: a command that starts, tells, proves itself, and leaves nothing behind."""

import contextlib
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import psutil
import pytest

from tests.support.wait import eventually

# Each starts a whole platform: one at a time. A busy machine takes a minute for what a quiet one does in ten seconds.
pytestmark = [pytest.mark.xdist_group("heavy"), pytest.mark.timeout(240)]

COMMAND = [sys.executable, "-m", "demo"]


@contextlib.contextmanager
def demo(tmp: Path, *options: str, **environ: str) -> Iterator[subprocess.Popen[str]]:
    """The running demo, whose temporary folders are made in `tmp`."""
    with subprocess.Popen(
        [*COMMAND, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp), **environ},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def read_until(stream: IO[str] | None, pattern: str, within: float) -> str:
    """What the demo wrote up to the first match."""
    assert stream
    said = ""
    end = time.monotonic() + within
    while not re.search(pattern, said):
        ready, _, _ = select.select([stream], [], [], max(0.0, end - time.monotonic()))
        chunk = os.read(stream.fileno(), 65536).decode() if ready else ""
        assert chunk, f"{pattern!r} was not written within {within} s, but:\n{said}"
        said += chunk
    return said


def no_processes(family: list[psutil.Process]) -> bool:
    return not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in family)


@pytest.fixture
def own_tmp() -> Iterator[Path]:
    """A temporary folder that every user may enter, as /tmp is; pytest's own are private."""
    with contextlib.ExitStack() as stack:
        path = Path(subprocess.check_output(["mktemp", "-d", "/tmp/postwatch-test-XXXXXX"], text=True).strip())
        path.chmod(0o711)
        stack.callback(path.rmdir)  # fails if the demo left anything
        yield path


def test_check_compares_the_figures_with_the_truth(own_tmp: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "--check"],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        env={**os.environ, "TMPDIR": str(own_tmp)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "figures compared with the truth: all right. 4 messages arrived." in done.stdout


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda how: how.name)
def test_nothing_is_left(how: signal.Signals, own_tmp: Path) -> None:
    with demo(own_tmp, "--no-tty", "--scene", "expiry") as process:
        # In the midst of a scene that has something to repair.
        read_until(process.stdout, r"Nobody takes from warmup:process", within=90)
        family = psutil.Process(process.pid).children(recursive=True)
        names = {one.name() for one in family}
        assert {"postgres", "valkey-server", "prometheus", "prometheus-alertmanager"} <= names
        assert list(own_tmp.iterdir())
        process.send_signal(how)
        rest, _ = process.communicate(timeout=20)
        assert "Traceback" not in rest
        code = process.returncode
        assert code == (0 if how is not signal.SIGKILL else -signal.SIGKILL)
        eventually(lambda: no_processes(family))
        eventually(lambda: not list(own_tmp.iterdir()))


def test_it_speaks_at_once_and_says_where_to_look(own_tmp: Path) -> None:
    with demo(own_tmp, "--no-tty", "--duration", "2s", "--scene", "expiry") as process:
        said = read_until(process.stdout, r"Starting PostgreSQL", within=15)
        said += read_until(process.stdout, r"(?s)look at: .*Ended: nothing is left running", within=90)
        assert process.wait(10) == 0
    for part in (
        "/metrics",
        "/health",
        "exporter.yml",
        "psql postgresql://",
        "look at: postwatch_queue_depth",
        "with the files of deploy/prometheus",
    ):
        assert part in said
    for what in ("who was told", "Prometheus, with all rules", "Alertmanager"):
        assert re.search(rf"{what}.* http://127.0.0.1:\d+/", said), what


def test_without_prometheus_it_evaluates_some_rules_itself_and_says_so(own_tmp: Path) -> None:
    with demo(own_tmp, "--no-tty", "--scene", "listing", PATH="/nowhere") as process:
        told = r"would be told: PagerDuty, on call: trigger: .*on a critical blocklist"
        said = read_until(process.stdout, told, within=90)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    assert "Prometheus and Alertmanager do not run here: the demo evaluates 5 rules of many itself" in said
    assert "install Prometheus and Alertmanager" in said
    assert "No worker is active" not in said  # as it was when all of this started


def test_a_terminal_gets_a_live_table(own_tmp: Path) -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        process = subprocess.Popen(
            COMMAND,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "TMPDIR": str(own_tmp), "TERM": "xterm", "COLUMNS": "120", "LINES": "40"},
        )
        os.close(theirs)
        said = b""
        end = time.monotonic() + 40
        while b"drained" not in said and time.monotonic() < end:
            if select.select([terminal], [], [], 1)[0]:
                said += terminal.read(65536)
        process.send_signal(signal.SIGINT)
        # What it still draws has to be read, or it would wait for the terminal for ever.
        with contextlib.suppress(OSError):
            while chunk := terminal.read(65536):
                said += chunk
        assert process.wait(20) == 0
    assert "email-sending" in said.decode(errors="replace")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--duration", "soon"], "'soon' is no duration"),
        (["--port", "99999"], "'99999' is no port"),
        (["--scene", "comedy"], "invalid choice: 'comedy'"),
        (["--check", "--no-exporter"], "leave out --no-exporter"),
    ],
)
def test_mistakes_on_the_command_line_are_explained(options: list[str], sentence: str) -> None:
    done = subprocess.run([*COMMAND, *options], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    done = subprocess.run(
        [*COMMAND, "--folder", str(tmp_path)], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 1
    assert "is not an empty folder" in done.stderr
    assert (tmp_path / "mine.txt").exists()


def test_two_at_once_get_out_of_each_others_way(own_tmp: Path) -> None:
    options = ("--no-tty", "--duration", "8s")
    with demo(own_tmp, *options) as one, demo(own_tmp, *options) as other:
        said = [read_until(process.stdout, r"email-sending +high", within=90) for process in (one, other)]
        rest = [process.communicate(timeout=30)[0] for process in (one, other)]
        assert [one.returncode, other.returncode] == [0, 0], "".join(rest)
    urls = [re.findall(r"http://127.0.0.1:\d+/metrics", text)[0] for text in said]
    assert urls[0] != urls[1]
