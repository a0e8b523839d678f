"""pgmq by its real client, compared with what the test has done: each metric, on PostgreSQL 15 and 18."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pgmq import PGMQueue

from tests.support.databases import Database
from tests.support.exporter import Exporter, Samples, config
from tests.support.jobs import Owner, epoch
from tests.support.messages import client, create_partitioned, install, read, send

OUTCOMES = ("completed", "failed", "cancelled", "expired")
both = pytest.mark.parametrize("database", ["empty@15", "empty@18"], indirect=True)
on15 = pytest.mark.parametrize("database", ["empty@15"], indirect=True)


@pytest.fixture(autouse=True)
def every_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks follow one another at once: none is left out for having been made just now."""
    monkeypatch.setattr("exporter.queues.reading.samplers.RECENT_LOOK", 0.0)


@pytest.fixture
def owner(database: Database) -> Iterator[Owner]:
    install(database, tracking=True)
    with database.connect() as connection:
        yield connection


@pytest.fixture
def queue(owner: Owner, database: Database) -> Iterator[PGMQueue]:
    with client(database) as one:
        yield one


Watch = Callable[..., Exporter]


@pytest.fixture
def watch(owner: Owner, database: Database) -> Iterator[Watch]:
    made: list[Exporter] = []

    def make(**options: Any) -> Exporter:
        given = {"name": "mail", "kind": "pgmq", "postgres": database.reader_url, **options}
        made.append(Exporter(config(given)).__enter__())
        return made[-1]

    yield make
    for one in made:
        one.__exit__(None, None, None)


def value(samples: Samples, metric: str, name: str, **labels: str) -> float | None:
    return samples.get(f"postwatch_queue_{metric}", queue=name, priority="normal", **labels)


def states(samples: Samples, name: str) -> tuple[float | None, ...]:
    """Depth, scheduled, waiting, active."""
    jobs = (value(samples, "jobs", name, state=state) for state in ("scheduled", "waiting", "active"))
    return (value(samples, "depth", name), *jobs)


def flow(samples: Samples, name: str) -> tuple[float | None, ...]:
    """Enqueued, completed, failed, cancelled, retried."""
    ended = (value(samples, "jobs_finished_total", name, outcome=outcome) for outcome in OUTCOMES[:3])
    assert value(samples, "jobs_finished_total", name, outcome="expired") == 0
    return (value(samples, "jobs_enqueued_total", name), *ended, value(samples, "job_retries_total", name))


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
