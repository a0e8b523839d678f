"""What a sample costs the database: flat in the size of the table, less than a query's count, within the budget."""

import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from demo.process import Tethered, free_port
from tests.bench import bed, report
from tests.bench.bed import INTERVAL, Daemon, Meter
from tests.bench.churn import Churn
from tests.bench.database_time import MILLION, WARM, by_size, sample
from tests.bench.report import Goal
from tests.support.databases import Database
from tests.support.servers import Postgres15, RedisServer
from tests.support.wait import eventually

QUERY = "select queue_name, status, count(*) from jobs group by 1, 2"
QUERIES = f"""\
queue:
  query: "{QUERY}"
  metrics:
    - queue_name: {{usage: LABEL, description: queue}}
    - status: {{usage: LABEL, description: state}}
    - count: {{usage: GAUGE, description: jobs}}
"""
TIMES_CHEAPER = {1_000: 50, 2_000: 15}  # jobs a second
BUDGET = 0.005
MINUTES = 3

pytestmark = [pytest.mark.bench, pytest.mark.timeout(1800)]


def test_a_sample_costs_the_same_whatever_the_size(server: Postgres15, tmp_path: Path) -> None:
    by_size(server, tmp_path, [MILLION // 10, MILLION, 5 * MILLION], "database-time")


@contextmanager
def counting_by_query(database: Database, folder: Path, user: str) -> Iterator[None]:
    """Debian's prometheus-postgres-exporter with the query, scraped as often as we sample."""
    queries = folder / "queries.yaml"
    queries.write_text(QUERIES)
    port = free_port()
    command = [
        "prometheus-postgres-exporter", f"--web.listen-address=127.0.0.1:{port}", f"--extend.query-path={queries}",
        "--disable-default-metrics", "--disable-settings-metrics", "--no-collector.database", "--no-collector.bgwriter",
    ]  # fmt: skip
    url = f"{database.server.url(database.name, user)}?sslmode=disable"
    process = Tethered(command, log=folder / "postgres-exporter.log", env={"DATA_SOURCE_NAME": url})
    over = threading.Event()

    def scrape() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
                return b"queue_count{" in answer.read()
        except OSError:
            return False

    def scrape_on() -> None:
        due = time.monotonic()
        while not over.wait(max(due - time.monotonic(), 0)):
            due = max(due + INTERVAL, time.monotonic())
            assert scrape()

    thread = threading.Thread(target=scrape_on)
    try:
        eventually(scrape, within=90)
        thread.start()
        yield
    finally:
        over.set()
        if thread.ident is not None:
            thread.join(90)
        process.stop()


def test_a_sample_costs_less_than_counting_by_a_query(server: Postgres15, tmp_path: Path) -> None:
    goals, rows = [], []
    with RedisServer() as lists, bed.filled(server, 5 * MILLION) as database:
        with psycopg.connect(database.url, autocommit=True) as owner:
            owner.execute("create role counting login")
            owner.execute("grant select on all tables in schema public to counting")
        for rate, wanted in TIMES_CHEAPER.items():
            with Churn(database.url, rate) as churn:
                ours, theirs = Meter(database), Meter(database, "counting")
                redis = lists.url
                with (
                    Daemon(tmp_path, postgres=database.reader_url, redis=redis, schema="penguinmails") as daemon,
                    counting_by_query(database, tmp_path, "counting"),
                ):
                    time.sleep(WARM)
                    before = theirs.read()
                    mine = sample(daemon, ours, churn)
                    query = theirs.read().since(before).only("group by")
            times = query.each / mine.seconds
            goals.append(
                Goal(f"cheaper at {rate:,} jobs/s", f"≥ {wanted} times", f"{times:.0f} times", times >= wanted)
            )
            rows.append([f"{mine.rate:,.0f}", f"{1e3 * query.each:,.0f}", mine, f"{times:.0f}"])
        with psycopg.connect(database.url, autocommit=True) as owner:
            owner.execute("drop owned by counting")
            owner.execute("drop role counting")
    text = (
        f"Five million ended rows. Debian's prometheus-postgres-exporter runs `{QUERY}` at each scrape, every"
        f" {INTERVAL:.0f} s, in the same windows and on the same database as the exporter; of it that statement alone"
        " is taken, of the exporter all.\n\n" + report.table(["jobs/s", "ms the query", "ms a sample", "ratio"], rows)
    )
    report.write("against-a-query", server.version(), goals, text)


def test_a_table_without_an_index_stays_within_the_budget(server: Postgres15, tmp_path: Path) -> None:
    goals, rows = [], []
    for name, layout in (("`job_logs` tells what is new", "basic"), ("nothing does", "basic without job_logs")):
        with bed.filled(server, MILLION, "basic") as database:
            if layout != "basic":
                with database.connect() as owner:
                    owner.execute("drop table job_logs")
            meter = Meter(database)
            with (
                Churn(database.url, 200, layout) as churn,
                Daemon(tmp_path, postgres=database.reader_url, schema="basic") as daemon,
            ):
                time.sleep(WARM)
                start = meter.read()
                spent = sample(daemon, meter, churn, MINUTES * 60).seconds / INTERVAL
                intervals = [
                    f"{daemon.value('postwatch_sampler_interval_seconds', sampler=sampler):.0f} s"
                    for sampler in ("changes", "counts", "failed")
                ]
            goals.append(Goal(f"share where {name}", f"≤ {BUDGET:.1%}", f"{spent:.2%}", spent <= BUDGET))
            rows.append([name, f"{spent:.2%}", f"{start.seconds:.2f}", *intervals])
    text = (
        f"Layout `basic`, keys only, a million ended rows, 200 jobs/s, over {MINUTES} minutes, once the first"
        f" look at everything, for which nobody waits, is {WARM:.0f} s ago."
        " What runs less often than three times in that is spread over its interval.\n\n"
        + report.table(
            ["", "of the database's time", "s at the start", "`changes` every", "`counts` every", "`failed` every"],
            rows,
        )
    )
    report.write("basic", server.version(), goals, text)
