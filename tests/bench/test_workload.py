"""What the watched workload loses by being watched."""

import signal
import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.bench import bed, report
from tests.bench.bed import INTERVAL, Daemon
from tests.bench.churn import Churn
from tests.bench.database_time import MILLION
from tests.bench.report import Goal
from tests.support.databases import Database
from tests.support.servers import Postgres15

PAIRS = 12
LOSS = 0.01
SETTLE = 0.5  # seconds after each change

pytestmark = [pytest.mark.bench, pytest.mark.timeout(1200)]


def losses(churn: Churn, daemon: Daemon) -> tuple[list[float], list[float]]:
    """By pair of windows, one with and one without: what throughput falls by, and what the time of a job grows by."""
    throughput, times = [], []
    for pair in range(PAIRS):
        rates: dict[bool, float] = {}
        seconds: dict[bool, float] = {}
        for watched in (True, False) if pair % 2 else (False, True):
            daemon.process.send_signal(signal.SIGCONT if watched else signal.SIGSTOP)
            time.sleep(SETTLE)
            began = time.time()
            time.sleep(INTERVAL)
            rates[watched] = churn.rate(began, time.time())
            seconds[watched] = churn.seconds(began, time.time())
        throughput.append(1 - rates[True] / rates[False])
        times.append(seconds[True] / seconds[False] - 1)
    daemon.process.send_signal(signal.SIGCONT)
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
def test_a_watched_workload_loses_less_than_a_hundredth(kind: str, server: Postgres15, tmp_path: Path) -> None:
    fill, layout, options, what_it_was = SYSTEMS[kind]
    rows, goals = [], []
    with fill(server, MILLION) as database:
        for name, rate in (("as fast as it goes", 0), ("2,000 jobs/s", 2_000)):
            with (
                Churn(database.url, rate, layout) as churn,
                Daemon(tmp_path, kind=kind, postgres=database.reader_url, **options) as daemon,
            ):
                time.sleep(3 * INTERVAL)
                began = time.time()
                throughput, times = losses(churn, daemon)
                rows.append([name, f"{churn.rate(began):,.0f}", spread(throughput), spread(times)])
            what, median = (
                ("throughput", statistics.median(throughput))
                if rate == 0
                else ("time of a job", statistics.median(times))
            )
            goals.append(Goal(f"loss of {what}, {name}", f"< {LOSS:.0%}", f"{median:+.2%}", median < LOSS))
    text = (
        f"{PAIRS} pairs of windows of {INTERVAL:.0f} s, in turn with the exporter at work and stopped: medians and"
        f" quartiles of the pairs. {what_it_was} The exporter's own processor time is lost here too, since it runs on"
        " the same machine.\n\n" + report.table(["workload", "jobs/s", "throughput lost", "time of a job gained"], rows)
    )
    report.write("workload" if kind == "hybrid" else f"workload-{kind}", server.version(), goals, text)
