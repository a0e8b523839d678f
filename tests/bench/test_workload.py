"""What the watched workload loses by being watched.

What one database does in five seconds differs by a tenth and more from what it does in the next five, watched or not:
the machine itself is that uneven. So two equal databases work at the same time, and each is watched in turn while the
other is not. What slows both is no difference between them.
"""

import math
import signal
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.bench import bed, report
from tests.bench.bed import INTERVAL, Daemon
from tests.bench.churn import Churn
from tests.bench.database_time import MILLION
from tests.bench.report import Goal
from tests.support.databases import Database
from tests.support.servers import Postgres15

PAIRS = 14
LOSS = 0.01
SETTLE = 0.5  # seconds after each change

pytestmark = [pytest.mark.bench, pytest.mark.timeout(1800)]


class Side(NamedTuple):
    """One of the two databases: its writer and its exporter."""

    churn: Churn
    daemon: Daemon

    def seen(self, began: float) -> tuple[float, float]:
        """Jobs a second, and seconds of a job, since then."""
        return self.churn.rate(began), self.churn.seconds(began)


def losses(sides: Sequence[Side]) -> tuple[list[float], list[float]]:
    """By pair of windows, in which each side is watched once: what throughput falls by, what a job's time grows by.

    Both are means of the two sides (geometric ones, so that what both gain or lose in a window cancels out).
    """
    throughput, times = [], []
    for pair in range(PAIRS):
        with_it, without = [1.0, 1.0], [1.0, 1.0]
        for watched in (0, 1) if pair % 2 else (1, 0):
            sides[1 - watched].daemon.process.send_signal(signal.SIGSTOP)
            sides[watched].daemon.process.send_signal(signal.SIGCONT)
            time.sleep(SETTLE)
            began = time.time()
            time.sleep(INTERVAL)
            for number, side in enumerate(sides):
                found = with_it if number == watched else without
                for what, value in enumerate(side.seen(began)):
                    found[what] *= value
        throughput.append(1 - math.sqrt(with_it[0] / without[0]))
        times.append(math.sqrt(with_it[1] / without[1]) - 1)
    for side in sides:
        side.daemon.process.send_signal(signal.SIGCONT)
    return throughput, times


def spread(values: list[float]) -> str:
    low, _, high = statistics.quantiles(values, n=4)
    return f"{statistics.median(values):+.2%} ({low:+.2%} to {high:+.2%})"


# By kind: the database, the writer's way, the further options of the source, and what the section says of it.
SYSTEMS: dict[str, tuple[Callable[[Postgres15, int], AbstractContextManager[Database]], str, dict[str, str], str]] = {
    "hybrid": (
        bed.filled,
        "penguinmails",
        {"schema": "penguinmails"},
        "A million ended rows; one writer, whose statements for a batch follow one another.",
    ),
    "pgboss": (
        bed.filled_boss,
        "pgboss",
        {},
        "pg-boss 12 with a million ended jobs; one writer, which creates, fetches and completes batches of one queue.",
    ),
    "pgmq": (
        bed.filled_messages,
        "pgmq",
        {},
        "pgmq with a million archived messages; one writer, which sends, reads and archives batches of one queue.",
    ),
}


@pytest.mark.parametrize("kind", SYSTEMS)
def test_a_watched_workload_loses_less_than_a_hundredth(kind: str, tmp_path: Path) -> None:
    fill, layout, options, what_it_was = SYSTEMS[kind]
    rows, goals = [], []
    with ExitStack() as stack:
        servers = [stack.enter_context(bed.postgres()) for _ in range(2)]
        databases = [stack.enter_context(fill(server, MILLION)) for server in servers]
        for name, rate in (("as fast as they go", 0), ("2,000 jobs/s", 2_000)):
            with ExitStack() as running:
                sides = [
                    Side(
                        running.enter_context(Churn(database.url, rate, layout)),
                        running.enter_context(Daemon(tmp_path, kind=kind, postgres=database.reader_url, **options)),
                    )
                    for database in databases
                ]
                time.sleep(3 * INTERVAL)
                began = time.time()
                throughput, times = losses(sides)
                rates = " and ".join(f"{side.churn.rate(began):,.0f}" for side in sides)
                rows.append([name, rates, spread(throughput), spread(times)])
            for what, values in (("throughput", throughput), ("time of a job", times)):
                median = statistics.median(values)
                goals.append(Goal(f"loss of {what}, {name}", f"< {LOSS:.0%}", f"{median:+.2%}", median < LOSS))
        version = servers[0].version()
    text = (
        f"Two equal databases on two servers work at the same time. {PAIRS} pairs of windows of {INTERVAL:.0f} s, in"
        " which the exporter watches one of them and then the other: medians and quartiles of the pairs, each the mean"
        f" of both databases, so that what the machine does to both cancels out. {what_it_was} The exporter's own"
        " processor time, which falls on both, is not in the difference: it is in the section on processor and memory."
        "\n\n" + report.table(["workload", "jobs/s", "throughput lost", "time of a job gained"], rows)
    )
    report.write("workload" if kind == "hybrid" else f"workload-{kind}", version, goals, text)
