"""A histogram of seconds that is observed here and rendered elsewhere."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence


class Histogram:
    """Counts by upper bound (inclusive). Not thread-safe: its owner holds a lock."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Count one observation; a negative one, from clocks that disagree, counts as zero."""
        seconds = max(seconds, 0.0)
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds

    @property
    def count(self) -> int:
        """All observations so far."""
        return sum(self.counts)

    def snapshot(self) -> tuple[tuple[float, ...], tuple[int, ...], float]:
        """Bounds, counts by bound (the last one unbounded), sum of seconds."""
        return self.bounds, tuple(self.counts), self.total
