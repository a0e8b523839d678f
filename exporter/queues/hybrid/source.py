"""A hybrid queue under watch: what its samplers share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from redis import exceptions

from chassis.exposition import Reading
from exporter.clients.session import Session
from exporter.jobs.book import Active, Exact
from exporter.jobs.ledger import Targets
from exporter.model import OTHER_QUEUE, QueueKey, SampleFailed
from exporter.queues.base import SourceContext
from exporter.queues.hybrid.capabilities import absent_metrics
from exporter.queues.hybrid.follow import ByIdentity
from exporter.queues.hybrid.layout import Layout
from exporter.queues.hybrid.tables import Tables, finds_changes, read_tables
from exporter.queues.hybrid.workers import Crew
from exporter.queues.reading import watched
from exporter.queues.reading.by_time import ByTime, Follower
from exporter.sampling.sampler import Run


class Watched(watched.Watched[Tables]):
    """State of one hybrid source; as `reading.watched.Watched`, with Redis and workers."""

    def __init__(self, context: SourceContext, layout: Layout, targets: Targets, crew: Crew) -> None:
        self.layout = layout
        self.crew = crew
        self.numbered = layout.jobs.priority is not None
        self.redis_lengths: dict[QueueKey, int] = {}
        self.aligned: list[dict[QueueKey, tuple[int, int]]] = []  # handed over and in Redis, of the last two counts
        super().__init__(context, targets, crew)

    def adopt(self, other: watched.Watched[Tables]) -> None:
        """As `reading.watched.Watched.adopt`; workers are judged by the new limits."""
        with self.lock:
            if isinstance(other, Watched):
                self.crew.adopt(other.crew)
            super().adopt(other)

    def read_tables(self, tx: Session) -> Tables:
        """As `reading.watched.Watched.read_tables`."""
        tables = read_tables(tx, self.layout)
        self.finds_changes = tables.reads_logs or (tables.follows_changes and finds_changes(tx, tables))
        self.ledger.absent = frozenset(absent_metrics(tables, has_redis=self.context.store is not None))
        return tables

    def read_queues(self, tx: Session, tables: Tables) -> None:
        """As `reading.watched.Watched.read_queues`."""
        if tables.queues is None:
            return
        rows = tx.rows(tables.query("queues"))
        paused = {name: not active for name, active in rows if name is not None and active is not None}
        self.know_queues([name for name, _ in rows if name is not None], paused)

    def new_follower(self, tables: Tables) -> Follower | None:
        """As `reading.watched.Watched.new_follower`."""
        if tables.reads_logs:
            return ByIdentity(tables, self.namer)
        return ByTime(tables, self.namer) if tables.follows_changes else None

    def beside_counts(self, run: Run) -> dict[QueueKey, int]:
        """Lengths of the lists at the moment of the snapshot, so that the two can be compared."""
        if self.context.store is None or self.context.store.ailing:
            return {}  # the transaction is open: no time to wait for what is not there
        queues = [key for key in self.shown.present if key != OTHER_QUEUE]
        try:
            answers = self.context.store.ask(run, [("LLEN", key.full_name) for key in queues])
        except SampleFailed:
            return {}  # the quick look at Redis tells of it
        return {
            key: answer
            for key, answer in zip(queues, answers, strict=True)
            if not isinstance(answer, exceptions.RedisError)
        }

    def counted(self, exact: Mapping[QueueKey, Exact], beside: Any) -> None:
        """As `reading.watched.Watched.counted`: what drift is found by."""
        if not beside:
            self.aligned.clear()
            return
        both = {key: (exact[key].handed_over if key in exact else 0, length) for key, length in beside.items()}
        self.aligned = [*self.aligned[-1:], both]

    def more_living(self, present: Sequence[QueueKey]) -> Iterator[Reading]:
        """What PostgreSQL believes to be in Redis."""
        if self.layout.states.handed_over and self.context.store is not None:
            handed_over = self.book.handed_over(self.database_now)
            for key in present:
                mine = {**self.context.all_labels, **key.labels}
                yield Reading("postwatch_queue_handed_over_jobs", mine, handed_over.get(key, 0))

    def is_gone(self, active: Active) -> bool:
        """As `reading.watched.Watched.is_gone`, by heartbeats in Redis."""
        return active.worker is not None and self.crew.is_gone(active.worker, active.started)

    def redis_length(self, key: QueueKey) -> int | None:
        """As `reading.watched.Watched.redis_length`."""
        return self.redis_lengths.get(key)

    def publish_more(self, run: Run) -> None:
        """Workers by the rows that they run, where no Redis tells of them."""
        if self.context.store is None and self.tables and self.tables.has(self.layout.jobs.worker):
            running = [one.worker for one in self.book.active() if one.worker]
            workers = self.crew.take_stock(running, self.context.all_labels, self.health, self.context.clock)
            run.publish(f"source {self.context.name}: workers", workers, pace="changes")
