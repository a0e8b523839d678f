"""The quick look at a table of jobs and the exact counts, and what both publish."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from chassis.exposition import Reading
from exporter.clients.session import Session
from exporter.model import QueueKey, SampleFailed
from exporter.queues.reading.watched import EXACT_PLAN, QUICK_PLAN, Watched
from exporter.sampling.sampler import Run

ACTIVE_EVERY = 30.0  # seconds between reads of all active rows; in between they are followed one by one
RECENT_LOOK = 0.4  # of an interval: a look that the exact count has just made need not be made again


class Changes:
    """Reads what changed: counters, and the counts carried forward by it."""

    def __init__(self, watched: Watched[Any]) -> None:
        self._watched = watched
        self._looked = float("-inf")

    def sample(self, run: Run) -> None:
        """Look and publish."""
        watched = self._watched
        clock = watched.context.clock
        with watched.turn(run.limit):
            run.incremental = watched.finds_changes
            if clock.monotonic() - self._looked < RECENT_LOOK * watched.context.interval:
                publish(watched, run)
                return
            before = run.source_seconds
            with watched.session(run, "quick") as tx:
                watched.look(tx, QUICK_PLAN)
                if not watched.looks_with_counts:
                    watched.read_active(tx, ACTIVE_EVERY)
            run.incremental = watched.finds_changes
            self.looked()
            watched.health.query_seconds = run.source_seconds - before
            publish(watched, run)

    def looked(self) -> None:
        """A look was made, by whomever."""
        self._looked = self._watched.context.clock.monotonic()


class Counts:
    """Counts the jobs that have not ended, exactly, in the snapshot of a look."""

    def __init__(self, watched: Watched[Any], changes: Changes) -> None:
        self._watched = watched
        self._changes = changes

    def sample(self, run: Run) -> None:
        """Count and publish."""
        watched = self._watched
        try:
            self._count(run)
        except SampleFailed:
            with watched.lock:
                watched.uncounted_since = watched.uncounted_since or watched.context.clock.monotonic()
            raise

    def _count(self, run: Run) -> None:
        watched = self._watched
        with watched.session(run, "exact") as tx:
            with watched.turn(run.limit):
                self._look(tx)
                book = watched.book
                mark = book.mark(watched.database_now)
            beside = watched.beside_counts(run)
            tables = watched.tables
            rows = tx.rows(tables.query("counts")) if tables else []
        with watched.lock:
            exact = watched.gather(rows)
            if book is watched.book:
                book.counted(mark, exact)
                watched.uncounted_since = None
                watched.counted(exact, beside)
                if watched.ledger.attend(frozenset(watched.present()), watched.context.clock.monotonic()):
                    watched.namer.forget()
            publish(watched, run)

    def _look(self, tx: Session) -> None:
        watched = self._watched
        changes = watched.looks_with_counts or watched.follower is None
        watched.look(tx, changes=changes)
        if changes:
            self._changes.looked()
            watched.read_active(tx, ACTIVE_EVERY)


class Failed:
    """Counts stored failed rows."""

    def __init__(self, watched: Watched[Any]) -> None:
        self._watched = watched

    def sample(self, run: Run) -> None:
        """Count and publish."""
        watched = self._watched
        with watched.session(run, "exact") as tx:
            tx.begin(EXACT_PLAN)
            with watched.lock:
                tables = watched.known_tables(tx)
            (now,) = tx.row("select now()")
            rows = tx.rows(tables.query("failed"))
            self.more(tx, tables, run)
        counts: dict[QueueKey, int] = {}
        with watched.lock:
            for queue, index, count, *last_end in rows:
                if queue is None:
                    continue
                key = watched.namer.by_class(queue, index)
                counts[key] = counts.get(key, 0) + count
                watched.note_end(key, *last_end)
            watched.failed = counts
            readings = []
            for key in watched.present():
                mine = {**watched.context.all_labels, **key.labels, "state": "failed"}
                readings.append(Reading("postwatch_queue_jobs", mine, counts.get(key, 0)))
                readings.append(Reading("postwatch_queue_counted_timestamp_seconds", mine, now))
        run.publish(f"source {watched.context.name}: failed", readings)

    def more(self, tx: Session, tables: Any, run: Run) -> None:
        """What else a system looks for in the same transaction."""


def publish(watched: Watched[Any], run: Run) -> None:
    """What looks and counts have made known. The caller holds the lock."""
    labels = watched.context.all_labels
    watched.show()
    present = list(watched.shown.present)
    run.publish(f"source {watched.context.name}: living", _living(watched, present, labels), pace="changes")
    run.publish(f"source {watched.context.name}: counted", watched.ledger.readings(labels))
    watched.publish_more(run)


def _living(watched: Watched[Any], present: list[QueueKey], labels: dict[str, str]) -> Iterator[Reading]:
    now = watched.database_now
    if watched.counts_are_stale and watched.follower is None:
        return  # nothing carries the last exact count forward
    oldest = not watched.counts_are_stale
    yield from watched.book.readings(present, labels, now, oldest_waiting=oldest)
    for key, paused in watched.presence.paused(present):
        yield Reading("postwatch_queue_paused", {**labels, **key.labels}, float(paused))
    yield from watched.ledger.finish_times(labels, present)
    if watched.book.counted_at is None:
        return
    yield from watched.more_living(present)
    stuck = dict.fromkeys(present, 0)
    for active in watched.book.active():
        limit = watched.targets.of(active.key).time_limit
        late = limit is not None and active.started is not None and now - active.started > limit
        late = late or (active.late_at is not None and now > active.late_at)
        if active.key in stuck and (late or watched.is_gone(active)):
            stuck[active.key] += 1
    for key, count in stuck.items():
        yield Reading("postwatch_queue_stuck_jobs", {**labels, **key.labels}, count)
