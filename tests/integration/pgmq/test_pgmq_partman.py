"""Partitioned queues as pgmq and pg_partman make them: by number and by time, and what becomes of old partitions."""

from __future__ import annotations

import pytest
from pgmq import PGMQueue

from demo.process import ServerError
from tests.integration.pgmq.reading import Watch, flow, states, value
from tests.support.jobs import Owner, epoch
from tests.support.messages import read, send

pytestmark = pytest.mark.parametrize("database", ["empty@15"], indirect=True)


@pytest.fixture
def partman(owner: Owner) -> None:
    if not owner.execute("select from pg_available_extensions where name = 'pg_partman'").fetchall():
        raise ServerError("pg_partman is missing: install the package postgresql-15-partman")
    owner.execute("create schema partman; create extension pg_partman schema partman")


@pytest.mark.usefixtures("partman")
def test_partitions_by_number_and_by_time(owner: Owner, queue: PGMQueue, watch: Watch) -> None:
    names = {"Numbered": "10", "timed": "1 hour"}
    for name, size in names.items():
        owner.execute("select pgmq.create_partitioned(%s, %s, '100000')", [name, size])
        send(queue, name, 25)
        assert len(read(queue, name, 3)) == 3
        queue.archive(name, 1)
    exporter = watch()
    samples = exporter.look("counts")
    for name in names:
        assert states(samples, name) == (22, 0, 22, 2), name
        assert flow(samples, name) == (0, 0, 0, 0, 0)
        last = epoch(owner, f"select max(archived_at) from pgmq.a_{name}")
        assert value(samples, "last_finished_timestamp_seconds", name) == pytest.approx(last, abs=0.001)
        new = send(queue, name, 15)
        queue.delete_batch(name, [2, new[0]])
        queue.archive_batch(name, [3, new[-1]])
        queue.set_vt(name, new[1], 3600)
    samples = exporter.look("changes")
    for name in names:
        assert states(samples, name) == (34, 1, 34, 0), name
        assert flow(samples, name) == (15, 4, 0, 0, 0), name
    assert exporter.watch.sources[0].tables() == ['pgmq."q_numbered"', 'pgmq."q_timed"']  # type: ignore[attr-defined]


@pytest.mark.usefixtures("partman")
def test_a_partition_that_is_dropped_takes_its_messages_along(owner: Owner, queue: PGMQueue, watch: Watch) -> None:
    owner.execute("select pgmq.create_partitioned('numbered', '10', '20')")
    send(queue, "numbered", 45)
    exporter = watch()
    assert states(exporter.look("counts"), "numbered") == (45, 0, 45, 0)
    owner.execute("select partman.run_maintenance('pgmq.q_numbered')")
    row = owner.execute("select count(*) from pgmq.q_numbered").fetchone()
    assert row is not None
    assert 0 < row[0] < 45, "nothing was dropped"
    for kind in ("changes", "counts"):
        samples = exporter.look(kind)
        assert states(samples, "numbered") == (row[0], 0, row[0], 0)
        assert flow(samples, "numbered") == (0, 45 - row[0], 0, 0, 0)  # as documented: they count as completed
