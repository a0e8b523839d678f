"""Depth within ten seconds at any size, within the budget: a backlog of 600,000 that fills and drains."""

from __future__ import annotations

import threading
import time
from bisect import bisect_right
from typing import Any

import psycopg
import pytest

from tests.support.databases import Database
from tests.support.wait import eventually
from tests.support.watching import Watching, watching

# The machine's cores are for one of these at a time.
pytestmark = pytest.mark.xdist_group("heavy")

CONFIGURATION = """
queues:
  - {{name: mail, kind: hybrid, postgres: "{url}", schema: penguinmails}}
"""
BACKLOG = 600_000
RATE = 2_000  # jobs a second, filling or draining
BATCH = 100
PHASE = 25.0  # seconds of filling, then of draining


class Platform(threading.Thread):
    """Creates or runs jobs in batches; remembers how many waited after each commit."""

    def __init__(self, url: str, waiting: int) -> None:
        super().__init__()
        self._url = url
        self._halt = threading.Event()
        self.filling = True
        self.moments = [time.time()]
        self.depths = [waiting]

    def run(self) -> None:
        begun, batches = time.monotonic(), 0
        with psycopg.connect(self._url, autocommit=True) as session:
            while not self._halt.wait(max(0.0, begun + batches * BATCH / RATE - time.monotonic())):
                batches += 1
                change = self._fill(session) if self.filling else self._drain(session)
                self.moments.append(time.time())
                self.depths.append(self.depths[-1] + change)

    def _fill(self, session: psycopg.Connection[Any]) -> int:
        session.execute(
            "insert into jobs (queue_name, payload) select 'email-sending', '{}' from generate_series(1, %s)", (BATCH,)
        )
        return BATCH

    def _drain(self, session: psycopg.Connection[Any]) -> int:
        """A batch is started, retried in part, and ended; one transaction, so that the truth has no in-between."""
        with session.transaction():
            ids = [
                row[0]
                for row in session.execute(
                    "update jobs set status = 'running', started = now(), updated = now(), attempt_count = 1"
                    " where id in (select id from jobs where status = 'queued' order by run_at limit %s)"
                    " returning id",
                    (BATCH,),
                )
            ]
            session.execute(
                "update jobs set status = 'queued', last_error_message = 'TimeoutError: slow', updated = now()"
                " where id = any(%s)",
                (ids[:5],),
            )
            session.execute(
                "update jobs set status = 'completed', completed = now(), updated = now() where id = any(%s)",
                (ids[5:],),
            )
        return 5 - len(ids)

    def at(self, moment: float) -> tuple[int, int]:
        """Least and most jobs that waited around a moment: commits take a while."""
        first, last = bisect_right(self.moments, moment - 0.1), bisect_right(self.moments, moment + 0.25)
        near = self.depths[max(first - 1, 0) : last + 1]
        return min(near), max(near)

    def error(self, depth: float, moment: float) -> float:
        """How far `depth` is from the truth at a moment."""
        least, most = self.at(moment)
        return max(least - depth, depth - most, 0)

    def stop(self) -> None:
        self._halt.set()
        self.join()


def published(exporter: Watching) -> tuple[float, float, float]:
    """Depth, the moment it tells of (by the database's clock), and when it was last counted exactly."""
    depth = exporter.total("postwatch_queue_depth", queue="email-sending", priority="normal")
    labels = {"queue": "email-sending", "priority": "normal", "state": "waiting"}
    (source,) = exporter.watch.sources
    return depth, source.sampled_at(), exporter.total("postwatch_queue_counted_timestamp_seconds", **labels)


@pytest.mark.timeout(240)
def test_a_large_backlog_is_carried_forward_within_the_budget(database: Database) -> None:
    with database.connect() as owner:
        owner.execute("insert into job_queues (name) values ('email-sending')")
        owner.execute(
            "insert into jobs (queue_name, payload, run_at, created, updated)"
            " select 'email-sending', '{}', t, t, t"
            " from (select now() - interval '1 hour' + n * interval '1 ms' as t from generate_series(1, %s) n) s",
            (BACKLOG,),
        )
        owner.execute("vacuum analyze jobs")
    platform = Platform(database.url, BACKLOG)
    worst = 0.0
    counts = set()
    looks: list[float] = []
    with watching(CONFIGURATION.format(url=database.reader_url)) as exporter:
        eventually(lambda: exporter.total("postwatch_queue_depth") == BACKLOG, within=20)
        begun = time.monotonic()
        platform.start()
        try:
            while (elapsed := time.monotonic() - begun) < 2 * PHASE:
                platform.filling = elapsed < PHASE
                depth, moment, counted = published(exporter)
                assert time.time() - moment < 10, "depth is older than ten seconds"
                # A look is published a moment after it was made: what is shown may still be the one before.
                looks = [moment, *[m for m in looks if m != moment][:1]]
                errors = {platform.error(depth, look): platform.at(look) for look in looks}
                error = min(errors)
                assert error <= max(0.01 * depth, 50), f"{depth} shown; {errors[error]} waited"
                worst = max(worst, error)
                counts.add(counted)
                threading.Event().wait(0.25)
        finally:
            platform.stop()
        spent = exporter.total("postwatch_sampler_source_seconds_total")
        intervals = {
            kind: exporter.total("postwatch_sampler_interval_seconds", sampler=kind) for kind in ("changes", "counts")
        }
        # One exact count costs more than the budget gives at once, so that the next one has to wait for it.
        assert intervals["changes"] <= 10
        assert intervals["counts"] > 15
        truth = platform.depths[-1]
        eventually(lambda: published(exporter)[0] == truth, within=15)

    assert truth > BACKLOG / 2
    assert counts
    assert spent > 0
