"""Remembers which events were counted, by packed 64-bit keys: 8 bytes each, not 90."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from math import floor

# Buckets younger than this many widths behind the newest one are sets, for speed; older ones are packed.
LOOSE = 2


class _Bucket:
    __slots__ = ("loose", "packed")

    def __init__(self) -> None:
        self.loose: set[int] = set()
        self.packed = array("q")

    def __contains__(self, key: int) -> bool:
        if key in self.loose:
            return True
        place = bisect_left(self.packed, key)
        return place < len(self.packed) and self.packed[place] == key

    def pack(self) -> None:
        if self.loose:
            self.packed = array("q", sorted([*self.packed, *self.loose]))
            self.loose = set()


class Seen:
    """Keys with the position (time or id) of their event; old positions are forgotten together.

    A key is looked for only at its own position, so the same event must always bring the same position.
    Keys are signed 64-bit numbers; two events share one with a chance of about 1 in 10^7 at a million
    remembered ones.
    """

    def __init__(self, width: float) -> None:
        self._width = width
        self._buckets: dict[int, _Bucket] = {}
        self._newest = -(1 << 62)

    def add(self, key: int, position: float) -> bool:
        """Remember; answers whether it is new."""
        number = floor(position / self._width)
        bucket = self._buckets.get(number)
        if bucket is None:
            bucket = self._buckets[number] = _Bucket()
            if number > self._newest:
                self._newest = number
        elif key in bucket:
            return False
        bucket.loose.add(key)
        return True

    def forget_before(self, position: float) -> None:
        """Drop whole buckets below `position`, and pack those that are no longer the newest."""
        first = floor(position / self._width)
        for number in [n for n in self._buckets if n < first]:
            del self._buckets[number]
        for number, bucket in self._buckets.items():
            if number <= self._newest - LOOSE:
                bucket.pack()

    def __len__(self) -> int:
        return sum(len(b.loose) + len(b.packed) for b in self._buckets.values())


class SeenLately:
    """What was last met of each job, remembered for `seconds`: for ends that bear no time of their own."""

    def __init__(self, seconds: float, generations: int = 4) -> None:
        self._step = seconds / (generations - 1)
        self._generations: list[dict[int, int]] = [{} for _ in range(generations)]
        self._turned: float | None = None

    def add(self, job: int, mark: int, monotonic: float) -> bool:
        """Remember `mark` of a job; answers whether it is new. `monotonic` is the present, in seconds."""
        if self._turned is None:
            self._turned = monotonic
        while monotonic - self._turned >= self._step:
            self._generations = [{}, *self._generations[:-1]]
            self._turned += self._step
        known = next((generation[job] for generation in self._generations if job in generation), None)
        self._generations[0][job] = mark
        return known != mark

    def forget(self, job: int) -> None:
        """The job lives again: whatever comes of it is new."""
        for generation in self._generations:
            generation.pop(job, None)
