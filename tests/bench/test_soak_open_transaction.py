"""A transaction that ends jobs and commits ten minutes later, among 2,000 jobs a second."""

import os
import time
from pathlib import Path

import psycopg
import pytest

from tests.bench import bed, report
from tests.bench.bed import Daemon
from tests.bench.churn import QUEUES, Churn
from tests.bench.database_time import MILLION, RATE
from tests.bench.report import Goal
from tests.support.servers import Postgres15
from tests.support.wait import eventually

OPEN = float(os.environ.get("OPEN_SECONDS", "600"))
JOBS = 5_000
MEMORY = 200 * 2**20

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1500)]


def test_what_a_long_transaction_ends_is_counted_once(server: Postgres15, tmp_path: Path) -> None:
    with (
        bed.filled(server, MILLION) as database,
        Daemon(tmp_path, postgres=database.reader_url, schema="penguinmails") as daemon,
        database.connect() as owner,
    ):

        def truth() -> int:
            (count,) = owner.execute(
                "select count(*) from jobs where status in ('completed', 'failed')"
            ).fetchone() or (0,)
            return int(count) - history

        def counted() -> int:
            return int(daemon.value("postwatch_queue_jobs_finished_total"))

        history = 0
        history = truth()
        owner.execute(
            "insert into jobs (queue_name, status, priority, payload, started, attempt_count)"
            " select 'queue-' || 1 + g %% %s, 'running', 110, '{}', now(), 1 from generate_series(1, %s) as g",
            [QUEUES, JOBS],
        )
        most = 0
        with Churn(database.url, RATE) as churn, psycopg.connect(database.url) as late:
            began = time.time()
            late.execute(
                "update jobs set status = 'completed', completed = clock_timestamp(), updated = clock_timestamp()"
                " where status = 'running' and payload = '{}'"
            )
            while time.time() - began < OPEN:
                time.sleep(2)
                most = max(most, daemon.memory())
            rate = churn.rate(began)
            late.commit()
            late_by = time.time() - began
        expected = truth()
        eventually(lambda: counted() >= expected, within=120, every=1)
        time.sleep(15)
        seen = counted()
        most = max(most, daemon.memory())
    goals = [
        Goal("jobs counted", f"{expected:,}", f"{seen:,}", seen == expected),
        Goal("most resident memory", f"< {MEMORY / 2**20:.0f} MiB", f"{most / 2**20:.0f} MiB", most < MEMORY),
    ]
    text = (
        f"A transaction ends {JOBS:,} jobs and commits {late_by:.0f} s later, while {rate:,.0f} others end a second."
        " What the counters say a quarter of a minute after they have reached the truth is compared with the table."
    )
    report.write("open-transaction", server.version(), goals, text)
