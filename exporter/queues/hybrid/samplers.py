"""Stored failed rows of a hybrid queue, and when its queues last finished something before we came."""

from __future__ import annotations

from typing import Any

from psycopg import sql

from exporter.clients.session import Session
from exporter.model import OTHER_QUEUE, PRIORITIES, QueueKey
from exporter.queues.hybrid.source import Watched
from exporter.queues.hybrid.tables import Tables
from exporter.queues.reading import samplers
from exporter.sampling.sampler import Run

FIRST_ENDS = 0.1  # seconds for finding when queues last finished something, at a time


class Failed(samplers.Failed):
    """Counts stored failed rows, and finds when queues last finished something before we came."""

    def __init__(self, watched: Watched) -> None:
        super().__init__(watched)
        self._hybrid = watched
        self._asked: set[QueueKey] = set()

    def more(self, tx: Session, tables: Any, run: Run) -> None:
        """When a queue last finished a job before we came: each is asked for once, while the time lasts."""
        watched = self._hybrid
        if not (tables.follows_changes and tables.has(watched.layout.jobs.completed)):
            return
        with watched.lock:
            # Whatever has ended since we came is newer than all that could be found.
            missing = [
                key
                for key in watched.present()
                if key not in self._asked and key != OTHER_QUEUE and watched.ledger.tally(key).last_finished is None
            ]
        began = run.source_seconds
        for key in missing:
            if run.source_seconds - began > FIRST_ENDS or run.left < run.limit / 2:
                break
            self._asked.add(key)
            last = self._last_end(tx, tables, key)
            with watched.lock:
                watched.note_end(key, last)

    def _last_end(self, tx: Session, tables: Tables, key: QueueKey) -> float | None:
        names = [key.queue, f"queue:{key.queue}"]
        of_priority: sql.Composable = sql.SQL("")
        if tables.has(self._hybrid.layout.jobs.priority):
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
