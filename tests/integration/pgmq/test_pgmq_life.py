"""pgmq by its real client, compared with what the test has done: each metric, on PostgreSQL 15 and 18."""

from __future__ import annotations

import pytest
from pgmq import PGMQueue

from tests.integration.pgmq.reading import Watch, flow, states, value
from tests.support.jobs import Owner, epoch
from tests.support.messages import create_partitioned, read, send

both = pytest.mark.parametrize("database", ["empty@15", "empty@18"], indirect=True)


@both
def test_the_life_of_messages(owner: Owner, queue: PGMQueue, watch: Watch) -> None:
    queue.create_queue("orders")
    queue.create_queue("Mixed_Case")
    queue.create_queue("unlogged", unlogged=True)
    create_partitioned(owner, "parts")
    names = ("orders", "Mixed_Case", "unlogged", "parts")
    for name in names:
        send(queue, name, 9)
        read(queue, name, 2)
        queue.archive(name, 1)
    exporter = watch(targets={"*": {"target": "1m", "time_limit": "1h"}})
    samples = exporter.look("counts")
    for name in names:
        assert states(samples, name) == (7, 0, 7, 1), name
        assert flow(samples, name) == (0, 0, 0, 0, 0), "what was there before is history"
        last = value(samples, "last_finished_timestamp_seconds", name)
        assert last == pytest.approx(epoch(owner, f"select max(archived_at) from pgmq.a_{name}"), abs=0.001)

    for name in names:
        send(queue, name, 6)
        send(queue, name, 3, delay=3600)
        queue.delete(name, 3)
        queue.archive_batch(name, [4, 5])
        # Sent and gone between two looks.
        (one,) = send(queue, name)
        queue.delete(name, one)
    samples = exporter.look("changes")
    for name in names:
        # 7 waiting, 3 of them gone, 6 new.
        assert states(samples, name) == (10, 3, 10, 1), name
        assert flow(samples, name) == (10, 4, 0, 0, 0), name
        oldest = epoch(owner, f"select min(vt) from pgmq.q_{name} where vt <= now()")
        assert value(samples, "oldest_waiting_timestamp_seconds", name) == pytest.approx(oldest, abs=0.001)
        started = epoch(owner, f"select min(last_read_at) from pgmq.q_{name}")
        assert value(samples, "oldest_active_timestamp_seconds", name) == pytest.approx(started, abs=0.001)
        ended = value(samples, "last_finished_timestamp_seconds", name)
        assert ended is not None
        assert ended >= epoch(owner, f"select max(archived_at) from pgmq.a_{name}") - 0.001
        assert value(samples, "stuck_jobs", name) == 0
        assert value(samples, "target_seconds", name) == 60
        counted = value(samples, "counted_timestamp_seconds", name, state="waiting")
        assert counted == pytest.approx(epoch(owner, "select now()"), abs=5)

    for name in names:
        queue.archive(name, 2)
        while batch := read(queue, name, 100):
            queue.delete_batch(name, batch)
    for kind in ("changes", "counts", "changes"):
        samples = exporter.look(kind)
        for name in names:
            assert states(samples, name) == (0, 3, 0, 0), name
            assert flow(samples, name) == (10, 15, 0, 0, 0), name
            assert value(samples, "oldest_waiting_timestamp_seconds", name) is None
            assert value(samples, "oldest_active_timestamp_seconds", name) is None


@both
def test_dead_letters_are_failures_and_a_purge_cancels(owner: Owner, queue: PGMQueue, watch: Watch) -> None:
    for name in ("orders", "ORDERS_dlq", "lonely_dlq", "plain"):
        queue.create_queue(name)
    send(queue, "orders_dlq", 2)
    send(queue, "orders", 8)
    exporter = watch()
    samples = exporter.look("counts", "failed")
    assert value(samples, "dead_letters", "orders") == 2
    assert value(samples, "jobs", "orders", state="failed") == 2
    assert value(samples, "dead_letters", "plain") is None
    assert value(samples, "jobs", "plain", state="failed") is None
    assert flow(samples, "orders") == (0, 0, 0, 0, 0)

    # Two fail: once both steps are seen together, once the message leaves first.
    send(queue, "orders_dlq")
    queue.archive("orders", 1)
    queue.archive("orders", 2)
    samples = exporter.look("changes")
    assert flow(samples, "orders") == (0, 1, 1, 0, 0)
    send(queue, "ORDERS_dlq")
    queue.archive("orders", 3)
    samples = exporter.look("changes", "failed")
    assert flow(samples, "orders") == (0, 1, 2, 0, 0)
    assert value(samples, "dead_letters", "orders") == 4
    assert value(samples, "jobs", "orders", state="failed") == 4
    assert states(samples, "ORDERS_dlq") == (4, 0, 4, 0)
    assert flow(samples, "ORDERS_dlq") == (2, 0, 0, 0, 0)

    queue.purge("orders")
    send(queue, "orders", 1)
    samples = exporter.look("changes")
    assert states(samples, "orders") == (1, 0, 1, 0)
    assert flow(samples, "orders") == (1, 1, 2, 5, 0)
    # Another file too, but what was there is still there, except for what has ended.
    numbers = send(queue, "orders", 2)
    exporter.look("changes")
    queue.delete("orders", numbers[0])
    owner.execute("vacuum full pgmq.q_orders")
    assert flow(exporter.look("changes"), "orders") == (3, 2, 2, 5, 0)


@both
def test_retries_are_reads_beyond_the_first(owner: Owner, queue: PGMQueue, watch: Watch) -> None:
    queue.create_queue("orders")
    create_partitioned(owner, "parts")
    for name in ("orders", "parts"):
        send(queue, name, 4)
        for _ in range(3):  # history: the first message was read three times
            queue.set_vt(name, read(queue, name)[0], 0)
    exporter = watch()
    exporter.look("counts")
    for name in ("orders", "parts"):
        assert read(queue, name, 3) == [1, 2, 3]
    samples = exporter.look("changes")
    for name in ("orders", "parts"):
        assert value(samples, "job_retries_total", name) == 1
        for _ in range(2):
            for number in (2, 3):
                queue.set_vt(name, number, 0)
            assert read(queue, name, 2) == [2, 3]
        queue.archive(name, 2)  # its two retries are told by the archive alone
    for _ in range(3):
        samples = exporter.look("changes", "counts")
        for name in ("orders", "parts"):
            assert flow(samples, name) == (0, 1, 0, 0, 5)
    for name in ("orders", "parts"):
        queue.archive(name, 3)  # its retries are counted already
    samples = exporter.look("changes")
    for name in ("orders", "parts"):
        assert flow(samples, name) == (0, 2, 0, 0, 5)
    # New ones, retried and archived between two looks.
    (number,) = send(queue, "orders")
    queue.set_vt("orders", 4, 3600)
    for _ in range(4):
        assert read(queue, "orders") == [number]
        queue.set_vt("orders", number, 0)
    queue.archive("orders", number)
    assert value(exporter.look("changes"), "job_retries_total", "orders") == 5 + 3
