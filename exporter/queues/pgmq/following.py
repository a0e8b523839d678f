"""The queues of one pgmq that are followed: which came, which went, and under which key each is told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from exporter.jobs.ledger import Roster
from exporter.model import OTHER_QUEUE, QueueKey
from exporter.queues.pgmq.flow import Flow
from exporter.queues.pgmq.listing import Listed
from exporter.queues.pgmq.queue import Followed


class Following:
    """What is followed, by name. Not thread-safe: its source holds a lock."""

    def __init__(self, roster: Roster) -> None:
        self.queues: dict[str, Followed] = {}
        self.began: float | None = None  # by the database's clock: when queues were first met
        self._roster = roster

    def meet(
        self, listed: Iterable[Listed], writers: Mapping[int, frozenset[str]], now: float, *, standby: bool
    ) -> bool:
        """Take note of queues that came and went, and of their numbers; answers whether all of them can be read.

        `writers`: by table, who may have written there. `now`: by the database's clock.
        """
        met: dict[str, Followed] = {}
        for one in listed:
            queue = self._queue(one)
            queue.broken = one.problem(standby=standby)
            numbered = queue.listed.allocated
            if numbered is not None and not queue.resuming:
                if numbered < queue.flow.allocated:
                    queue.resuming = True  # its numbers begin anew
                else:
                    queue.flow.allocate(numbered, writers.get(one.oid or 0, frozenset()))
            met[one.name] = queue
        self.queues = met
        if self.began is None:
            self.began = now
        return all(queue.broken is None for queue in met.values())

    def _queue(self, listed: Listed) -> Followed:
        queue = self.queues.get(listed.name)
        if queue is None or queue.listed.oid != listed.oid:
            # New, or made anew under its name: then its messages went with it, and its counters go on.
            key = self._roster.admit(_key(listed))
            born = self.is_new(listed) and listed.allocated is not None
            queue = Followed(listed, key, Flow(listed.allocated or 0, born=born), ends_seen=0 if born else -1)
        queue.listed = listed
        return queue

    def is_new(self, listed: Listed) -> bool:
        """Whether the queue was made since the first look."""
        return self.began is not None and listed.created >= self.began

    def name_anew(self) -> None:
        """There may be room now for queues that came too late."""
        for queue in self.queues.values():
            queue.key = self._roster.admit(_key(queue.listed))

    def resume(self) -> None:
        """The server was started anew: the next counts say where the queues go on."""
        for queue in self.queues.values():
            queue.resuming = True

    def present(self) -> list[QueueKey]:
        """Queues that exist now, and configured ones; in the roster's order."""
        keys = {queue.key for queue in self.queues.values()}
        return [
            *(key for key in self._roster if key in keys or self._roster.is_configured(key)),
            *([OTHER_QUEUE] if OTHER_QUEUE in keys else []),
        ]


def _key(listed: Listed) -> QueueKey:
    return QueueKey(listed.name, "normal")
