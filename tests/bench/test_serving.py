"""What it takes to answer scrapes, and what the daemon takes to run."""

import http.client
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from chassis.board import Board
from chassis.clock import SystemClock
from chassis.exposition import Distribution, Format, Reading
from exporter.catalogue import CATALOGUE
from tests.bench import bed, report
from tests.bench.bed import INTERVAL, Daemon, Meter
from tests.bench.churn import Churn
from tests.bench.report import Goal
from tests.support.servers import Postgres15, RedisServer

SERIES = 10_000
SCRAPES = 20  # a second
SECONDS = 45
P99 = 0.010
TIMES_FASTER = 10
CPU = 0.03  # of a core
MEMORY = 120 * 2**20
GROWTH = 3 * 2**20  # what counts as flat
MANY = 10_000  # samples

pytestmark = [pytest.mark.bench, pytest.mark.timeout(900)]


def scrape_times(daemon: Daemon, **headers: str) -> tuple[list[float], bytes]:
    """Seconds from each request to the last byte of its answer, at a steady rate; and the last answer."""
    connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=10)
    times: list[float] = []
    body = b""
    began = time.monotonic()
    for number in range(SCRAPES * SECONDS):
        time.sleep(max(began + number / SCRAPES - time.monotonic(), 0))
        start = time.perf_counter()
        connection.request("GET", "/metrics", headers=headers)
        body = connection.getresponse().read()
        times.append(time.perf_counter() - start)
    connection.close()
    return times, body


def lines(body: bytes) -> int:
    """Series in an exposition."""
    return sum(not line.startswith(b"#") for line in body.splitlines())


def percentile(times: list[float], which: int) -> float:
    return statistics.quantiles(times, n=100)[which - 1]


class Fixed(Collector):
    """The same families again and again."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        yield from self._families


def rendering(body: bytes) -> tuple[float, float]:
    """Seconds for one exposition after a change: by `generate_latest`, and by the board. Medians."""
    families = list(text_string_to_metric_families(body.decode()))
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Fixed(families))
    board = Board([metric.family for metric in CATALOGUE], SystemClock())
    readings = list(_readings(families))
    board.publish("all but one", readings[1:])
    assert lines(board.body(Format.TEXT)) == lines(body) - 1
    theirs, ours = [], []
    for _ in range(30):
        start = time.perf_counter()
        generate_latest(registry)
        theirs.append(time.perf_counter() - start)
        board.publish("one", readings[:1])
        start = time.perf_counter()
        board.body(Format.TEXT)
        ours.append(time.perf_counter() - start)
    return statistics.median(theirs), statistics.median(ours)


def _readings(families: list[Metric]) -> Iterator[Reading]:
    for family in families:
        if family.type != "histogram":
            yield from (Reading(sample.name, sample.labels, sample.value) for sample in family.samples)
            continue
        bounds: list[float] = []
        counts: list[int] = []
        for sample in family.samples:
            if sample.name.endswith("_bucket"):
                bounds.append(float(sample.labels["le"]))
                counts.append(int(sample.value))
            elif sample.name.endswith("_count"):
                each = tuple(b - a for a, b in zip([0, *counts], counts, strict=False))
                yield Reading(family.name, sample.labels, Distribution(tuple(bounds[:-1]), each, 1.5))
                bounds, counts = [], []


def queues(count: int) -> list[str]:
    return [f"queue-{number}" for number in range(1, count + 1)]


def test_scrapes_of_many_series_take_milliseconds(server: Postgres15, tmp_path: Path) -> None:
    with (
        bed.filled(server, 100_000, queues=48) as database,
        RedisServer() as lists,
        Churn(database.url, 500, queues=48),
        Daemon(
            tmp_path,
            postgres=database.reader_url,
            redis=lists.url,
            schema="penguinmails",
            targets={
                f"queue:{name}{suffix}": {"target": "1m"} for name in queues(48) for suffix in ("", ":high", ":low")
            },
        ) as daemon,
    ):
        time.sleep(2 * INTERVAL)
        plain, body = scrape_times(daemon)
        packed, _ = scrape_times(daemon, **{"Accept-Encoding": "gzip"})
    theirs, ours = rendering(body)
    series = lines(body)
    assert series >= SERIES, series
    p99, median = percentile(plain, 99), statistics.median(plain)
    faster = theirs / median
    goals = [
        Goal(f"p99 of a scrape of {series:,} series", f"< {1e3 * P99:.0f} ms", f"{1e3 * p99:.1f} ms", p99 < P99),
        Goal("faster than `generate_latest`", f"≥ {TIMES_FASTER} times", f"{faster:.0f} times", faster >= TIMES_FASTER),
    ]
    rows = [
        ["over HTTP", f"{1e3 * median:.2f}", f"{1e3 * p99:.2f}", f"{1e3 * max(plain):.1f}"],
        [
            "over HTTP, gzip",
            *(f"{1e3 * t:.2f}" for t in (statistics.median(packed), percentile(packed, 99), max(packed))),
        ],
        ["joining the rendered parts, after a change", f"{1e3 * ours:.2f}", "", ""],
        ["`generate_latest`", f"{1e3 * theirs:.2f}", "", ""],
    ]
    text = (
        f"{SCRAPES} scrapes a second for {SECONDS} s over one connection, {len(body) / 2**20:.1f} MiB each, while"
        " the daemon samples 144 queues every 5 s and 500 jobs/s end. `generate_latest` (prometheus-client) renders the"
        " same families, already collected; what it is compared with is the whole scrape over HTTP. The daemon renders"
        " a series when it samples it.\n\n" + report.table(["", "median ms", "p99 ms", "longest ms"], rows)
    )
    report.write("scrapes", server.version(), goals, text)


def test_fifty_queues_take_little(server: Postgres15, tmp_path: Path) -> None:
    names = [f"queue:{name}" for name in queues(50)]
    with (
        bed.filled(server, 100_000, queues=50) as database,
        RedisServer() as lists,
        Churn(database.url, 100, queues=50),
        Daemon(
            tmp_path,
            postgres=database.reader_url,
            redis=lists.url,
            schema="penguinmails",
            targets={name: {"target": "1m"} for name in names},
        ) as daemon,
    ):
        time.sleep(2 * INTERVAL)
        before, began = daemon.cpu(), time.monotonic()
        for _ in range(4):
            time.sleep(3 * INTERVAL)
            daemon.scrape()
        cpu = (daemon.cpu() - before) / (time.monotonic() - began)
        memory = daemon.memory()
        series = lines(daemon.scrape())
    goals = [
        Goal("processor time", f"< {CPU:.0%} of a core", f"{cpu:.2%}", cpu < CPU),
        Goal("resident memory", f"< {MEMORY / 2**20:.0f} MiB", f"{memory / 2**20:.0f} MiB", memory < MEMORY),
    ]
    text = (
        f"The daemon with 50 queues ({series:,} series) on PostgreSQL and Redis at the default interval of 5 s, 100"
        " jobs/s, a scrape every 15 s, over a minute."
    )
    report.write("footprint", server.version(), goals, text)


def test_memory_stays_flat_over_many_samples(server: Postgres15, tmp_path: Path) -> None:
    with bed.filled(server, 10_000) as database, Churn(database.url, 200, queues=10):
        command = [sys.executable, "-m", "tests.bench.sampling", database.reader_url, str(MANY)]
        meter = Meter(database)
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        looks = sum(calls for calls, _ in meter.read().only("pg_stat_activity").statements.values())
        assert looks >= MANY, looks
    seen = {int(count): memory for count, memory in json.loads(done.stdout).items()}
    after, last = seen[MANY // 10], seen[MANY]
    growth = last - after
    goals = [
        Goal(
            "growth over the last nine tenths",
            f"< {GROWTH / 2**20:.0f} MiB",
            f"{growth / 2**20:.1f} MiB",
            growth < GROWTH,
        ),
        Goal("resident memory at the end", f"< {MEMORY / 2**20:.0f} MiB", f"{last / 2**20:.0f} MiB", last < MEMORY),
    ]
    rows = [[f"{count:,}", f"{memory / 2**20:.1f}"] for count, memory in seen.items()]
    text = (
        f"{MANY:,} looks at PostgreSQL in a tight loop, every tenth with exact counts, 200 jobs/s, each look published"
        " and served.\n\n" + report.table(["samples", "resident MiB"], rows)
    )
    report.write("memory", server.version(), goals, text)
