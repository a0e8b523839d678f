"""Who tells the alerter alerts as fast as asked, and what is looked at meanwhile."""

import gzip
import http.client
import json
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import psutil

from demo.providers import PagerDuty
from tests.support.alerter import TOKEN, Alerter, alert, payload

HEADERS = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
SERVICES = [f"service-{number}" for number in range(20)]


def labelled(number: int, severity: str = "warning") -> dict[str, Any]:
    """An alert with as many labels and words as they usually have."""
    told = alert(
        "QueueBacklog",
        severity=severity,
        service=SERVICES[number % len(SERVICES)],
        queue=f"queue-{number}",
        priority="high",
        instance=f"10.0.0.{number % 250}:9797",
        job="postwatch-exporter",
        cluster="eu-1",
    )
    told["annotations"] |= {
        "description": f"{number} jobs wait, the oldest for 12 minutes; its target is 1 minute.",
        "runbook_url": "https://runbooks.example.com/QueueBacklog",
        "dashboard_url": "https://grafana.example.com/d/queues",
    }
    return told


def webhook(*alerts: dict[str, Any], group: str) -> bytes:
    """A body."""
    return json.dumps(payload(*alerts, group=group)).encode()


class Line:
    """A connection that is kept, as Alertmanager keeps its own."""

    def __init__(self, alerter: Alerter) -> None:
        place = urlsplit(alerter.url)
        self._connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=60)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def post(self, body: bytes, *, packed: bool = False) -> int:
        """The status; 0 if there was no answer."""
        headers = {**HEADERS, "Content-Encoding": "gzip"} if packed else HEADERS
        try:
            self._connection.request("POST", "/webhook", body, headers)
            answer = self._connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            return 0
        return answer.status

    def get(self, path: str) -> int:
        """The status."""
        self._connection.request("GET", path, headers=HEADERS)
        answer = self._connection.getresponse()
        answer.read()
        return answer.status


def told_steadily(alerter: Alerter, bodies: Sequence[bytes], rate: float, lines: int = 16) -> tuple[list[float], int]:
    """Sends each when its time has come, again until it is taken; answers when each was first sent, and refusals."""
    sent = [0.0] * len(bodies)
    refused = [0] * lines
    began = time.monotonic() + 0.1

    def work(which: int) -> None:
        with Line(alerter) as line:
            for number in range(which, len(bodies), lines):
                time.sleep(max(began + number / rate - time.monotonic(), 0))
                sent[number] = time.monotonic()
                while line.post(bodies[number]) != 200:
                    refused[which] += 1
                    time.sleep(0.2)

    with ThreadPoolExecutor(lines) as pool:
        list(pool.map(work, range(lines)))
    return sent, sum(refused)


def told_at_will(alerter: Alerter, bodies: Iterator[bytes], lines: int, seconds: float) -> list[float]:
    """Each line sends one after the other; answers the seconds that each answer took."""
    until = time.monotonic() + seconds

    def work(_which: int) -> list[float]:
        took = []
        with Line(alerter) as line:
            while time.monotonic() < until:
                with lock:
                    body = next(bodies)
                start = time.perf_counter()
                assert line.post(body) == 200
                took.append(time.perf_counter() - start)
        return took

    lock = threading.Lock()
    with ThreadPoolExecutor(lines) as pool:
        return [each for some in pool.map(work, range(lines)) for each in some]


@contextmanager
def meanwhile(work: Callable[[], None], every: float) -> Iterator[None]:
    """Does `work` again and again in a thread; what it raises is raised at the end."""
    over = threading.Event()
    trouble: list[BaseException] = []

    def run() -> None:
        while not over.wait(every):
            try:
                work()
            except BaseException as error:
                trouble.append(error)
                return

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(60)
    if trouble:
        raise trouble[0]


class Memory:
    """The most that the daemon and its children had in memory at one time, in bytes."""

    def __init__(self, alerter: Alerter) -> None:
        self._process = psutil.Process(alerter.pid)
        self.most = 0
        self.look()

    def look(self) -> None:
        every = [self._process, *self._process.children(recursive=True)]
        self.most = max(self.most, sum(int(each.memory_info().rss) for each in every))


def oncall(provider: PagerDuty, rate: str) -> dict[str, Any]:
    """A configuration that pages for everything."""
    receiver = {
        "name": "oncall", "kind": "pagerduty", "url": provider.url, "routing_key": provider.routing_key, "rate": rate,
    }  # fmt: skip
    return {"receivers": [receiver], "default": {"receivers": ["oncall"]}}


def counted(provider: PagerDuty) -> int:
    """Alerts that were named or counted in what the provider accepted: the triggers' own figures."""
    triggers = [event for event in provider.events if event["event_action"] == "trigger"]
    return sum(event["payload"]["custom_details"].get("Alerts", 1) for event in triggers)


def p99(times: Sequence[float]) -> float:
    return statistics.quantiles(times, n=100)[98]


def packed(body: bytes) -> bytes:
    return gzip.compress(body, 6)
