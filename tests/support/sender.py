"""Who tells an alerter alerts as Alertmanager does, in a stream, and the proof that none was lost."""

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from itertools import count
from typing import Any

import httpx

from alerter.model import alert_key
from demo.providers.exchange import Fault, Request
from demo.providers.pagerduty import PagerDuty
from tests.support.alerter import TOKEN, alert, payload

SENDERS = 4


class Sender:
    """Tells alerts, and their ends: again after network errors and 5xx, until it is answered 200."""

    def __init__(self, where: Callable[[], str], seed: int) -> None:
        """`where` names an alerter to ask, at each attempt anew."""
        self.accepted: list[tuple[str, str]] = []  # fingerprint and status, in order
        self._where = where
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
            begins = alert(f"Stream{number}", severity=self._random.choice(["critical", "warning"]))
            self._tell(begins)
            firing.append((number, begins))
            if len(firing) > 2:
                self._end(*firing.pop(self._random.randrange(len(firing))))
            self._stopping.wait(0.1)
        for each in firing:
            self._end(*each)

    def _end(self, number: int, begun: dict[str, Any]) -> None:
        self._tell(alert(f"Stream{number}", "resolved", severity=begun["labels"]["severity"]))

    def _tell(self, told: dict[str, Any]) -> None:
        body = payload(told, group=f"{{}}:{{alertname={told['labels']['alertname']}}}")
        while True:
            try:
                answer = self._client.post(f"{self._where()}/webhook", json=body)
                if answer.status_code == 200:
                    self.accepted.append((told["fingerprint"], told["status"]))
                    return
                assert answer.status_code >= 500, answer.text
            except httpx.TransportError:
                pass
            threading.Event().wait(0.2)


def faults(seed: int) -> Callable[[Request], Fault | None]:
    """A provider that fails at random, in all ways."""
    chance = random.Random(seed)

    def fault(_request: Request) -> Fault | None:
        kinds = [Fault.status(500), Fault.status(429, retry_after="1"), Fault.reset(), Fault.lost(), Fault.hang(30)]
        return chance.choices([None, *kinds], [75, 8, 2, 6, 7, 2])[0]

    return fault


def prove(provider: PagerDuty, sender: Sender, feed: Iterable[Mapping[str, Any]], twice: int) -> int:
    """Nothing was lost, and all is in order; at most `twice` messages more than lost answers explain came again.

    Answers how many alerts the provider was told of.
    """
    told: dict[str, list[str]] = {}
    for event in provider.events:
        told.setdefault(event["dedup_key"], []).append(event["event_action"])
    known = {each["fingerprint"]: (alert_key(each["source"], each["fingerprint"]), each["severity"]) for each in feed}
    for fingerprint, status in sender.accepted:
        key, severity = known[fingerprint]
        actions = told.get(key, [])
        if not actions:
            # What ended before it could be told need not be told, unless it is critical.
            assert severity != "critical", f"{fingerprint} was lost"
            continue
        assert actions[0] == "trigger", actions
        assert actions[-1] == "resolve" or status == "firing", actions
    assert len(known) == len({fingerprint for fingerprint, _ in sender.accepted})
    assert not provider.open
    again = sum(n - 1 for n in Counter((e["dedup_key"], e["event_action"]) for e in provider.events).values())
    assert again <= len(provider.lost_answers) + twice
    return len(told)
