"""Who may have written into a queue without having committed: the transactions that hold a lock to write there."""

from __future__ import annotations

from psycopg import sql

from exporter.clients.session import Session
from exporter.jobs.horizon import LONGEST
from exporter.queues.pgmq.listing import BLOCKS


class Writers:
    """Transactions, and the monotonic moment each was first seen. Not thread-safe: its source holds a lock."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def read(self, tx: Session, now: float) -> dict[int, frozenset[str]]:
        """By table, who may have written there, but those that have been open for too long. `now`: monotonic."""
        found = {table: frozenset(writers) for table, writers in tx.rows(sql.SQL(BLOCKS["writers"]))}
        present = frozenset(writer for writers in found.values() for writer in writers)
        self._since = {writer: self._since.get(writer, now) for writer in present}
        given_up = frozenset(writer for writer, since in self._since.items() if now - since > LONGEST)
        return {table: writers - given_up for table, writers in found.items()}
