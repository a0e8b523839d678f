"""Counts the messages of one queue that came and went, from what pgmq leaves to be seen. Pure: no effects.

An archived message leaves a row, a deleted one leaves nothing. But every message takes the next number of its
queue's sequence, so what was numbered and is not in the queue is gone:

    gone = numbered - still there

A number may belong to a message that is not committed yet. Whoever writes into a queue holds a lock on its
table before taking a number, so that a number is settled as soon as everyone has ended who held such a lock
just after it was read.
"""

from __future__ import annotations

from collections import deque


class Flow:
    """One queue's numbers. What it counts only grows; each look tells `allocate` first and then what it counted."""

    def __init__(self, allocated: int, *, born: bool) -> None:
        """`allocated`: the last number given out. `born`: the queue was made under watch, so all its numbers count."""
        self.enqueued = 0
        self.gone = 0  # ended in whatever way, the purged ones too
        self.purged = 0
        self.allocated = allocated
        self.settled: int | None = 0 if born else None  # numbers up to it are in the queue, or never will be
        self._origin = 0 if born else allocated
        self._base: tuple[int, int] | None = (0, 0) if born else None  # a settled number, messages up to it then
        self._pending: deque[tuple[int, frozenset[str]]] = deque()
        self._exact = 0  # gone by the last count

    def allocate(self, allocated: int, writers: frozenset[str]) -> None:
        """`writers`: transactions that held a lock to write into the queue just after `allocated` was read."""
        self.allocated = allocated
        self.enqueued = max(self.enqueued, allocated - self._origin)
        self._pending.append((allocated, writers))
        while self._pending and not self._pending[0][1] & writers:
            self.settled, _ = self._pending.popleft()

    def count(self, settled: int | None, live: int, unsettled: int) -> None:
        """All messages in the queue, and those numbered past `settled`, as that was just before the snapshot."""
        if settled is None:
            return
        there = live - unsettled
        if self._base is None:
            self._base = (settled, there)
        number, before = self._base
        self._exact = (settled - number) - (there - before)
        self.gone = max(self.gone, self._exact)

    def carry(self, gone: int) -> None:
        """`gone` messages have left since the last count, as far as is known without counting."""
        self.gone = max(self.gone, self._exact + gone)

    def purge(self, vanished: int, gone_before: int) -> None:
        """Of what has gone since `gone_before`, up to `vanished` messages were thrown away together."""
        self.purged += max(min(vanished, self.gone - gone_before), 0)

    def resume(self, allocated: int, newest: int, live: int, left: int) -> None:
        """The server crashed, or another one took over: numbers past `newest`, the last one seen, were skipped.

        `left`: messages that are known to have ended meanwhile.
        """
        came = max(newest - self.allocated, 0)
        self._origin = allocated - self.enqueued - came
        self._base = (allocated - self.gone - max(left, 0), live)
        self.allocated = self.settled = allocated
        self._pending.clear()
        self.enqueued += came
        self.count(allocated, live, 0)
