"""From what the tables say of a queue to its labels."""

from __future__ import annotations

from collections.abc import Callable

from exporter.jobs.ledger import Roster
from exporter.model import OTHER_QUEUE, PRIORITIES, QueueKey, priority_class


class Namer:
    """Names queues by their text and, in layouts that have one, a number for the priority.

    `parse` makes a key of a text, `classify` a class (high, normal, low) of a number.
    """

    def __init__(
        self,
        roster: Roster,
        parse: Callable[[str], QueueKey] = QueueKey.parse,
        classify: Callable[[int], str] = priority_class,
    ) -> None:
        self._roster = roster
        self._parse = parse
        self._classify = classify
        self._by_number: dict[tuple[str, int | None], QueueKey] = {}
        self._by_class: dict[tuple[str, int | None], QueueKey] = {}
        self._turned_away: set[str] = set()

    def by_number(self, queue: str, priority: int | None) -> QueueKey:
        """Of a row: `priority` as stored; None: the text alone tells."""
        key = self._by_number.get((queue, priority))
        if key is None:
            if len(self._by_number) > 10_000:  # a column with a number for every job
                self._by_number.clear()
            found = self._parse(queue)
            if priority is not None:
                found = QueueKey(found.queue, self._classify(priority))
            key = self._by_number[queue, priority] = self._admit(found)
        return key

    def by_class(self, queue: str, index: int | None) -> QueueKey:
        """Of a group of rows: `index` into the classes high, normal and low."""
        key = self._by_class.get((queue, index))
        if key is None:
            found = self._parse(queue)
            if index is not None:
                found = QueueKey(found.queue, PRIORITIES[index])
            key = self._by_class[queue, index] = self._admit(found)
        return key

    def tells_all_of(self, queue: str) -> bool:
        """Whether none of a queue's jobs are told of among those of others."""
        return queue not in self._turned_away

    def forget(self) -> None:
        """Ask the roster anew: queues may have made room."""
        self._by_number.clear()
        self._by_class.clear()
        self._turned_away.clear()

    def _admit(self, found: QueueKey) -> QueueKey:
        key = self._roster.admit(found)
        if key == OTHER_QUEUE:
            self._turned_away.add(found.queue)
        return key
