"""A source whose jobs stand in a table: what it answers of what is watched."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Generic, TypeVar

from chassis.exposition import Reading
from exporter.queues.base import QueueRow, SourceContext, SourceHealth, target_readings
from exporter.queues.reading.watched import Watched

W = TypeVar("W", bound=Watched[Any])

EXACT_TIMEOUT = 30.0  # seconds; a count of millions takes longer than a quick look may


class TableQueue(Generic[W]):
    """The parts of a `QueueSource` that do not depend on the system."""

    def __init__(self, watched: W) -> None:
        self.context: SourceContext = watched.context
        self.targets = watched.targets
        self._watched = watched
        self.health: SourceHealth = watched.health

    def go_on(self, before: TableQueue[W]) -> None:
        """Both watch the same: go on from where `before` is."""
        before._watched.adopt(self._watched)
        self._watched = before._watched
        self.health = self._watched.health

    def settings(self) -> Iterator[Reading]:
        """As `QueueSource.settings`."""
        return target_readings(self.targets, self._watched.shown.present, self.context.all_labels)

    def sampled_at(self) -> float:
        """As `QueueSource.sampled_at`."""
        return self._watched.database_now

    def queues(self) -> list[QueueRow]:
        """As `QueueSource.queues`."""
        watched, shown = self._watched, self._watched.shown
        rows = []
        for key in shown.present:
            unknown = (None, None, None)
            scheduled, waiting, active = unknown if shown.split is None else shown.split.get(key, (0, 0, 0))
            row = QueueRow(
                key,
                waiting=waiting,
                scheduled=scheduled,
                active=active,
                failed=watched.failed.get(key, 0) if watched.failed is not None else None,
                oldest_waiting=shown.oldest_waiting.get(key),
                paused=shown.paused.get(key),
                redis_length=watched.redis_length(key),
                failed_lately=watched.ledger.tally(key).failed_in_the_hour_before(watched.database_now),
            )
            rows.append(row)
        return sorted(rows, key=lambda row: (-(row.waiting or 0), row.key))

    def absent(self) -> frozenset[str]:
        """As `QueueSource.absent`."""
        return self._watched.ledger.absent
