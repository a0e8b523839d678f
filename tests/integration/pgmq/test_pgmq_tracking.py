"""A project's own table of outcomes beside pgmq: times, errors and ends, each counted once."""

from __future__ import annotations

import random
import threading
from typing import Any

import psycopg
import pytest
from pgmq import PGMQueue

from exporter.sampling.sampler import Run
from tests.integration.pgmq.reading import Watch, flow, states, value
from tests.support.databases import Database
from tests.support.jobs import Owner, epoch
from tests.support.messages import read, send
from tests.support.samples import Samples

both = pytest.mark.parametrize("database", ["empty@15", "empty@18"], indirect=True)
on15 = pytest.mark.parametrize("database", ["empty@15"], indirect=True)
TABLE = {"table": "public.job_tracking"}


def track(owner: Owner, number: int, queue: str = "orders", **columns: Any) -> None:
    """A row as a worker leaves it; times are seconds from now."""
    given = {"msg_id": number, "queue_name": queue, **columns}
    moments = [name for name in given if name.endswith("_at")]
    values = ", ".join("clock_timestamp() + %s * interval '1 second'" if name in moments else "%s" for name in given)
    owner.execute(f"insert into job_tracking ({', '.join(given)}) values ({values})".encode(), list(given.values()))


def update(owner: Owner, number: int, change: str) -> None:
    owner.execute(f"update job_tracking set {change} where msg_id = %s".encode(), [number])


def errors(samples: Samples) -> dict[str, float]:
    return {k: v for k, v in samples.by("error", "postwatch_queue_job_errors_total", queue="orders").items() if v}


@both
def test_times_outcomes_and_errors(owner: Owner, queue: PGMQueue, watch: Watch) -> None:
    for name in ("orders", "orders_dlq"):
        queue.create_queue(name)
    track(owner, 1, enqueued_at=-50, started_at=-40, completed_at=-30)  # history
    track(owner, 2, enqueued_at=-50, started_at=-40, failed_at=-30)
    send(queue, "orders", 12)
    exporter = watch(tracking=TABLE, targets={"orders": {"target": "1m"}})
    samples = exporter.look("changes", "counts", "failed")
    assert flow(samples, "orders") == (0, 0, 0, 0, 0)
    assert value(samples, "jobs", "orders", state="failed") == 1

    track(owner, 3, enqueued_at=-50, started_at=-40, completed_at=0)  # waits 10, takes 40, in time
    track(owner, 4, enqueued_at=-400, started_at=-2, completed_at=0)  # waits 398, takes 2, late
    track(owner, 5, enqueued_at=-20, started_at=-20, failed_at=0, error_message="ValueError: bob@example.com")
    track(owner, 6, enqueued_at=0, started_at=0, failed_at=0, error_message="asyncio.TimeoutError", attempt=3)
    track(owner, 7, enqueued_at=0, started_at=0, attempt=1)
    queue.archive_batch("orders", [3, 4, 5, 6])
    send(queue, "orders_dlq", 2)
    samples = exporter.look("changes", "failed")
    # Two attempts failed before the one whose error is told: of the same, as far as anybody knows.
    assert flow(samples, "orders") == (0, 2, 2, 0, 2)
    assert errors(samples) == {"ValueError": 1, "TimeoutError": 3}
    assert value(samples, "job_timeouts_total", "orders") == 3
    assert value(samples, "jobs_within_target_total", "orders") == 1
    assert value(samples, "job_duration_seconds_count", "orders") == 4
    assert value(samples, "job_duration_seconds_sum", "orders") == pytest.approx(40 + 2 + 20, abs=1.5)
    assert value(samples, "job_wait_seconds_sum", "orders") == pytest.approx(10 + 398, abs=1.5)
    last = epoch(owner, "select max(coalesce(completed_at, failed_at)) from job_tracking")
    assert value(samples, "last_finished_timestamp_seconds", "orders") == pytest.approx(last, abs=0.001)
    assert value(samples, "jobs", "orders", state="failed") == 3
    assert value(samples, "dead_letters", "orders") == 2
    assert states(samples, "orders") == (8, 0, 8, 0)

    # A second attempt starts: the first has failed.
    update(owner, 7, "attempt = 2, started_at = clock_timestamp(), error_message = 'KeyError: x'")
    for _ in range(2):
        samples = exporter.look("changes", "counts")
        assert flow(samples, "orders") == (0, 2, 2, 0, 3)
        assert errors(samples) == {"ValueError": 1, "TimeoutError": 3, "KeyError": 1}
    update(owner, 7, "completed_at = clock_timestamp()")
    # Put back by hand, it ends once more.
    update(owner, 5, "failed_at = null, attempt = 2, started_at = clock_timestamp()")
    exporter.look("changes")
    update(owner, 5, "completed_at = clock_timestamp()")
    for _ in range(2):
        samples = exporter.look("changes", "counts")
        assert flow(samples, "orders")[:4] == (0, 4, 2, 0)
    # What touches a row after its end, or deletes it, counts nothing.
    owner.execute("update job_tracking set updated_at = clock_timestamp()")
    owner.execute("delete from job_tracking")
    assert flow(exporter.look("changes", "counts"), "orders")[:4] == (0, 4, 2, 0)


@both
def test_each_end_is_counted_once_however_late_it_commits(
    database: Database, owner: Owner, queue: PGMQueue, watch: Watch
) -> None:
    queue.create_queue("orders")
    jobs = 600
    send(queue, "orders", jobs)
    owner.execute(
        "insert into job_tracking (msg_id, queue_name, started_at)"
        " select g, 'orders', now() from generate_series(1, %s) as g",
        [jobs],
    )
    exporter = watch(tracking=TABLE)
    exporter.look("counts")

    def work(numbers: list[int], seed: int) -> None:
        """Ends jobs in batches, with savepoints, out of order, each transaction open for a while."""
        rng = random.Random(seed)
        with psycopg.connect(database.url) as worker:
            while numbers:
                batch = [numbers.pop(rng.randrange(len(numbers))) for _ in range(min(rng.randint(1, 9), len(numbers)))]
                for number in batch:
                    with worker.transaction():
                        column = "failed_at" if number % 5 == 0 else "completed_at"
                        worker.execute(
                            f"update job_tracking set {column} = clock_timestamp() where msg_id = %s".encode(), [number]
                        )
                        worker.execute("select pgmq.archive('orders', %s::bigint)", [number])
                        worker.execute("select pg_sleep(%s)", [rng.random() * 0.02])
                worker.commit()

    workers = [threading.Thread(target=work, args=(list(range(1 + n, jobs + 1, 4)), n)) for n in range(4)]
    for worker in workers:
        worker.start()
    while any(worker.is_alive() for worker in workers):
        exporter.look("changes")
    for worker in workers:
        worker.join()
    samples = exporter.look("changes", "counts")
    assert flow(samples, "orders") == (0, jobs * 4 // 5, jobs // 5, 0, 0)
    assert value(samples, "job_duration_seconds_count", "orders") == jobs
    assert states(samples, "orders") == (0, 0, 0, 0)


@on15
def test_a_table_that_is_not_as_mapped_is_told_and_depth_goes_on(owner: Owner, queue: PGMQueue, watch: Watch) -> None:
    queue.create_queue("orders")
    send(queue, "orders", 3)
    exporter = watch(tracking={**TABLE, "completed": "done_at"})
    outcome = exporter.run("changes")
    assert not outcome.up
    assert "table public.job_tracking has no column 'done_at'" in outcome.error
    assert value(exporter.samples(), "depth", "orders") == 3
    (remark,) = [r for r in exporter.watch.sources[0].check(Run(exporter.clock, 30.0)) if r.fatal]
    assert "done_at" in remark.text
    owner.execute("alter table job_tracking rename completed_at to done_at")
    read(queue, "orders")
    samples = exporter.look("changes")
    assert states(samples, "orders") == (2, 0, 2, 1)
    track(owner, 1, started_at=-1, done_at=0)
    assert flow(exporter.look("changes"), "orders") == (0, 1, 0, 0, 0)
    for text, statement in (
        ("the role may not read", "revoke select on job_tracking from {reader}"),
        ("there is no table", "drop table job_tracking"),
    ):
        reader = owner.execute("select rolname from pg_roles where rolname like current_database() || '%%'").fetchone()
        owner.execute(statement.format(reader=reader[0] if reader else "").encode())
        send(queue, "orders")
        outcome = exporter.run("changes")
        if outcome.up:  # what was known of the table is looked at again after the first refusal
            outcome = exporter.run("changes")
        assert not outcome.up
        assert text in outcome.error or "permission denied" in outcome.error
        exporter.run("changes")
        assert text in exporter.run("changes").error
    assert value(exporter.samples(), "depth", "orders") == 4


@on15
def test_without_an_index_the_table_is_read_with_the_counts(owner: Owner, queue: PGMQueue, watch: Watch) -> None:
    queue.create_queue("orders")
    send(queue, "orders", 3)
    owner.execute("drop index job_tracking_completed_at_failed_at_moved_to_dlq_at_idx")
    owner.execute("insert into job_tracking (msg_id, queue_name) select -g, 'x' from generate_series(1, 1000) as g")
    owner.execute("analyze job_tracking")
    exporter = watch(tracking=TABLE)
    exporter.look("counts")
    track(owner, 1, started_at=-1, completed_at=0)
    queue.delete("orders", 1)
    samples = exporter.look("changes")
    assert (value(samples, "depth", "orders"), flow(samples, "orders")[1]) == (2, 0)
    assert flow(exporter.look("counts"), "orders")[1] == 1
    remarks = [str(remark) for remark in exporter.watch.sources[0].check(Run(exporter.clock, 30.0))]
    assert any(
        "create index concurrently on public.job_tracking (completed_at, failed_at" in remark for remark in remarks
    ), remarks


@on15
def test_columns_that_are_not_there(owner: Owner, queue: PGMQueue, watch: Watch) -> None:
    queue.create_queue("orders")
    owner.execute("alter table job_tracking drop column error_message, drop column started_at, drop column attempt")
    exporter = watch(tracking=TABLE)
    exporter.look("changes", "counts")
    track(owner, 1, enqueued_at=-5, completed_at=0)
    samples = exporter.look("changes")
    assert flow(samples, "orders")[:3] == (0, 1, 0)
    absent = exporter.watch.sources[0].absent()
    for metric in ("job_duration_seconds", "job_wait_seconds", "job_errors_total", "job_timeouts_total"):
        assert f"postwatch_queue_{metric}" in absent
        assert not samples.series(f"postwatch_queue_{metric}")
        assert not samples.series(f"postwatch_queue_{metric}_count")
    assert value(samples, "jobs_within_target_total", "orders") == 0
