"""Which queues there are, and which are paused: by the configuration, the table of queues, and the jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from exporter.jobs.ledger import Roster
from exporter.model import OTHER_QUEUE, QueueKey


class Presence:
    """What the table of queues said at the last look, if there is one. Not thread-safe: its source holds a lock.

    `numbered`: a number tells the priority, so that one name in that table is several keys.
    """

    def __init__(self, roster: Roster, *, numbered: bool) -> None:
        self._roster = roster
        self._numbered = numbered
        self._named: frozenset[QueueKey] | None = None  # None: there is no such table
        self._ever_named: frozenset[QueueKey] = frozenset()
        self._paused: Mapping[str, bool] = {}  # by the name in the table

    def know(self, named: Iterable[QueueKey], paused: Mapping[str, bool]) -> None:
        """The table names these, and says of some by name whether they are paused; what it names no more is gone."""
        self._named = frozenset(named)
        self._ever_named |= self._named
        self._paused = paused

    def present(self, living: Callable[[], Mapping[QueueKey, int]]) -> list[QueueKey]:
        """Queues that exist now: configured, in the table, or with `living` jobs. In the roster's order."""
        if self._named is None:
            return [*self._roster, *self._others()]
        # Gone is what the table named once and names no more; what it never named may yet have jobs.
        gone = self._ever_named - self._named
        if self._numbered:
            names = {key.queue for key in self._named}
            gone_names = {key.queue for key in gone} - names
            gone = frozenset(key for key in self._roster if key.queue in gone_names)
        alive = {key for key, count in living().items() if count}
        keys = [key for key in self._roster if key not in gone or key in alive or self._roster.is_configured(key)]
        return [*keys, *self._others()]

    def _others(self) -> list[QueueKey]:
        return [OTHER_QUEUE] if self._roster.turned_away else []

    def paused(self, present: Sequence[QueueKey]) -> Iterator[tuple[QueueKey, bool]]:
        """Whether each queue is paused, where the table says so."""
        exact = {QueueKey.parse(name): paused for name, paused in self._paused.items()}
        by_name = {key.queue: paused for key, paused in exact.items() if key.priority == "normal"}
        for key in present:
            paused = exact.get(key, by_name.get(key.queue) if self._numbered else None)
            if paused is not None:
                yield key, paused
