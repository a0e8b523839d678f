"""One process that watches a great many things."""

import http.client
import statistics
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.bench import report
from tests.bench.report import Goal
from tests.bench.scale import Load, Services
from tests.bench.scale_queues import Pairs, Queues
from tests.bench.sections import Exporter
from tests.support.servers import Postgres15, RedisServer

SIZES = (0.1, 0.3, 1.0)  # of the whole
SERVICES, QUEUES, PAIRS = 1_000, 200, 4_000
WINDOW = 60.0  # seconds of each size, for either way of scraping
SHIPPED = 5.0  # seconds between two scrapes in our prometheus.yml
SCRAPES = 4  # a second, to see what one takes
CPU = 0.25  # of a core
MEMORY = 250 * 2**20
OVERRUN = 0.10
P99 = 0.025

pytestmark = [pytest.mark.bench, pytest.mark.timeout(1800)]


@dataclass(frozen=True)
class Seen:
    """What one size took."""

    targets: str
    series: int
    cpu: float  # of a core, scraped as we ship it
    busy: float  # and at so many scrapes a second
    memory: int
    overrun: float
    stretched: float  # seconds of the longest interval of a queue source that the budget made
    packed: list[float]  # seconds of scrapes with gzip, as Prometheus asks for them
    plain: list[float]  # and without

    def row(self) -> list[str]:
        """Of the table."""
        return [
            self.targets,
            f"{self.series:,}",
            f"{self.cpu:.1%} / {self.busy:.1%}",
            f"{self.memory / 2**20:.0f}",
            f"{max(self.overrun, 0):.1%} late",
            f"{self.stretched:.1f}",
            *(f"{1e3 * statistics.median(each):.1f} / {1e3 * p99(each):.1f}" for each in (self.packed, self.plain)),
        ]


def scrape_times(port: int, loads: Sequence[Load], rate: float) -> tuple[list[float], list[float]]:
    """Seconds of scrapes with gzip and without, in turn and at a steady rate, over one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    packed: list[float] = []
    plain: list[float] = []
    began = time.monotonic()
    for number in range(int(WINDOW * rate)):
        time.sleep(max(began + number / rate - time.monotonic(), 0))
        start = time.perf_counter()
        connection.request("GET", "/metrics", headers={"Accept-Encoding": ("gzip", "identity")[number % 2]})
        body = connection.getresponse().read()
        (packed, plain)[number % 2].append(time.perf_counter() - start)
        if number % 2:
            for load in loads:
                load.saw(body)
    connection.close()
    return packed, plain


def busy(daemon: Exporter, loads: Sequence[Load], rate: float) -> tuple[float, tuple[list[float], list[float]]]:
    """The share of a core that the daemon takes at so many scrapes a second, and their times."""
    before, began = daemon.cpu(), time.monotonic()
    times = scrape_times(daemon.port, loads, rate)
    return (daemon.cpu() - before) / (time.monotonic() - began), times


def p99(times: Sequence[float]) -> float:
    return statistics.quantiles(times, n=100)[98]


def measure(folder: Path, loads: Sequence[Load], queues: Queues) -> Seen:
    """Watches all loads for a while."""
    sections: dict[str, object] = {key: value for load in loads for key, value in load.config().items()}
    with Exporter(folder, sections) as daemon:
        time.sleep(max(load.settled() for load in loads) + 5)
        cpu, _ = busy(daemon, loads, 1 / SHIPPED)
        for load in loads:
            load.begin()
        often, scrapes = busy(daemon, loads, SCRAPES)
        overrun = max(load.overrun() for load in loads)
        memory = daemon.memory()
        series = sum(not line.startswith(b"#") for line in daemon.scrape().splitlines())
    named = ", ".join(f"{load.count:,} {load.name}" for load in loads)
    return Seen(named, series, cpu, often, memory, overrun, queues.stretched, *scrapes)


def test_many_of_everything(server: Postgres15, tmp_path: Path) -> None:
    found: list[Seen] = []
    with RedisServer() as redis:
        for size in SIZES:
            with ExitStack() as stack:
                services = Services(int(size * SERVICES), tmp_path, server, redis)
                queues, pairs = Queues(int(size * QUEUES), server, redis), Pairs(int(size * PAIRS))
                loads: list[Load] = [stack.enter_context(services.running()), stack.enter_context(queues.running())]
                loads.append(stack.enter_context(pairs.running()))
                found.append(measure(tmp_path, loads, queues))
    most = found[-1]
    goals = [
        Goal("processor time", f"< {CPU:.0%} of a core", f"{most.cpu:.1%}", most.cpu < CPU),
        Goal("resident memory", f"< {MEMORY / 2**20:.0f} MiB", f"{most.memory / 2**20:.0f} MiB", most.memory < MEMORY),
        Goal("latest look or probe, by its interval", f"≤ {OVERRUN:.0%}", f"{most.overrun:.1%}",
             most.overrun <= OVERRUN),
        Goal(f"p99 of a scrape of {most.series:,} series", f"< {1e3 * P99:.0f} ms", f"{1e3 * p99(most.packed):.1f} ms",
             p99(most.packed) < P99),
    ]  # fmt: skip
    head = [
        "watched",
        "series",
        "processor, of a core",
        "resident MiB",
        "latest look or probe",
        "a queue's longest interval, s",
        "scrape with gzip, median / p99 ms",
        "without",
    ]
    text = (
        f"Services at 15 s: 7 in 10 by HTTP with an expectation of JSON (a seventh with TLS), the others by TCP, SMTP,"
        f" PostgreSQL and Redis. Queues of layout `penguinmails` at 5 s, with jobs that come and go; the budget"
        " stretches intervals of a database that is slow, and a look is late by what the exporter says of it. Pairs of"
        " address and list every 30 min, measured when the first round is over; how their interval is kept is in a"
        f" section of its own. {WINDOW:.0f} s each with a scrape every {SHIPPED:.0f} s, as our prometheus.yml has"
        f" it, for the processor time; then as long with {SCRAPES} scrapes a second (the second figure), with gzip, as"
        " Prometheus asks for it, and without in turn; the goal of a scrape is for those with.\n\n"
        + report.table(head, [seen.row() for seen in found])
    )
    report.write("scale", server.version(), goals, text)
