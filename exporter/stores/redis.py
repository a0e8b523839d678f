"""Health of a Redis: what `postwatch_redis_*` tells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from redis import exceptions

from chassis.exposition import Distribution, Reading
from chassis.units import format_duration, format_size
from exporter.jobs.histogram import Histogram
from exporter.model import Reason, Remark, SampleFailed
from exporter.parts import Level, Line, Part, PartContext, Table
from exporter.sampling.sampler import Run
from exporter.stores.absence import Absence, Absences
from exporter.stores.keyspace import KINDS, Sample, look, shares
from exporter.stores.options import RedisOptions
from exporter.stores.part import StorePart

PING_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)  # seconds
NEARLY_FULL = 0.9  # of the memory, from which the table warns
GAUGES = {
    "connected_clients": "redis_connected_clients",
    "used_memory": "redis_memory_used_bytes",
}
COUNTERS = {
    "total_commands_processed": "redis_commands_total",
    "keyspace_hits": "redis_keyspace_hits_total",
    "keyspace_misses": "redis_keyspace_misses_total",
    "evicted_keys": "redis_evicted_keys_total",
    "expired_keys": "redis_expired_keys_total",
}
NO_INFO = Absence(
    Reason.PERMISSION,
    "the Redis user may not run INFO",
    "ACL SETUSER … +info",
    (*GAUGES.values(), "redis_memory_max_bytes", *COUNTERS.values()),
)
NO_KEYS = Absence(
    Reason.PERMISSION,
    "the Redis user may not ask for the kinds of all keys",
    "ACL SETUSER … ~* +dbsize +randomkey +scan +type; from Redis 7 on %R~* is enough for keys",
    ("redis_keys",),
)


@dataclass
class Node:
    """What one server answered. None: the user may not ask for it."""

    info: Mapping[str, Any] | None = None
    size: int | None = None  # keys of the logical database
    sample: Sample | None = None


@dataclass(frozen=True)
class Figures:
    """What one look told, for the table. None: not known."""

    up: bool | None = None
    clients: int | None = None
    used: int | None = None  # bytes
    limit: int | None = None
    keys: int | None = None
    ping: float | None = None  # seconds


@dataclass
class Passed:
    """Counters of Redis' own. One server's are passed on as they are, and start anew when it does.

    Those of a cluster's primaries are added up by their increases: the sum would fall with each that restarts or goes,
    and a fall looks like a new start of them all.
    """

    totals: dict[str, int] = field(default_factory=dict)
    _before: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def take(self, nodes: Mapping[str, Mapping[str, Any]], *, cluster: bool) -> None:
        """Note INFO of each server by its address."""
        for name in COUNTERS:
            values = {address: int(info[name]) for address, info in nodes.items() if name in info}
            if not cluster or name not in self.totals:
                self.totals[name] = sum(values.values())
                continue
            for address, value in values.items():
                before = int(self._before.get(address, {}).get(name, value))
                self.totals[name] += value - before if value >= before else value
        self._before.update(nodes)


class RedisHealth(StorePart):
    """One watched Redis: a server, or all primaries of a cluster together."""

    def __init__(self, options: RedisOptions, context: PartContext) -> None:
        self._options = options
        self._labels = {**context.labels, **options.labels, "redis": options.name}
        self._store, account = context.store(options.url, options.budget)
        super().__init__("redis", options, context, account)
        self._ping = Histogram(PING_BUCKETS)
        self._passed = Passed()
        self._shares: dict[str, float] | None = None
        self._keys_due = float("-inf")  # monotonic
        self._absences = Absences(self.name)
        self._figures = Figures()

    def continue_from(self, before: Part) -> None:
        """As `Part.continue_from`."""
        if isinstance(before, RedisHealth):
            self._ping = before._ping
            if before._options.url == self._options.url:
                self._passed, self._shares = before._passed, before._shares

    def sample(self, run: Run) -> None:
        """Look once at each server."""
        try:
            nodes = self._ask(run)
        except SampleFailed:
            self._figures = Figures(up=False)
            self._tell(run, up=False)
            raise
        self._tell(run, up=True)
        readings = [*self._of_info(nodes), *self._of_keys(nodes)]
        run.publish(f"{self.name}: figures", readings)

    def _ask(self, run: Run) -> dict[str, Node]:
        nodes: dict[str, Node] = {}
        pings: list[float] = []
        sampled = run.clock.monotonic() >= self._keys_due
        with self._store.primaries(run) as clients:
            for address, client in clients.items():
                if run.left <= 0:
                    raise exceptions.TimeoutError(f"not done within {run.limit:g} s")
                node = nodes[address] = Node(_allowed(client.info), _allowed(client.dbsize))
                began = run.clock.monotonic()
                _allowed(client.ping)  # a refusal is an answer too
                pings.append(run.clock.monotonic() - began)
                if sampled and node.size is not None:
                    most = max(1, self._options.keys.sample // len(clients))
                    node.sample = _allowed(look, client, node.size, most)
        for ping in pings:
            self._ping.observe(ping)
        self._figures = Figures(True, ping=max(pings, default=None))
        if sampled:
            self._keys_due = run.clock.monotonic() + self._options.keys.interval
            samples = [node.sample for node in nodes.values() if node.sample is not None]
            self._shares = shares(samples) if len(samples) == len(nodes) else None
        return nodes

    def _tell(self, run: Run, *, up: bool) -> None:
        run.publish(
            f"{self.name}: up",
            [
                Reading("postwatch_redis_up", self._labels, float(up)),
                Reading("postwatch_redis_ping_seconds", self._labels, Distribution(*self._ping.snapshot())),
            ],
        )

    def _of_info(self, nodes: Mapping[str, Node]) -> Iterator[Reading]:
        known = {address: node.info for address, node in nodes.items() if node.info is not None}
        self._absences.say("info", [] if len(known) == len(nodes) else [NO_INFO])
        if len(known) < len(nodes):
            return
        self._passed.take(known, cluster="" not in nodes)
        sums = {name: sum(int(info[name]) for info in known.values()) for name in GAUGES}
        limits = [int(info.get("maxmemory", 0)) for info in known.values()]
        limit = sum(limits) if all(limits) else None
        for name, metric in GAUGES.items():
            yield Reading(f"postwatch_{metric}", self._labels, sums[name])
        if limit is not None:
            yield Reading("postwatch_redis_memory_max_bytes", self._labels, limit)
        for name, metric in COUNTERS.items():
            yield Reading(f"postwatch_{metric}", self._labels, self._passed.totals[name])
        seen = self._figures
        self._figures = Figures(seen.up, sums["connected_clients"], sums["used_memory"], limit, seen.keys, seen.ping)

    def _of_keys(self, nodes: Mapping[str, Node]) -> Iterator[Reading]:
        sizes = [node.size for node in nodes.values() if node.size is not None]
        missing = self._shares is None or len(sizes) < len(nodes)
        self._absences.say("keys", [NO_KEYS] if missing else [])
        if self._shares is None or missing:
            return
        size = sum(sizes)
        seen = self._figures
        self._figures = Figures(seen.up, seen.clients, seen.used, seen.limit, size, seen.ping)
        for kind in KINDS:
            yield Reading("postwatch_redis_keys", {**self._labels, "kind": kind}, round(self._shares[kind] * size))

    def table(self) -> Table:
        """As `Part.table`."""
        seen = self._figures
        cells = (
            self._options.name,
            _number(seen.clients),
            _size(seen.used),
            _size(seen.limit),
            _number(seen.keys),
            "–" if seen.ping is None else format_duration(round(seen.ping, 5)),
        )
        level, word = _judge(seen)
        columns = ("redis", "#clients", "#memory", "#of", "#keys", "#ping")
        return Table("Redis", columns, (Line(cells, word, level),))

    def check(self, run: Run) -> list[Remark]:
        """As `Part.check`."""
        try:
            nodes = self._ask(run)
        except SampleFailed as failure:
            return [Remark(self.name, failure.message, failure.advice, fatal=True)]
        missing = [NO_INFO] if any(node.info is None for node in nodes.values()) else []
        missing += [NO_KEYS] if any(node.sample is None for node in nodes.values()) else []
        return [absence.remark(self.name) for absence in missing]


def _allowed(ask: Any, *arguments: Any) -> Any:
    """An answer, or None if the user may not ask. `ask` is a method of redis-py's clients, which have no types."""
    try:
        return ask(*arguments)
    except exceptions.NoPermissionError:
        return None


def _judge(seen: Figures) -> tuple[Level, str]:
    if seen.up is None:
        return Level.UNKNOWN, "unknown"
    if not seen.up:
        return Level.BAD, "down"
    if seen.used and seen.limit and seen.used >= NEARLY_FULL * seen.limit:
        return Level.WARNING, "nearly full"
    return Level.GOOD, "up"


def _number(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _size(value: int | None) -> str:
    """To the megabyte."""
    return "–" if value is None else format_size(round(value / 2**20) * 2**20 or value)
