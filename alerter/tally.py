"""Counts what happens, from many threads, and tells it as readings. All series are there from the start, at 0."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from alerter.catalogue import BUCKETS
from alerter.model import Alert, Reason, Severity, Status
from chassis.exposition import Distribution, Reading

CODES = (200, 400, 401, 413, 503)
OUTCOMES = ("accepted", "dead", "superseded", "collapsed")


class Tally:
    """Everything that the alerter counts in memory."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._webhooks: Counter[int] = Counter()
        self._alerts: Counter[tuple[Status, Severity]] = Counter()
        self._deliveries: Counter[tuple[str, str]] = Counter()
        self._failures: Counter[tuple[str, Reason]] = Counter()
        self._seconds: dict[tuple[str, Severity], tuple[list[int], float]] = {}
        self._templates = 0

    def webhook(self, code: int) -> None:
        """A webhook was answered."""
        with self._lock:
            self._webhooks[code] += 1

    def taken(self, alerts: Iterable[Alert]) -> None:
        """Alerts were taken in."""
        with self._lock:
            self._alerts.update((alert.status, alert.severity) for alert in alerts)

    def delivered(self, receiver: str, severity: Severity, seconds: float) -> None:
        """Accepted, so long after the webhook."""
        with self._lock:
            counts, total = self._seconds.get((receiver, severity), ([0] * (len(BUCKETS) + 1), 0.0))
            counts[bisect_left(BUCKETS, seconds)] += 1
            self._seconds[receiver, severity] = (counts, total + seconds)

    def ended(self, receiver: str, outcome: str) -> None:
        """A delivery is done with."""
        with self._lock:
            self._deliveries[receiver, outcome] += 1

    def failed(self, receiver: str, reason: Reason) -> None:
        """An attempt failed."""
        with self._lock:
            self._failures[receiver, reason] += 1

    def template_failed(self, _receiver: str) -> None:
        """A template failed."""
        with self._lock:
            self._templates += 1

    def expired(self, receiver: str) -> None:
        """A delivery was given up since its time was over."""
        self.failed(receiver, Reason.EXPIRED)
        self.ended(receiver, "dead")

    def superseded(self, receivers: Mapping[str, int]) -> None:
        """So many deliveries to each need no word any more."""
        with self._lock:
            for receiver, count in receivers.items():
                self._deliveries[receiver, "superseded"] += count

    def readings(self, receivers: Iterable[str]) -> Iterator[Reading]:
        """All of it, for these receivers."""
        with self._lock:
            for code in sorted({*CODES, *self._webhooks}):
                yield _reading("webhooks_total", self._webhooks[code], code=str(code))
            for status in Status:
                for severity in Severity:
                    count = self._alerts[status, severity]
                    yield _reading("alerts_total", count, status=status, alert_severity=severity)
            for name in receivers:
                for outcome in OUTCOMES:
                    yield _reading("deliveries_total", self._deliveries[name, outcome], receiver=name, outcome=outcome)
                for reason in Reason:
                    count = self._failures[name, reason]
                    yield _reading("delivery_failures_total", count, receiver=name, reason=reason)
                for severity in Severity:
                    counts, total = self._seconds.get((name, severity), ([0] * (len(BUCKETS) + 1), 0.0))
                    labels = {"receiver": name, "alert_severity": severity.value}
                    value = Distribution(BUCKETS, tuple(counts), total)
                    yield Reading("postwatch_alerter_delivery_seconds", labels, value)
            yield _reading("template_failures_total", self._templates)


def _reading(name: str, value: float, **labels: str) -> Reading:
    return Reading(f"postwatch_alerter_{name}", {key: str(each) for key, each in labels.items()}, value)
