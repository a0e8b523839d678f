"""From trouble to a page, ten times; and what dies on the way, at the shipped configuration's own pace."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator

import pytest

from demo.servers import Postgres
from tests.bench.report import Goal, table, write
from tests.support.chain import QUIET, Chain, took
from tests.support.databases import create_database, drop_database
from tests.support.servers import RedisServer
from tests.support.troubles import FIRING, JOBS, LIMIT, OVER, TROUBLES
from tests.support.wait import eventually

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]
TURNS = 10
NAMES = {
    "backlog": f"{JOBS:,} jobs in a queue, from the last insert",
    "failures": "10 of 50 jobs failed, from the commit",
    "service": "an API answers 503",
    "listing": "an address is listed, from the answer that says so",
    "workers": "all workers dead, from the last heartbeat (`dead_after: 15s`)",
    "PostwatchExporterDown": "the exporter killed, the direct way",
    "PostwatchAlerterDown": "the alerter killed, the direct way",
}


@pytest.fixture(scope="module")
def chain(pg15: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    database = create_database(pg15)
    try:
        folder = tmp_path_factory.mktemp("chain")
        with RedisServer() as store, Chain(folder, database, store.url, turns=TURNS) as running:
            yield running
    finally:
        drop_database(database)


def test_trouble_is_a_page_within_a_minute_ten_times(chain: Chain) -> None:
    pages: dict[str, list[float]] = {name: [] for name in TROUBLES}
    messages: dict[str, list[float]] = {name: [] for name in TROUBLES}
    ends: dict[str, list[float]] = {name: [] for name in TROUBLES}
    seen = [_until_seen(chain, turn) for turn in range(TURNS)]
    for turn in range(TURNS):
        before = ["trigger", "resolve"] * turn
        since = {name: trouble.begin(chain, turn) for name, trouble in TROUBLES.items()}
        for name, trouble in TROUBLES.items():
            wanted = [*before, "trigger"]
            took(since[name], lambda: chain.actions(trouble.alert) == wanted, 2 * LIMIT)  # noqa: B023  # called at once
            pages[name].append(chain.told_at(trouble.alert) - since[name])
        for name, trouble in TROUBLES.items():
            messages[name].append(_shown(chain, FIRING, trouble.summary, since[name]))
        since = {name: trouble.end(chain, turn) for name, trouble in TROUBLES.items()}
        for name, trouble in TROUBLES.items():
            wanted = [*before, "trigger", "resolve"]
            took(since[name], lambda: chain.actions(trouble.alert) == wanted, 180)  # noqa: B023
            ends[name].append(chain.told_at(trouble.alert) - since[name])
            _shown(chain, OVER, trouble.summary, since[name])
    deaths = _deaths(chain)
    goals = [_goal(f"page: {NAMES[name]}", found, LIMIT) for name, found in pages.items()]
    goals += [_goal(f"page: {NAMES[name]}", [found], LIMIT) for name, found in deaths.items()]
    goals.append(_goal("a new job is in a dashboard's query", seen, 10))
    rows = [(NAMES[name], *(_figures(each[name]) for each in (pages, messages, ends))) for name in TROUBLES]
    text = (
        f"The shipped files of deploy/prometheus, with other addresses and `keep_firing_for: 5s`; the exporter's own"
        f" intervals (5 s). All troubles come at once, {TURNS} times, on one chain; PagerDuty and Slack are stand-ins."
        " Services are probed every 10 s. Seconds, each run in order.\n\n"
        + table(["trouble", "to PagerDuty's trigger", "to Slack's message", "end to resolve"], rows)
    )
    write("chain", _versions(), goals, text)


def _shown(chain: Chain, sign: str, summary: str, since: float) -> float:
    return eventually(lambda: chain.shown_at(sign, summary, since) or 0.0, within=60) - since


def _until_seen(chain: Chain, turn: int) -> float:
    query = f'sum by (queue) (postwatch_queue_depth{{queue="{QUIET}"}})'
    eventually(lambda: chain.prometheus.value(query) == 0, within=30)
    since = chain.put_jobs(turn + 1, QUIET)
    seconds = took(since, lambda: chain.prometheus.value(query) == turn + 1, 30)
    chain.drain(QUIET)
    return seconds


def _deaths(chain: Chain) -> dict[str, float]:
    found = {}
    deaths = {"PostwatchExporterDown": chain.stop_exporter, "PostwatchAlerterDown": chain.stop_alerter}
    revive = {"PostwatchExporterDown": chain.start_exporter, "PostwatchAlerterDown": chain.alerter.start}
    for alert, kill in deaths.items():
        found[alert] = took(kill(), lambda: chain.straight(alert) == ["trigger"], 2 * LIMIT)  # noqa: B023
        revive[alert]()
        eventually(lambda: chain.straight(alert) == ["trigger", "resolve"], within=120)  # noqa: B023
    return found


def test_an_alertmanager_that_was_killed_knows_all_again_and_tells_nobody_twice(chain: Chain) -> None:
    """Killed it forgets whom it told, and Prometheus tells it again what fires."""
    backlog = TROUBLES["backlog"]
    before = chain.actions(backlog.alert)
    backlog.begin(chain, 0)
    eventually(lambda: chain.actions(backlog.alert) == [*before, "trigger"], within=LIMIT)
    chain.alertmanager.kill()
    chain.alertmanager.start()
    chain.until_known(backlog.alert)
    # What it knows again it tells again, in the first of its rounds of ten seconds.
    again = time.monotonic() + 25
    eventually(lambda: time.monotonic() > again, within=60)
    assert chain.actions(backlog.alert) == [*before, "trigger"]
    backlog.end(chain, 0)
    eventually(lambda: chain.actions(backlog.alert) == [*before, "trigger", "resolve"], within=120)


def _goal(name: str, seconds: list[float], limit: float) -> Goal:
    return Goal(name, f"≤ {limit:.0f} s", f"{max(seconds):.1f} s at most", max(seconds) <= limit)


def _figures(seconds: list[float]) -> str:
    return ", ".join(f"{each:.1f}" for each in seconds)


def _versions() -> str:
    said = []
    for program in ("prometheus", "prometheus-alertmanager"):
        done = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
        words = (done.stdout or done.stderr).split()
        said.append(f"{program} {words[words.index('version') + 1]}")
    return ", ".join(said)
