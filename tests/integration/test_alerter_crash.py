"""Killed at any moment, the alerter loses nothing that it accepted, and leaves no incident open."""

import random
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from demo.providers.pagerduty import PagerDuty
from tests.support.alerter import Alerter, Died
from tests.support.sender import Sender, faults, prove
from tests.support.wait import eventually

WORKERS = 16  # requests that may be under way at a kill, whose answers are lost then
COMMITS = 12  # commits after the start, at which the process may kill itself


def _suffer(folder: Path, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    with PagerDuty(rate=1_000_000) as provider:
        provider.always(faults(seed))
        receiver = {
            "name": "oncall", "kind": "pagerduty", "url": provider.url, "routing_key": provider.routing_key,
            "rate": "6000/min", "timeout": "1s",
        }  # fmt: skip
        with Alerter(folder, {"receivers": [receiver], "default": {"receivers": ["oncall"]}}) as alerter:
            sender = Sender(lambda: alerter.url, seed)
            for number in range(kills):
                if number % 2:
                    # At a commit: the process kills itself.
                    eventually(lambda: not alerter.running, within=60)
                else:
                    threading.Event().wait(chance.uniform(0.05, 0.8))
                alerter.kill()
                commit = str(3 + number // 2 * 7 % COMMITS)
                moment = chance.choice(["before", "after"])
                by = (
                    ("tests.support.crashing", commit, moment)
                    if number % 2 == 0 and number + 1 < kills
                    else ("alerter",)
                )
                with suppress(Died):  # some commits come before it answers
                    alerter.start(by=by)
            provider.always(None)
            sender.stop()
            eventually(lambda: not provider.open and alerter.value("postwatch_alerter_outbox_pending") == 0, within=60)
            told = prove(provider, sender, alerter.feed(limit=5000), kills * WORKERS)
            assert told > kills  # it was a stream


@pytest.mark.timeout(400)
def test_twenty_kills_lose_nothing(tmp_path: Path) -> None:
    _suffer(tmp_path, 20, seed=20)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_two_hundred_kills_lose_nothing(tmp_path: Path) -> None:
    _suffer(tmp_path, 200, seed=200)
