"""A few rules that the demo evaluates itself where no Prometheus is installed, told as Alertmanager would.

They say what deploy/prometheus says by the same names, but know no rates.
"""

from __future__ import annotations

import hashlib
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from demo.scrape import Scrape

NAMES = ("QueueBacklog", "QueueExpiryNear", "NoActiveWorkers", "ServiceDown", "ReputationAddressListed")
REPEAT = 60.0  # seconds after which what fires is told again


@dataclass(frozen=True)
class Firing:
    """One alert that fires."""

    name: str
    severity: str
    service: str
    summary: str
    description: str
    labels: Mapping[str, str] = field(default_factory=dict)
    lasts: float = 0.0  # seconds that it has to be seen before it is told

    @property
    def all_labels(self) -> dict[str, str]:
        return {"alertname": self.name, "severity": self.severity, "service": self.service, **self.labels}

    @property
    def fingerprint(self) -> str:
        text = json.dumps(sorted(self.all_labels.items()))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def evaluate(look: Scrape) -> Iterator[Firing]:
    """What fires by one look at /metrics."""
    yield Firing("Watchdog", "info", "postwatch", "The chain to the alerter works", "Fires always.")
    yield from _backlogs(look)
    yield from _expiries(look)
    yield from _workers(look)
    for labels, value in look.each("postwatch_service_state", state="down"):
        if value:
            about = {name: labels[name] for name in ("target", "kind")}
            text = f"{labels['target']} ({labels['kind']}) fails its probes."
            yield Firing("ServiceDown", "critical", labels["target"], "A service is down", text, about)
    tiers = {labels["blocklist"]: labels["tier"] for labels, _ in look.each("postwatch_dnsbl_blocklist_info")}
    for labels, value in look.each("postwatch_dnsbl_listed"):
        if value and tiers.get(labels["blocklist"]) == "critical":
            about = {name: labels[name] for name in ("ip", "blocklist")}
            text = f"{labels['ip']} is listed on {labels['blocklist']}."
            summary = "An address is on a critical blocklist"
            yield Firing("ReputationAddressListed", "critical", labels["ip"], summary, text, about)


def _backlogs(look: Scrape) -> Iterator[Firing]:
    for labels, depth in look.each("postwatch_queue_depth"):
        about = _queue(labels)
        limit = look.value("postwatch_queue_depth_threshold", level="page", **about)
        if limit is not None and depth > limit:
            text = f"{depth:.0f} jobs wait in {about['queue']} ({about['priority']}) of {about['source']}."
            summary = "A queue has more jobs waiting than its paging threshold"
            yield Firing("QueueBacklog", "critical", "queues", summary, text, about)


def _expiries(look: Scrape) -> Iterator[Firing]:
    for labels, moment in look.each("postwatch_queue_next_expiry_timestamp_seconds"):
        if moment - look.at < 900:
            about = _queue(labels)
            text = f"The next job of {about['queue']} ({about['priority']}) of {about['source']} is lost soon."
            summary = "Waiting jobs will expire within a quarter of an hour"
            yield Firing("QueueExpiryNear", "critical", "queues", summary, text, about)


def _workers(look: Scrape) -> Iterator[Firing]:
    for labels, count in look.each("postwatch_workers", state="active"):
        about = {"source": labels["source"]}
        # Where nothing waits and nobody is missed, nobody has to work.
        missed = look.value("postwatch_workers_expected", **about)
        if missed is None:
            missed = look.value("postwatch_workers", state="dead", **about)
        if not count and (missed or look.value("postwatch_queue_depth", **about) != 0):
            text = f"{labels['source']} has no active worker: its jobs wait."
            yield Firing("NoActiveWorkers", "critical", "workers", "No worker is active", text, about, lasts=10)


def _queue(labels: Mapping[str, str]) -> dict[str, str]:
    return {name: labels[name] for name in ("source", "queue", "priority")}


class Teller:
    """Tells the alerter what begins, what goes on and what ends, as an Alertmanager in its place would."""

    def __init__(self, url: str, clock: Callable[[], float] = time.time) -> None:
        self._url = url
        self._clock = clock
        self._seen: dict[str, float] = {}  # since when
        self._firing: dict[str, tuple[Firing, float, float]] = {}  # since when, and when last told

    def tell(self, look: Scrape) -> None:
        """One evaluation. What the alerter did not take is told again by the next."""
        now = self._clock()
        seen = {one.fingerprint: one for one in evaluate(look)}
        self._seen = {key: self._seen.get(key, now) for key in seen}
        found = {key: one for key, one in seen.items() if now - self._seen[key] >= one.lasts}
        known = self._firing
        news = [
            (one, known[key][1] if key in known else now, None)
            for key, one in found.items()
            if key not in known or now - known[key][2] >= REPEAT
        ]
        over = [(one, since, now) for key, (one, since, _) in known.items() if key not in found]
        if not news and not over:
            return
        groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for one, since, ended in (*news, *over):
            groups.setdefault((one.severity, one.service), []).append(_alert(one, since, ended))
        if not all(self._post(group, alerts) for group, alerts in groups.items()):
            return
        for one, since, _ in news:
            known[one.fingerprint] = (one, since, now)
        for one, _, _ in over:
            del known[one.fingerprint]

    def _post(self, group: tuple[str, str], alerts: list[dict[str, Any]]) -> bool:
        severity, service = group
        body = {
            "version": "4",
            "groupKey": f'{{}}:{{service="{service}", severity="{severity}"}}',
            "truncatedAlerts": 0,
            "status": "firing" if any(each["status"] == "firing" for each in alerts) else "resolved",
            "receiver": "alerter",
            "externalURL": "http://127.0.0.1/demo",
            "alerts": alerts,
        }
        request = urllib.request.Request(  # noqa: S310 — our own URL
            f"{self._url}/webhook", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 — our own URL
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


def _alert(one: Firing, since: float, ended: float | None) -> dict[str, Any]:
    return {
        "status": "firing" if ended is None else "resolved",
        "labels": one.all_labels,
        "annotations": {"summary": one.summary, "description": one.description},
        "startsAt": datetime.fromtimestamp(since, UTC).isoformat(),
        "endsAt": "0001-01-01T00:00:00Z" if ended is None else datetime.fromtimestamp(ended, UTC).isoformat(),
        "generatorURL": "http://127.0.0.1/demo",
        "fingerprint": one.fingerprint,
    }
