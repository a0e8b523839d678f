"""Open transactions, broken queues, crashes, standbys: what is told stays true."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from pgmq import PGMQueue

from demo.servers import Postgres
from exporter.sampling.sampler import Run
from tests.integration.pgmq.reading import Watch, flow, states, value
from tests.support.databases import Database, create_database
from tests.support.exporter import Exporter, config
from tests.support.jobs import Owner
from tests.support.messages import client, install, read, send
from tests.support.servers import Standby
from tests.support.wait import eventually

on15 = pytest.mark.parametrize("database", ["empty@15"], indirect=True)


@on15
def test_what_is_not_committed_is_not_gone(database: Database, queue: PGMQueue, watch: Watch) -> None:
    queue.create_queue("orders")
    send(queue, "orders", 3)
    exporter = watch()
    exporter.look("counts")
    with database.connect() as late, late.transaction():
        late.execute("select pgmq.send('orders', '{}') from generate_series(1, 4)")
        with database.connect() as archiver, archiver.transaction():
            archiver.execute("select pgmq.archive('orders', 1)")
            # Sent and deleted while the other is open: which of the two a missing number is, nobody can tell yet.
            queue.delete_batch("orders", [*send(queue, "orders", 2), 2])
            for kind in ("changes", "counts"):
                samples = exporter.look(kind)
                assert states(samples, "orders") == (2, 0, 2, 0)
                assert flow(samples, "orders") == (6, 1, 0, 0, 0)
        samples = exporter.look("changes")
        assert flow(samples, "orders") == (6, 2, 0, 0, 0), "the archived one is committed"
    samples = exporter.look("changes")
    assert states(samples, "orders") == (5, 0, 5, 0)
    assert flow(samples, "orders") == (6, 4, 0, 0, 0)
    # The documented limit: a number that was rolled back is enqueued and completed.
    with database.connect() as late, late.transaction(force_rollback=True):
        late.execute("select pgmq.send('orders', '{}')")
        assert flow(exporter.look("changes"), "orders") == (7, 4, 0, 0, 0)
    assert flow(exporter.look("changes"), "orders") == (7, 5, 0, 0, 0)


@on15
def test_a_broken_queue_is_told_once_and_leaves_the_others_alone(
    database: Database, owner: Owner, queue: PGMQueue, watch: Watch
) -> None:
    for name in ("dropped", "closed", "locked", "sound"):
        queue.create_queue(name)
        send(queue, name, 2)
    exporter = watch(stale_after="1s")
    exporter.look("counts")
    owner.execute("drop table pgmq.q_dropped")
    owner.execute("revoke select on pgmq.q_closed from pg_monitor")
    with database.connect() as migration, migration.transaction():
        migration.execute("lock table pgmq.q_locked")
        for kind in ("changes", "changes", "counts"):
            send(queue, "sound")
            assert exporter.run(kind).up
        exporter.clock.monotonic_offset += 2  # what is known of the broken ones is too old
        samples = exporter.look("changes")
        assert states(samples, "sound") == (5, 0, 5, 0)
        assert flow(samples, "sound") == (3, 0, 0, 0, 0)
        for name in ("dropped", "closed", "locked"):
            assert states(samples, name) == (None, None, None, None), name
    told = {line["queue"]: line["reason"] for line in exporter.logged("queue_not_readable")}
    assert told == {"dropped": "missing", "closed": "permission", "locked": "locked"}
    assert len(exporter.logged("queue_not_readable")) == 3
    owner.execute("grant select on pgmq.q_closed to pg_monitor")
    owner.execute("select pgmq.create('dropped')")
    samples = exporter.look("changes")
    for name, depth in (("locked", 2), ("closed", 2), ("dropped", 0)):
        assert value(samples, "depth", name) == depth
    assert {line["queue"] for line in exporter.logged("queue_readable")} == {"locked", "closed", "dropped"}


@on15
def test_without_pgmq_it_says_so(database: Database, owner: Owner, watch: Watch) -> None:
    owner.execute("drop schema pgmq cascade")
    exporter = watch()
    outcome = exporter.run("changes")
    assert not outcome.up
    assert "there is no table pgmq.meta" in outcome.error
    (remark,) = [r for r in exporter.watch.sources[0].check(Run(exporter.clock, 30.0)) if r.fatal]
    assert "pgmq.meta" in remark.text


@on15
def test_queues_come_and_go(owner: Owner, queue: PGMQueue, watch: Watch) -> None:
    queue.create_queue("orders")
    send(queue, "orders", 3)
    exporter = watch(targets={"planned": {"target": "5m"}})
    samples = exporter.look("counts")
    assert states(samples, "planned") == (0, 0, 0, 0), "named in the configuration: known from the start"
    assert value(samples, "target_seconds", "planned") == 300
    queue.create_queue("planned")
    queue.create_queue("fresh")
    for name in ("planned", "fresh"):
        queue.delete_batch(name, send(queue, name, 5)[:2])
    queue.delete("orders", 1)
    samples = exporter.look("changes")
    for name in ("planned", "fresh"):
        assert states(samples, name) == (3, 0, 3, 0)
        assert flow(samples, name) == (5, 2, 0, 0, 0), "made under watch: all counts"
    # Made anew under its name: the messages went with it, the counters go on.
    queue.drop_queue("orders")
    queue.create_queue("orders")
    send(queue, "orders", 4)
    queue.drop_queue("fresh")
    samples = exporter.look("changes")
    assert states(samples, "orders") == (4, 0, 4, 0)
    assert flow(samples, "orders") == (4, 1, 0, 0, 0)
    assert value(samples, "depth", "fresh") is None
    assert flow(samples, "fresh") == (5, 2, 0, 0, 0)
    # Two names, one table.
    queue.create_queue("ORDERS")
    samples = exporter.look("changes")
    assert value(samples, "depth", "ORDERS") is None
    assert value(samples, "depth", "orders") == 4


@on15
def test_a_queue_of_an_older_pgmq(owner: Owner, queue: PGMQueue, watch: Watch) -> None:
    """Before 1.10 nothing says when a message was read; after upgrades columns come in another order."""
    queue.create_queue("orders")
    owner.execute("alter table pgmq.q_orders drop column last_read_at, drop column headers, drop column read_ct")
    owner.execute("alter table pgmq.q_orders add column headers jsonb, add column read_ct int default 0 not null")
    owner.execute(
        "insert into pgmq.q_orders (vt, read_ct) select now() + n * interval '1 h', (n = 1)::int"
        " from generate_series(-2, 2) as n"
    )
    exporter = watch(targets={"*": {"time_limit": "1m"}})
    samples = exporter.look("counts", "changes", "failed")
    assert states(samples, "orders") == (3, 1, 3, 1)
    for metric in ("oldest_active_timestamp_seconds", "stuck_jobs"):
        assert value(samples, metric, "orders") is None
        assert f"postwatch_queue_{metric}" in exporter.watch.sources[0].absent()


@on15
def test_stuck_messages_are_past_their_limit(owner: Owner, queue: PGMQueue, watch: Watch) -> None:
    queue.create_queue("orders")
    send(queue, "orders", 5)
    read(queue, "orders", 3)
    owner.execute("update pgmq.q_orders set last_read_at = now() - interval '2 min' where msg_id in (1, 2)")
    exporter = watch(targets={"orders": {"time_limit": "1m"}})
    assert value(exporter.look("counts"), "stuck_jobs", "orders") == 2


def test_a_crash_makes_no_messages(own_pg15: Postgres) -> None:
    database = create_database(own_pg15, "empty")
    install(database)
    source: dict[str, Any] = {"name": "mail", "kind": "pgmq", "postgres": database.reader_url}
    with Exporter(config(source)) as exporter:
        with client(database) as queue:
            queue.create_queue("orders")
            queue.create_queue("unlogged", unlogged=True)
            for name in ("orders", "unlogged"):
                send(queue, name, 10)
            exporter.look("counts")
            for name in ("orders", "unlogged"):
                queue.delete_batch(name, send(queue, name, 5)[:2])
            samples = exporter.look("changes")
            assert flow(samples, "orders") == flow(samples, "unlogged") == (5, 2, 0, 0, 0)
            # What happens unseen before the crash.
            send(queue, "orders", 3)
            queue.delete("orders", 1)
        own_pg15.kill()
        own_pg15.start()
        assert not exporter.run("changes").up  # its connection is gone
        samples = exporter.look("changes")
        assert states(samples, "orders") == (15, 0, 15, 0)
        assert flow(samples, "orders") == (8, 3, 0, 0, 0), "the 32 numbers that a crash skips are no messages"
        assert states(samples, "unlogged") == (0, 0, 0, 0)
        assert flow(samples, "unlogged") == (5, 2, 0, 0, 0), "lost is not ended"
        with client(database) as queue:
            for name in ("orders", "unlogged"):
                queue.delete_batch(name, send(queue, name, 4)[:1])
        samples = exporter.look("changes")
        assert flow(samples, "orders") == (12, 4, 0, 0, 0)
        assert flow(samples, "unlogged") == (9, 3, 0, 0, 0)


def test_a_standby_and_its_promotion(own_pg15: Postgres) -> None:
    database = create_database(own_pg15, "empty")
    install(database)
    with client(database) as queue, Standby(own_pg15) as standby:
        queue.create_queue("orders")
        queue.create_queue("unlogged", unlogged=True)
        send(queue, "orders", 10)
        eventually(standby.caught_up, within=30)
        source = {"name": "mail", "kind": "pgmq", "postgres": standby.url(database.name, database.reader)}
        with Exporter(config(source)) as exporter:
            samples = exporter.look("counts")
            assert states(samples, "orders") == (10, 0, 10, 0)
            assert value(samples, "depth", "unlogged") is None
            assert flow(samples, "orders") == (0, 0, 0, 0, 0), "numbers set aside are not given out"
            queue.delete_batch("orders", [*send(queue, "orders", 3)[:1], 1, 2])
            eventually(standby.caught_up, within=30)
            samples = exporter.look("changes")
            assert states(samples, "orders") == (10, 0, 10, 0)
            assert flow(samples, "orders") == (3, 3, 0, 0, 0)
            standby.promote()
            eventually(lambda: not in_recovery(standby), within=30)
            exporter.look("changes")
            assert not exporter.logged("sampler_failed")
            with client(Database(standby, database.name, "empty", database.reader)) as there:
                there.delete_batch("orders", [*send(there, "orders", 4)[:1], 3])
            samples = exporter.look("changes")
            assert flow(samples, "orders") == (7, 5, 0, 0, 0)


def in_recovery(server: Postgres) -> bool:
    with psycopg.connect(server.url()) as connection:
        row = connection.execute("select pg_is_in_recovery()").fetchone()
    return bool(row and row[0])


@on15
def test_without_the_right_to_sequences(owner: Owner, queue: PGMQueue, watch: Watch) -> None:
    queue.create_queue("orders")
    send(queue, "orders", 4)
    owner.execute("revoke select on all sequences in schema pgmq from pg_monitor")
    exporter = watch()
    exporter.look("counts")
    queue.delete_batch("orders", [*send(queue, "orders", 3)[:2], 1])
    samples = exporter.look("counts")
    assert states(samples, "orders") == (4, 0, 4, 0)
    assert flow(samples, "orders") == (3, 3, 0, 0, 0)
    remarks = [str(remark) for remark in exporter.watch.sources[0].check(Run(exporter.clock, 30.0))]
    assert any("grant select on all sequences in schema pgmq" in remark for remark in remarks)
