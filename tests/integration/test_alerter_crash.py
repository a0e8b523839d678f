"""Killed at any moment, the alerter loses nothing that it accepted, and leaves no incident open."""

import json
import random
import threading
from collections import Counter
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from alerter.model import alert_key
from demo.providers.pagerduty import PagerDuty
from demo.providers.server import Fault, Request
from tests.support.alerter import TOKEN, Alerter, Died, alert, payload
from tests.support.wait import eventually

WORKERS = 8  # requests that may be under way at a kill, whose answers are lost then
SENDERS = 4
COMMITS = 12  # commits after the start, at which the process may kill itself


class Sender:
    """Tells alerts as Alertmanager does: again after network errors and 5xx, until it is answered 200."""

    def __init__(self, alerter: Alerter, seed: int) -> None:
        self.accepted: list[tuple[str, str]] = []  # fingerprint and status, in order
        self._alerter = alerter
        self._random = random.Random(seed)
        self._stopping = threading.Event()
        self._numbers = count(1)
        self._client = httpx.Client(headers={"Authorization": f"Bearer {TOKEN}"}, timeout=10)
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(SENDERS)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends what is open, then itself."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()
        self._client.close()

    def _run(self) -> None:
        firing: list[tuple[int, dict[str, Any]]] = []
        while not self._stopping.is_set():
            number = next(self._numbers)
            begins = alert(f"Crash{number}", severity=self._random.choice(["critical", "warning"]))
            self._tell(begins)
            firing.append((number, begins))
            if len(firing) > 2:
                self._end(*firing.pop(self._random.randrange(len(firing))))
            self._stopping.wait(0.1)
        for each in firing:
            self._end(*each)

    def _end(self, number: int, begun: dict[str, Any]) -> None:
        self._tell(alert(f"Crash{number}", "resolved", severity=begun["labels"]["severity"]))

    def _tell(self, told: dict[str, Any]) -> None:
        while True:
            try:
                url = f"{self._alerter.url}/webhook"
                body = payload(told, group=f"{{}}:{{alertname={told['labels']['alertname']}}}")
                answer = self._client.post(url, json=body)
                if answer.status_code == 200:
                    self.accepted.append((told["fingerprint"], told["status"]))
                    return
                assert answer.status_code >= 500, answer.text
            except httpx.TransportError:
                pass
            threading.Event().wait(0.2)


def _faults(seed: int) -> Any:
    chance = random.Random(seed)

    def fault(_request: Request) -> Fault | None:
        kinds = [Fault.status(500), Fault.status(429, retry_after="1"), Fault.reset(), Fault.lost(), Fault.hang(30)]
        return chance.choices([None, *kinds], [75, 8, 2, 6, 7, 2])[0]

    return fault


def _suffer(folder: Path, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    with PagerDuty(rate=1_000_000) as provider:
        provider.always(_faults(seed))
        receiver = {
            "name": "oncall", "kind": "pagerduty", "url": provider.url, "routing_key": provider.routing_key,
            "rate": "6000/min", "timeout": "1s",
        }  # fmt: skip
        with Alerter(folder, {"receivers": [receiver], "default": {"receivers": ["oncall"]}}) as alerter:
            sender = Sender(alerter, seed)
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
            _prove(provider, sender, kills, alerter)


def _prove(provider: PagerDuty, sender: Sender, kills: int, alerter: Alerter) -> None:
    told: dict[str, list[str]] = {}
    for event in provider.events:
        told.setdefault(event["dedup_key"], []).append(event["event_action"])
    keys = {each["fingerprint"]: alert_key(each["source"], each["fingerprint"]) for each in alerter.feed(limit=5000)}
    severities = {each["fingerprint"]: each["severity"] for each in alerter.feed(limit=5000)}
    for fingerprint, status in sender.accepted:
        actions = told.get(keys[fingerprint], [])
        if not actions:
            # What ended before it could be told need not be told, unless it is critical.
            assert severities[fingerprint] != "critical", f"{fingerprint} was lost"
            continue
        assert actions[0] == "trigger", actions
        assert actions[-1] == "resolve" or status == "firing", actions
    assert len(keys) == len({fingerprint for fingerprint, _ in sender.accepted})
    assert not provider.open
    twice = sum(n - 1 for n in Counter((e["dedup_key"], e["event_action"]) for e in provider.events).values())
    lost = sum(1 for request in provider.lost_answers if json.loads(request.body))
    assert twice <= lost + kills * WORKERS
    assert len(told) > kills  # it was a stream


@pytest.mark.timeout(400)
def test_twenty_kills_lose_nothing(tmp_path: Path) -> None:
    _suffer(tmp_path, 20, seed=20)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_two_hundred_kills_lose_nothing(tmp_path: Path) -> None:
    _suffer(tmp_path, 200, seed=200)
