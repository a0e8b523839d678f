"""A pg-boss under watch: what its samplers share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from math import inf
from typing import Any

from chassis.exposition import Reading
from exporter.clients.session import Session
from exporter.jobs.book import Exact
from exporter.jobs.journal import Nobody
from exporter.jobs.ledger import Roster, Targets
from exporter.model import OTHER_QUEUE, QueueKey
from exporter.queues.base import SourceContext
from exporter.queues.pgboss.capabilities import ABSENT
from exporter.queues.pgboss.tables import Tables, priority_class, read_tables
from exporter.queues.reading import watched
from exporter.queues.reading.by_time import ByTime, Follower
from exporter.queues.reading.naming import Namer


def plain(name: str) -> QueueKey:
    """The key of a queue's name as pg-boss has it, which says nothing of a priority."""
    return QueueKey(name, "normal")


class Watched(watched.Watched[Tables]):
    """State of one pg-boss; as `reading.watched.Watched`."""

    numbered = True

    def __init__(self, context: SourceContext, schema: str, targets: Targets) -> None:
        self.schema = schema
        self._dead_letters: dict[str, str] = {}  # by queue, the queue that its failed jobs are sent to
        self._queues: list[str] = []
        self._expiries: dict[QueueKey, float] = {}  # when the first waiting job will be deleted
        super().__init__(context, targets, Nobody())
        self.ledger.absent = frozenset(ABSENT)

    @property
    def looks_with_counts(self) -> bool:
        """As `reading.watched.Watched.looks_with_counts`: what waits has an index, what ended may have none."""
        return self.finds_changes

    def read_tables(self, tx: Session) -> Tables:
        """As `reading.watched.Watched.read_tables`."""
        tables = read_tables(tx, self.schema)
        self.finds_changes = tables.indexed
        return tables

    def read_queues(self, tx: Session, tables: Tables) -> None:
        """As `reading.watched.Watched.read_queues`."""
        rows = tx.rows(tables.query("queues"))
        self._dead_letters = {name: letters for name, letters in rows if letters is not None}
        names = [name for name, _ in rows]
        if names != self._queues:
            self._queues = names
            self.tables = self.read_tables(tx)  # a queue may have a table of its own, with or without indexes
        self.know_queues(names)

    def name_unended(self) -> list[str]:
        """Queues of which no end is known."""
        with self.lock:
            known = {key.queue for key in self.roster if self.ledger.tally(key).last_finished is not None}
            return [name for name in self._queues if name not in known]

    def new_follower(self, tables: Tables) -> Follower:
        """As `reading.watched.Watched.new_follower`."""
        return ByTime(tables, self.namer)

    def new_namer(self, roster: Roster) -> Namer:
        """As `reading.watched.Watched.new_namer`."""
        return Namer(roster, plain, priority_class)

    def gather(self, rows: list[tuple[Any, ...]]) -> dict[QueueKey, Exact]:
        """As `reading.watched.Watched.gather`; rows tell when the first of the waiting jobs will be deleted too."""
        self._expiries = {}
        for queue, index, _, due, _, _, expiry in rows:
            if due is None and expiry is not None and expiry < inf:
                key = self.namer.by_class(queue, index)
                self._expiries[key] = min(expiry, self._expiries.get(key, inf))
        return super().gather(rows)

    def more_living(self, present: Sequence[QueueKey]) -> Iterator[Reading]:
        """Dead letters, and when waiting jobs will be deleted."""
        labels = self.context.all_labels
        split = self.book.split(self.database_now)
        for key, expiry in self._expiries.items():
            if key in present and key != OTHER_QUEUE and split.get(key, (0, 0, 0))[1]:
                yield Reading("postwatch_queue_next_expiry_timestamp_seconds", {**labels, **key.labels}, expiry)
        living: Counter[str] = Counter()
        for key, states in split.items():
            living[key.queue] += sum(states)
        for name, letters in self._dead_letters.items():
            if (key := plain(name)) in present and self.namer.tells_all_of(letters):
                yield Reading("postwatch_queue_dead_letters", {**labels, **key.labels}, living[letters])
