"""The quick look at PostgreSQL and the exact counts, and what both publish."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from psycopg import sql
from redis import exceptions

from chassis.exposition import Reading
from exporter.clients.postgres import Session
from exporter.jobs.book import Active, Exact
from exporter.model import OTHER_QUEUE, PRIORITIES, QueueKey, SampleFailed
from exporter.queues.hybrid.source import EXACT_PLAN, QUICK_PLAN, Watched
from exporter.queues.hybrid.tables import Tables
from exporter.sampling.sampler import Run

ACTIVE_EVERY = 30.0  # seconds between reads of all active rows; in between they are followed one by one
RECENT_LOOK = 0.4  # of an interval: a look that the exact count has just made need not be made again
FIRST_ENDS = 0.1  # seconds for finding when queues last finished something, at a time


class Changes:
    """Reads what changed: counters, and the counts carried forward by it."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self._looked = float("-inf")

    def sample(self, run: Run) -> None:
        """Look and publish."""
        watched = self._watched
        clock = watched.context.clock
        if not watched.lock.acquire(timeout=run.limit):
            raise watched.too_busy()
        try:
            run.incremental = watched.finds_changes
            if clock.monotonic() - self._looked < RECENT_LOOK * watched.context.interval:
                publish(watched, run)
                return
            before = run.source_seconds
            with watched.session(run, "quick") as tx:
                watched.look(tx, QUICK_PLAN)
            run.incremental = watched.finds_changes
            self.looked()
            watched.health.query_seconds = run.source_seconds - before
            publish(watched, run)
        finally:
            watched.lock.release()

    def looked(self) -> None:
        """A look was made, by whomever."""
        self._looked = self._watched.context.clock.monotonic()


class Counts:
    """Counts the jobs that have not ended, exactly, in the snapshot of a look."""

    def __init__(self, watched: Watched, changes: Changes) -> None:
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
        book = watched.book
        with watched.session(run, "exact") as tx:
            if not watched.lock.acquire(timeout=run.limit):
                raise watched.too_busy()
            try:
                watched.look(tx)
                self._changes.looked()
                book = watched.book
                self._read_active(tx)
                mark = book.mark(watched.database_now)
            finally:
                watched.lock.release()
            lengths = self._lengths(run)
            tables = watched.tables
            rows = tx.rows(tables.query("counts")) if tables else []
        with watched.lock:
            exact = self._gather(rows)
            if book is watched.book:
                book.counted(mark, exact)
                watched.uncounted_since = None
                self._align(exact, lengths)
                if watched.ledger.attend(frozenset(watched.present()), watched.context.clock.monotonic()):
                    watched.namer.forget()
            publish(watched, run)

    def _read_active(self, tx: Session) -> None:
        watched = self._watched
        at = watched.book.active_at
        followed = watched.follower is not None
        if watched.tables is None or (followed and at is not None and 0 <= watched.database_now - at < ACTIVE_EVERY):
            return
        active = {
            job: Active(watched.namer.by_number(queue, priority), started, worker)
            for job, queue, priority, started, worker in tx.rows(watched.tables.query("active"))
            if queue is not None
        }
        watched.book.set_active(active, watched.database_now)

    def _gather(self, rows: list[tuple[Any, ...]]) -> dict[QueueKey, Exact]:
        exact: dict[QueueKey, Exact] = {}
        for queue, index, handed_over, due, count, ready in rows:
            if queue is None:
                continue
            one = exact.setdefault(self._watched.namer.by_class(queue, index), Exact())
            if due is not None:
                one.scheduled[due] += count
                continue
            one.waiting += count
            one.handed_over += count if handed_over else 0
            if ready is not None:
                one.oldest_ready = ready if one.oldest_ready is None else min(one.oldest_ready, ready)
        return exact

    def _lengths(self, run: Run) -> dict[QueueKey, int]:
        """Lengths of the lists at the moment of the snapshot, so that the two can be compared."""
        watched = self._watched
        if watched.context.store is None or watched.context.store.ailing:
            return {}  # the transaction is open: no time to wait for what is not there
        queues = [key for key in watched.shown.present if key != OTHER_QUEUE]
        try:
            answers = watched.context.store.ask(run, [("LLEN", key.full_name) for key in queues])
        except SampleFailed:
            return {}  # the quick look at Redis tells of it
        return {
            key: answer
            for key, answer in zip(queues, answers, strict=True)
            if not isinstance(answer, exceptions.RedisError)
        }

    def _align(self, exact: dict[QueueKey, Exact], lengths: dict[QueueKey, int]) -> None:
        if not lengths:
            self._watched.aligned.clear()
            return
        both = {key: (exact[key].handed_over if key in exact else 0, length) for key, length in lengths.items()}
        self._watched.aligned = [*self._watched.aligned[-1:], both]


class Failed:
    """Counts stored failed rows, and finds when queues last finished something before we came."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self._asked: set[QueueKey] = set()

    def sample(self, run: Run) -> None:
        """Count and publish."""
        watched = self._watched
        with watched.session(run, "exact") as tx:
            tx.begin(EXACT_PLAN)
            with watched.lock:
                tables = watched.known_tables(tx)
            (now,) = tx.row("select now()")
            rows = tx.rows(tables.query("failed"))
            self._find_ends(tx, tables, run)
        counts: dict[QueueKey, int] = {}
        with watched.lock:
            for queue, index, count in rows:
                if queue is not None:
                    key = watched.namer.by_class(queue, index)
                    counts[key] = counts.get(key, 0) + count
            watched.failed = counts
            readings = []
            for key in watched.present():
                mine = {**watched.context.all_labels, **key.labels, "state": "failed"}
                readings.append(Reading("postwatch_queue_jobs", mine, counts.get(key, 0)))
                readings.append(Reading("postwatch_queue_counted_timestamp_seconds", mine, now))
        run.publish(f"source {watched.context.name}: failed", readings)

    def _find_ends(self, tx: Session, tables: Tables, run: Run) -> None:
        """When a queue last finished a job before we came: each is asked for once, while the time lasts."""
        watched = self._watched
        if not (tables.follows_changes and tables.has(watched.layout.jobs.completed)):
            return
        with watched.lock:
            missing = [key for key in watched.present() if key not in self._asked and key != OTHER_QUEUE]
        began = run.source_seconds
        for key in missing:
            if run.source_seconds - began > FIRST_ENDS or run.left < run.limit / 2:
                break
            self._asked.add(key)
            last = self._last_end(tx, tables, key)
            if last is not None:
                with watched.lock:
                    tally = watched.ledger.tally(key)
                    tally.last_finished = max(last, tally.last_finished or last)

    def _last_end(self, tx: Session, tables: Tables, key: QueueKey) -> float | None:
        names = [key.queue, f"queue:{key.queue}"]
        of_priority: sql.Composable = sql.SQL("")
        if tables.has(self._watched.layout.jobs.priority):
            of_priority = sql.SQL("and {} = {}").format(
                tables.fragment("priority_class"), sql.Literal(PRIORITIES.index(key.priority))
            )
        else:
            names = [key.full_name, key.full_name.removeprefix("queue:")]
        found = []
        query = tables.query("last_finished", of_priority=of_priority)
        for name in names:
            answer = tx.within(FIRST_ENDS, query, {"queue": name})
            found += [row[0] for row in answer or [] if row[0] is not None]
        return max(found, default=None)


def publish(watched: Watched, run: Run) -> None:
    """What looks and counts have made known. The caller holds the lock."""
    labels = watched.context.all_labels
    watched.show()
    present = list(watched.shown.present)
    run.publish(f"source {watched.context.name}: living", _living(watched, present, labels), pace="changes")
    run.publish(f"source {watched.context.name}: counted", watched.ledger.readings(labels))
    if watched.context.store is None and watched.tables and watched.tables.has(watched.layout.jobs.worker):
        running = [one.worker for one in watched.book.active() if one.worker]
        workers = watched.crew.take_stock(running, labels, watched.health, watched.context.clock)
        run.publish(f"source {watched.context.name}: workers", workers, pace="changes")


def _living(watched: Watched, present: list[QueueKey], labels: dict[str, str]) -> Iterator[Reading]:
    now = watched.database_now
    if watched.counts_are_stale and watched.follower is None:
        return  # nothing carries the last exact count forward
    oldest = not watched.counts_are_stale
    yield from watched.book.readings(present, labels, now, oldest_waiting=oldest)
    yield from watched.paused_readings(present)
    yield from watched.ledger.finish_times(labels, present)
    if watched.book.counted_at is None:
        return
    if watched.layout.states.handed_over and watched.context.store is not None:
        handed_over = watched.book.handed_over(now)
        for key in present:
            mine = {**labels, **key.labels}
            yield Reading("postwatch_queue_handed_over_jobs", mine, handed_over.get(key, 0))
    stuck = dict.fromkeys(present, 0)
    for active in watched.book.active():
        limit = watched.targets.of(active.key).time_limit
        late = limit is not None and active.started is not None and now - active.started > limit
        gone = active.worker is not None and watched.crew.is_gone(active.worker, active.started)
        if active.key in stuck and (late or gone):
            stuck[active.key] += 1
    for key, count in stuck.items():
        yield Reading("postwatch_queue_stuck_jobs", {**labels, **key.labels}, count)
