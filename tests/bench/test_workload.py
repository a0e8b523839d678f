"""What the watched workload loses by being watched."""

import signal
import statistics
import time
from pathlib import Path

import pytest

from tests.bench import bed, report
from tests.bench.bed import INTERVAL, Daemon
from tests.bench.churn import Churn
from tests.bench.database_time import MILLION
from tests.bench.report import Goal
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


def test_a_watched_workload_loses_less_than_a_hundredth(server: Postgres15, tmp_path: Path) -> None:
    rows, goals = [], []
    with bed.filled(server, MILLION) as database:
        for name, rate in (("as fast as it goes", 0), ("2,000 jobs/s", 2_000)):
            with (
                Churn(database.url, rate) as churn,
                Daemon(tmp_path, postgres=database.reader_url, schema="penguinmails") as daemon,
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
        " quartiles of the pairs. A million ended rows; one writer, whose statements for a batch follow one another."
        " The exporter's own processor time is lost here too, since it runs on the same machine.\n\n"
        + report.table(["workload", "jobs/s", "throughput lost", "time of a job gained"], rows)
    )
    report.write("workload", server.version(), goals, text)
