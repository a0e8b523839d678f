"""The whole chain, from exporter to those who are told, with the shipped configuration."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis
import yaml

from demo.outside import BLOCKLIST, SENDERS, Outside
from demo.people import People
from demo.process import free_port
from demo.providers.exchange import texts
from demo.shipped import Addresses, alertmanager_config, prometheus_config
from tests.support.alerter import Alerter
from tests.support.databases import Database
from tests.support.exporter import Daemon
from tests.support.jobs import add, change, queues
from tests.support.prometheus import Alertmanager, Prometheus
from tests.support.wait import eventually

BACKLOG, FAILING, QUIET = "email-sending", "analytics:daily-aggregate", "warmup:process"
WORKERS = ("worker-1", "worker-2", "worker-3")
LISTED = SENDERS[0]


class Chain:
    """All of it, well and quiet, inside a `with` block.

    Intervals and thresholds of queues are the exporter's defaults; workers and the service are looked at as quickly
    as it takes to be told of them within a minute.
    """

    def __init__(
        self, folder: Path, database: Database, redis_url: str, *, turns: int = 1, keep_firing: str = "5s"
    ) -> None:
        """`keep_firing` takes the place of the rules' `keep_firing_for`, which are minutes."""
        self.database = database
        self.outside = Outside()
        self.people = People()
        self._folder = folder
        self._redis_url = redis_url
        self._keep_firing = keep_firing
        self._queues = [BACKLOG, QUIET, *(f"{FAILING}-{turn}" for turn in range(turns))]
        self._store = redis.Redis.from_url(redis_url, decode_responses=True)
        self._stack = ExitStack()
        self._jobs: dict[str, list[Any]] = {}

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._start(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _start(self, stack: ExitStack) -> None:
        stack.callback(self._store.close)
        stack.enter_context(self.outside)
        stack.enter_context(self.people)
        ports = {name: free_port() for name in ("exporter", "alerter", "prometheus", "alertmanager")}
        places = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
        addresses = Addresses(**places, pagerduty=self.people.pagerduty.url, slack=self.people.slack.hook_url)
        folders = {name: self._folder / name for name in (*ports, "secrets")}
        for folder in folders.values():
            folder.mkdir()
        with self.database.connect() as owner:
            queues(owner, *self._queues)
        self.beat()
        self.exporter = Daemon(folders["exporter"], self._exporter_config(places["exporter"]))
        stack.enter_context(self.exporter)
        config = self.people.alerter_config(folders["alerter"], ports["alerter"], [f"http://{places['alertmanager']}"])
        given = yaml.safe_load(config)
        given["web"]["bearer_token"] = None  # as shipped: on loopback, without a proof
        self.alerter = stack.enter_context(Alerter(folders["alerter"], given))
        text = alertmanager_config(folders["secrets"], addresses, self.people.pagerduty.routing_key)
        self.alertmanager = stack.enter_context(Alertmanager(text, folders["alertmanager"], port=ports["alertmanager"]))
        text = prometheus_config(folders["prometheus"], addresses, keep_firing=self._keep_firing)
        # A restarted Alertmanager is told again what fires; by default within a minute.
        options = ["--rules.alert.resend-delay=10s"]
        self.prometheus = stack.enter_context(
            Prometheus(text, folders["prometheus"], port=ports["prometheus"], options=options)
        )
        # Jobs are counted from the first look on, and rates are of what comes after a first value.
        looked = (
            f'postwatch_queue_jobs_finished_total{{queue="{FAILING}-0"}} == 0'
            ' and on () postwatch_sampler_up{sampler="changes"} == 1 and on () up{job="postwatch-alerter"} == 1'
        )
        eventually(lambda: self.prometheus.query(looked), within=60)

    def _exporter_config(self, listen: str) -> dict[str, Any]:
        ports = self.outside.ports
        return {
            "web": {"listen": listen},
            "queues": [
                {
                    "name": "mail",
                    "kind": "hybrid",
                    "postgres": self.database.reader_url,
                    "redis": self._redis_url,
                    "schema": "penguinmails",
                    "workers": {"expected": len(WORKERS), "dead_after": "15s"},
                }
            ],
            "services": [
                {"name": "api", "kind": "http", "url": f"http://127.0.0.1:{ports['api']}/health", "interval": "10s"}
            ],
            "reputation": {
                "interval": "5s",
                "resolvers": [f"127.0.0.1:{ports['names']}"],
                "blocklists": [{"zone": BLOCKLIST, "severity": "critical", "weight": 60}],
                "addresses": [{"ip": LISTED, "provider": "demo"}],
            },
        }

    # What may happen; each answers the moment from which the time runs, by the monotonic clock.

    def put_jobs(self, count: int, queue: str = BACKLOG) -> float:
        """Puts jobs into a queue, a thousand at a time."""
        with self.database.connect() as owner:
            for start in range(0, count, 1000):
                ids = add(owner, count=min(1000, count - start), queue_name=queue)
                self._jobs.setdefault(queue, []).extend(ids)
            return time.monotonic()

    def drain(self, queue: str = BACKLOG) -> float:
        """Completes what was put there."""
        ids = self._jobs.pop(queue, [])
        with self.database.connect() as owner:
            for start in range(0, len(ids), 1000):
                some = ids[start : start + 1000]
                change(owner, some, status="completed", started=-0.2, completed=0, updated=0)
            return time.monotonic()

    def end_jobs(self, queue: str, completed: int = 0, failed: int = 0) -> float:
        """Jobs that begin and end at once."""
        with self.database.connect() as owner:
            fates: tuple[tuple[int, dict[str, Any]], ...] = (
                (completed, {"status": "completed", "completed": 0}),
                (failed, {"status": "failed", "failed": 0}),
            )
            for count, fate in fates:
                if count:
                    add(owner, count=count, queue_name=queue, started=-0.2, updated=0, **fate)
            return time.monotonic()

    def beat(self) -> float:
        """Heartbeats of all workers, an hour ahead: they live until `die`."""
        for worker in WORKERS:
            self._store.sadd("workers:active", worker)
            state: dict[Any, Any] = {"status": "active", "capacity": 4, "last_heartbeat": time.time() + 3600}
            self._store.hset(f"worker:{worker}", mapping=state)
        return time.monotonic()

    def die(self) -> float:
        """The last heartbeat of all workers was just now."""
        for worker in WORKERS:
            self._store.hset(f"worker:{worker}", "last_heartbeat", str(time.time()))
        return time.monotonic()

    def stop_exporter(self) -> float:
        """Kills it."""
        self.exporter.kill()
        return time.monotonic()

    def start_exporter(self) -> None:
        """Where it was before."""
        self.exporter.__enter__()

    def stop_alerter(self) -> float:
        """Kills it."""
        self.alerter.kill()
        return time.monotonic()

    # What can be seen of it.

    def until_known(self, *names: str) -> None:
        """Waits until Alertmanager has these alerts.

        Of an alert that ends while it does not, it need not tell the end: that is what the reconciler is for.
        """

        def known() -> None:
            found = {each["labels"]["alertname"] for each in self.alertmanager.alerts()}
            assert found >= set(names), found

        eventually(known, within=90)

    def events(self, name: str) -> list[dict[str, Any]]:
        """What the alerter told PagerDuty about alerts of that name, in order."""
        keys = {one.key for one in self.people.pagerduty.incidents if one.events[0]["payload"].get("class") == name}
        return [event for event in self.people.pagerduty.events if event.get("dedup_key") in keys]

    def actions(self, name: str) -> list[str]:
        return [event["event_action"] for event in self.events(name)]

    def told_at(self, name: str) -> float:
        """When the alerter's last word about alerts of that name came to PagerDuty, by the monotonic clock."""
        last = self.events(name)[-1]
        bodies = [(json.loads(request.body), request.at) for request in self.people.pagerduty.requests]
        return max(at for body, at in bodies if body == last)

    def straight(self, name: str) -> list[str]:
        """What Alertmanager told PagerDuty by itself about alerts of that name: actions, in order."""
        pagerduty = self.people.pagerduty
        keys = {one.key for one in pagerduty.incidents if one.summary.startswith(f"{name}: ")}
        return [event["event_action"] for event in pagerduty.events if event.get("dedup_key") in keys]

    def shown_at(self, sign: str, summary: str, since: float = 0.0) -> float | None:
        """When a message in Slack first had a line with that sign and these words, since a moment; None: not yet.

        A group's message goes on changing, so what it has become in the end says less.
        """
        line = re.compile(f":{sign}:.*{re.escape(summary)}")
        for request in list(self.people.slack.requests):
            if request.at >= since and any(line.search(text) for text in texts(json.loads(request.body))):
                return request.at
        return None


def took(since: float, check: Callable[[], object], within: float = 60.0) -> float:
    """Seconds from the moment `since` until the check holds."""
    eventually(check, within=max(within - (time.monotonic() - since), 0.1))
    return time.monotonic() - since
