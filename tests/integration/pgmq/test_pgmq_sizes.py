"""Large queues, many queues, and what they cost."""

from __future__ import annotations

import pytest
from pgmq import PGMQueue

from tests.integration.pgmq.reading import Watch, flow, states, value
from tests.support.databases import Database
from tests.support.exporter import Exporter
from tests.support.jobs import Owner
from tests.support.messages import create_partitioned, read, send

pytestmark = pytest.mark.parametrize("database", ["empty@15"], indirect=True)


def test_a_large_queue_is_carried_forward(
    owner: Owner, queue: PGMQueue, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.queues.pgmq.counting.SMALL", 20)
    queue.create_queue("large")
    create_partitioned(owner, "parts")
    for name in ("large", "parts"):
        send(queue, name, 50)
        send(queue, name, 5, delay=3600)
    exporter = watch()
    assert value(exporter.look("changes"), "depth", "large") is None, "it was never counted"
    samples = exporter.look("counts")
    counted = value(samples, "counted_timestamp_seconds", "large", state="waiting")
    for name in ("large", "parts"):
        assert states(samples, name) == (50, 5, 50, 0)

    for name in ("large", "parts"):
        send(queue, name, 10)
        send(queue, name, 1, delay=3600)
        jobs = read(queue, name, 20)
        queue.archive_batch(name, jobs[:6])
        queue.delete_batch(name, jobs[6:9])
    flush_statistics(queue)
    samples = exporter.look("changes")
    assert value(samples, "counted_timestamp_seconds", "large", state="waiting") == counted
    assert states(samples, "large") == (40, 6, 40, 11)
    assert flow(samples, "large") == (11, 9, 0, 0, 0)
    # Without an index on vt what is not ready is as it was counted.
    assert states(samples, "parts") == (52, 5, 52, 0)
    assert flow(samples, "parts") == (11, 9, 0, 0, 0)
    samples = exporter.look("counts")
    for name in ("large", "parts"):
        assert states(samples, name) == (40, 6, 40, 11)
        assert flow(samples, name) == (11, 9, 0, 0, 0)


def flush_statistics(queue: PGMQueue) -> None:
    """A session tells its statistics when it ends, else up to ten seconds later."""
    assert queue.pool is not None
    with queue.pool.connection() as connection:
        connection.execute("select pg_stat_force_next_flush()")


def statements(database: Database) -> dict[str, int]:
    """How often the exporter's role has run each statement."""
    with database.connect() as owner:
        rows = owner.execute(
            "select query, calls from pg_stat_statements where userid = %s::regrole", [database.reader]
        ).fetchall()
    return {str(query): int(calls) for query, calls in rows}


def test_many_queues_take_few_statements(
    database: Database, owner: Owner, queue: PGMQueue, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner.execute("select pgmq.create('q' || n) from generate_series(1, 200) as n")
    owner.execute("select pgmq.send('q' || n, '{}') from generate_series(1, 200) as n, generate_series(1, n % 4)")
    exporter = watch()
    samples = exporter.look("counts")
    assert [value(samples, "depth", f"q{n}") for n in range(1, 201)] == [n % 4 for n in range(1, 201)]
    before = statements(database)
    owner.execute("select pgmq.send('q7', '{}'), pgmq.send('q8', '{}')")
    samples = exporter.look("changes")
    assert value(samples, "depth", "q7") == 4, exporter.log
    assert value(samples, "depth", "q8") == 1, exporter.log
    run = {query: calls - before.get(query, 0) for query, calls in statements(database).items()}
    assert sum(run.values()) < 40, run
    # The 50 empty queues whose numbers stand still are not read at all, but for the one that got a message.
    counting = [query for query, calls in run.items() if calls and "count(*) filter" in query]
    assert sum(query.count("count(*) filter (where msg_id >") for query in counting) <= 151


def blocks_of_a_look(database: Database, exporter: Exporter) -> int:
    """Pages that the exporter's statements read, from memory or disk, in a quick look."""
    reads = (
        "select coalesce(sum(shared_blks_hit + shared_blks_read), 0)::int8 from pg_stat_statements"
        " where userid = %s::regrole and query ~ 'q_(wide|flown)'"
    )
    with database.connect() as owner:
        (before,) = owner.execute(reads, [database.reader]).fetchone() or (0,)
        exporter.look("changes")
        (after,) = owner.execute(reads, [database.reader]).fetchone() or (0,)
    return int(after) - int(before)


def test_a_table_that_a_backlog_has_left_wide_is_not_read_at_each_look(
    database: Database, owner: Owner, queue: PGMQueue, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.queues.pgmq.counting.NARROW", 200)
    queue.create_queue("wide")
    owner.execute("insert into pgmq.q_wide (vt, message) select now(), '{}' from generate_series(1, 60000)")
    owner.execute("delete from pgmq.q_wide where msg_id <= 59990")  # what is left stands at the end
    owner.execute("vacuum (analyze) pgmq.q_wide")
    owner.execute("select pg_stat_force_next_flush()")
    exporter = watch()
    samples = exporter.look("counts")
    assert states(samples, "wide") == (10, 0, 10, 0)
    queue.delete_batch("wide", [*send(queue, "wide", 4)[:1], 59991])
    read(queue, "wide", 3)
    flush_statistics(queue)
    assert blocks_of_a_look(database, exporter) < 100  # of about 500
    assert states(exporter.samples(), "wide") == (9, 0, 9, 3)
    assert flow(exporter.samples(), "wide") == (4, 2, 0, 0, 0)
    assert states(exporter.look("counts"), "wide") == (9, 0, 9, 3)


def test_what_is_glanced_at_is_bounded(
    database: Database, owner: Owner, queue: PGMQueue, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many queues, each with as many messages in flight as may be looked at of one."""
    monkeypatch.setattr("exporter.queues.pgmq.counting.SMALL", 20)
    monkeypatch.setattr("exporter.queues.pgmq.counting.QUICK_MESSAGES", 100)
    for number in range(4):
        queue.create_queue(f"flown_{number}")
        send(queue, f"flown_{number}", 50)
        read(queue, f"flown_{number}", 40)
    exporter = watch()
    exporter.look("counts")
    for number in range(4):
        read(queue, f"flown_{number}", 5)
    samples = exporter.look("changes")
    active = sorted(value(samples, "jobs", f"flown_{number}", state="active") or 0 for number in range(4))
    assert active == [40, 40, 45, 45]  # two of them were within what a look may read
    samples = exporter.look("counts")
    assert all(value(samples, "jobs", f"flown_{number}", state="active") == 45 for number in range(4))


def test_those_that_come_too_late_are_told_together(owner: Owner, queue: PGMQueue, watch: Watch) -> None:
    for name in ("first", "second", "third", "named"):
        queue.create_queue(name)
        send(queue, name, 3)
    exporter = watch(max_queues=2, targets={"named": {"target": "1m"}})
    exporter.look("counts")
    for name in ("second", "third"):
        queue.delete(name, 1)
        send(queue, name)
    samples = exporter.look("changes")
    assert states(samples, "first") == states(samples, "named") == (3, 0, 3, 0)
    assert value(samples, "depth", "second") is None
    assert states(samples, "_other") == (6, 0, 6, 0)
    assert flow(samples, "_other") == (2, 2, 0, 0, 0)
    assert value(samples, "oldest_waiting_timestamp_seconds", "_other") is None
    rows = exporter.watch.sources[0].queues()
    assert {row.key.queue: row.waiting for row in rows} == {"first": 3, "named": 3, "_other": 6}
