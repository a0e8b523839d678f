"""Stored failed rows of a pg-boss, and when its queues last finished something before we came."""

from __future__ import annotations

from typing import Any

from exporter.clients.session import Session
from exporter.queues.pgboss.source import Watched
from exporter.queues.pgboss.tables import FoundBy
from exporter.queues.reading import samplers
from exporter.sampling.sampler import Run

FIRST_ENDS = 0.5  # seconds for finding when queues last finished something


class Failed(samplers.Failed):
    """Counts stored failed rows, and once finds when queues last finished something before we came."""

    def __init__(self, watched: Watched) -> None:
        super().__init__(watched)
        self._boss = watched
        self._asked: set[str] = set()

    def more(self, tx: Session, tables: Any, run: Run) -> None:
        """When a queue last finished a job before we came: each is asked for once."""
        boss = self._boss
        names = [name for name in boss.name_unended() if name not in self._asked]
        if tables.found_by is not FoundBy.OWN or not names:
            return  # the count has read it on its way
        self._asked.update(names)
        rows = tx.within(min(FIRST_ENDS, run.left / 2), tables.query("last_ends"), {"names": names}) or []
        with boss.lock:
            for name, index, last in rows:
                boss.note_end(boss.namer.by_class(name, index), last)
