"""Two further loads of the measurement of scale: queues, and addresses in blocklists."""

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from tests.bench import bed
from tests.bench.churn import Churn
from tests.support.databases import Database
from tests.support.dns import Rbldnsd, Unbound, blocklist, reverse
from tests.support.servers import Postgres15, RedisServer

SOURCES = 8
ENDED = 10_000  # rows of each source
RATE = 20  # jobs a second of each source
LISTS = 20
QUESTIONS = 100  # a second are allowed
ANSWERED = 40  # a second, at the least, beside all the rest on this machine
_LOOK = re.compile(
    rb'^postwatch_sampler_last_success_timestamp_seconds\{sampler="changes",source="(.+?)"\} (.+)$', re.M
)
_PLANNED = re.compile(rb'^postwatch_sampler_interval_seconds\{sampler="changes",source="(.+?)"\} (.+)$', re.M)
_CHECKED = re.compile(rb"^postwatch_dnsbl_checked_timestamp_seconds\{", re.M)


class Queues:
    """So many queues, in eight databases with jobs that come and go, each with a Redis database."""

    name = f"queues over {SOURCES} sources"

    def __init__(self, count: int, postgres: Postgres15, redis: RedisServer) -> None:
        self.count = count - count % SOURCES
        self._postgres, self._redis = postgres, redis
        self._databases: list[Database] = []
        self._last: dict[bytes, float] = {}  # by source: the last look
        self._longest: dict[bytes, float] = {}  # and the longest time between two, by what was planned
        self._planned: dict[bytes, float] = {}  # seconds, as the exporter tells them
        self.stretched = 0.0  # the longest of those

    @contextmanager
    def running(self) -> Iterator["Queues"]:
        """With the databases and their writers."""
        with ExitStack() as stack:
            each = self.count // SOURCES
            for _ in range(SOURCES):
                database = stack.enter_context(bed.filled(self._postgres, ENDED, queues=each))
                stack.enter_context(Churn(database.url, RATE, queues=each))
                self._databases.append(database)
            yield self

    def config(self) -> dict[str, Any]:
        shared = {"kind": "hybrid", "schema": "penguinmails"}
        server = self._redis.url.removesuffix("/0")
        return {
            "queues": [
                {**shared, "name": f"source-{n}", "postgres": database.reader_url, "redis": f"{server}/{n}"}
                for n, database in enumerate(self._databases)
            ]
        }

    def settled(self) -> float:
        return 3 * bed.INTERVAL

    def begin(self) -> None:
        self._last.clear()
        self._longest.clear()
        self._planned.clear()
        self.stretched = 0.0

    def saw(self, body: bytes) -> None:
        """The time between two looks, as anybody sees it.

        The budget of a database that was slow for a moment stretches its interval, and the exporter says so: a look is
        late when it comes later than was said.
        """
        before, self._planned = self._planned, {source: float(each) for source, each in _PLANNED.findall(body)}
        self.stretched = max([self.stretched, *self._planned.values()])
        for source, at in _LOOK.findall(body):
            took = float(at) - self._last.get(source, float(at))
            planned = max(self._planned[source], before.get(source, 0.0))
            self._last[source] = float(at)
            self._longest[source] = max(self._longest.get(source, 0.0), took / planned)

    def overrun(self) -> float:
        assert len(self._longest) == SOURCES, f"{len(self._longest)} of {SOURCES} were looked at"
        return max(self._longest.values()) - 1


class Pairs:
    """So many pairs of address and blocklist at the default interval of 30 minutes, once the first round is over."""

    name = "address-list pairs"

    def __init__(self, count: int) -> None:
        self.count = count
        self._addresses = [f"198.51.100.{n}" for n in range(count // LISTS)]
        self._resolver = ""
        self._checked = 0

    @contextmanager
    def running(self) -> Iterator["Pairs"]:
        """With its blocklists, each of which lists one address in ten, behind a resolver."""
        zones = {zone: blocklist({reverse(ip): ["127.0.0.2"] for ip in self._listed(n)}) for n, zone in _zones()}
        with Rbldnsd(zones) as lists, Unbound(lists) as unbound:
            self._resolver = unbound.address
            yield self

    def config(self) -> dict[str, Any]:
        return {
            "reputation": {
                "queries_per_second": QUESTIONS,
                "resolvers": [self._resolver],
                "blocklists": [{"zone": zone} for _, zone in _zones()],
                "addresses": [{"ip": ip, "provider": "own"} for ip in self._addresses],
            }
        }

    def settled(self) -> float:
        return self.count / ANSWERED + 20

    def begin(self) -> None:
        self._checked = 0

    def saw(self, body: bytes) -> None:
        """How many pairs have been looked at."""
        self._checked = len(_CHECKED.findall(body))

    def overrun(self) -> float:
        # Their interval is longer than this measurement: the one of reputation alone shows how it is kept.
        assert self._checked == self.count, f"{self._checked} of {self.count} pairs were looked at"
        return 0.0

    def _listed(self, number: int) -> Sequence[str]:
        return self._addresses[number % 10 :: 10]


def _zones() -> list[tuple[int, str]]:
    return [(number, f"list-{number}.lists.example") for number in range(LISTS)]
