"""The life of a daemon, as a process that gets real signals and whose files really change."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.wait import eventually

# Behaves as its arguments say, and writes down what happens to it: one word a line.
DAEMON = """
import sys, threading
from pathlib import Path
from chassis.clock import SystemClock
from chassis.lifecycle import ReloadState, run
from chassis.log import configure
from chassis.settings import Settings, load

class Config(Settings):
    word: str

class Daemon:
    def start(self):
        say("starting")
        if "hangs-at-start" in manners:
            threading.Event().wait()
        if "fails-at-start" in manners:
            raise RuntimeError("no way")
        self.config = load(config, Config, {})
        say("started " + self.config.word)
    def reload(self):
        if "crashes-at-reload" in manners:
            raise RuntimeError("bad day")
        self.config = load(config, Config, {})
        say("reloaded " + self.config.word)
    def stop(self, timeout):
        say(f"stopping {timeout:g}")
        if "hangs-at-stop" in manners:
            threading.Event().wait()
        if "leaves-a-thread" in manners:
            threading.Thread(target=threading.Event().wait).start()
        say(f"state {state.last_successful} {state.last_timestamp > 1e9} {self.config.word}")

def say(text):
    print("DAEMON", text, flush=True)

config, within, manners = Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]
configure("info", "json", sys.stderr)
state = ReloadState()
code = run(Daemon(), lambda: [config], SystemClock(), state=state, interval=0.05, stop_within=within)
say(f"returned {code}")
sys.exit(code)
"""


class Process:
    def __init__(self, config: Path, folder: Path, stop_within: float, manners: tuple[str, ...]) -> None:
        self.out, self.err = folder / "out", folder / "err"
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.popen = subprocess.Popen(
                [sys.executable, "-c", DAEMON, str(config), str(stop_within), *manners],
                stdout=out,
                stderr=err,
            )

    @property
    def said(self) -> list[str]:
        return [line.removeprefix("DAEMON ") for line in self.out.read_text().splitlines()]

    def logged(self, event: str) -> list[dict[str, object]]:
        lines = [json.loads(line) for line in self.err.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == event]

    def says(self, text: str) -> None:
        eventually(lambda: text in self.said, within=20)

    def signal(self, number: signal.Signals) -> None:
        self.popen.send_signal(number)

    def ends(self, within: float = 10) -> int:
        return self.popen.wait(within)


Launch = Callable[..., Process]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yml"
    path.write_text("word: one")
    return path


@pytest.fixture
def launch(tmp_path: Path, config: Path) -> Iterator[Launch]:
    started: list[Process] = []

    def start(*manners: str, stop_within: float = 10, path: Path = config, until: str = "started one") -> Process:
        process = Process(path, tmp_path, stop_within, manners)
        started.append(process)
        process.says(until)
        return process

    yield start
    for process in started:
        process.popen.kill()
        process.popen.wait(10)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_and_it_exits_with_0(launch: Launch, number: signal.Signals) -> None:
    process = launch()
    process.signal(number)
    assert process.ends() == 0
    assert process.said[-3:] == ["stopping 9", "state True True one", "returned 0"]


def test_sighup_reloads(launch: Launch, config: Path) -> None:
    process = launch()
    process.signal(signal.SIGHUP)
    process.says("reloaded one")
    eventually(lambda: process.logged("configuration reloaded"))


def test_an_invalid_configuration_changes_nothing_and_is_told(launch: Launch, config: Path) -> None:
    process = launch()
    config.write_text("wrod: two")
    (line,) = eventually(lambda: process.logged("configuration refused; the earlier one stays"))
    assert line["mistakes"] == ["word: missing", "wrod: no such key; allowed: word; did you mean word?"]
    assert "exception" not in line
    process.signal(signal.SIGTERM)
    assert process.ends() == 0
    assert "state False True one" in process.said


def test_it_reloads_again_once_it_is_valid_again(launch: Launch, config: Path) -> None:
    process = launch()
    config.write_text("wrod: two")
    eventually(lambda: process.logged("configuration refused; the earlier one stays"))
    config.write_text("word: three")
    process.says("reloaded three")
    process.signal(signal.SIGTERM)
    assert process.ends() == 0
    assert "state True True three" in process.said


def test_a_crash_at_reload_is_told_and_survived(launch: Launch) -> None:
    process = launch("crashes-at-reload")
    process.signal(signal.SIGHUP)
    (line,) = eventually(lambda: process.logged("reload failed"))
    assert "RuntimeError: bad day" in str(line["exception"])
    process.signal(signal.SIGTERM)
    assert process.ends() == 0


@pytest.mark.parametrize("replace", [False, True])
def test_a_changed_file_is_reloaded_once(launch: Launch, config: Path, replace: bool) -> None:
    process = launch()
    if replace:  # as editors do
        (config.parent / "new").write_text("word: two")
        (config.parent / "new").rename(config)
    else:
        config.write_text("word: two")
    process.says("reloaded two")
    config.write_text("word: three")
    process.says("reloaded three")
    assert process.said == ["starting", "started one", "reloaded two", "reloaded three"]


def test_a_swapped_link_is_reloaded(launch: Launch, tmp_path: Path) -> None:
    # As Kubernetes does with a mounted ConfigMap: config.yml -> ..data/config.yml, ..data -> a dated folder.
    for name, word in (("..1", "one"), ("..2", "two")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yml").write_text(f"word: {word}")
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "mounted.yml").symlink_to("..data/config.yml")
    process = launch(path=tmp_path / "mounted.yml")
    (tmp_path / "..data_tmp").symlink_to("..2")
    (tmp_path / "..data_tmp").rename(tmp_path / "..data")
    process.says("reloaded two")


def test_what_hangs_at_stop_is_ended_in_time(launch: Launch) -> None:
    process = launch("hangs-at-stop", stop_within=1)
    process.signal(signal.SIGTERM)
    began = time.monotonic()
    assert process.ends() == 1
    assert 0.5 < time.monotonic() - began < 5


def test_a_thread_left_behind_does_not_keep_it(launch: Launch) -> None:
    process = launch("leaves-a-thread", stop_within=1)
    process.signal(signal.SIGTERM)
    assert process.ends() == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_second_signal_exits_at_once(launch: Launch, number: signal.Signals, code: int) -> None:
    process = launch("hangs-at-stop")
    process.signal(signal.SIGTERM)
    process.says("stopping 9")
    process.signal(number)
    assert process.ends(3) == code


def test_a_start_that_hangs_is_ended_too(launch: Launch) -> None:
    process = launch("hangs-at-start", stop_within=1, until="starting")
    process.signal(signal.SIGTERM)
    assert process.ends() == 1


def test_a_failed_start_is_raised(launch: Launch) -> None:
    process = launch("fails-at-start", until="starting")
    assert process.ends() == 1
    assert "RuntimeError: no way" in process.err.read_text()
    assert not [line for line in process.said if line.startswith("returned")]
