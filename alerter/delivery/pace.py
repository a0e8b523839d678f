"""So many messages in so many seconds, exactly, with a share that only urgent ones may use."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from itertools import chain

from alerter.receivers.base import Rate
from chassis.clock import Clock

RESERVED = 0.2  # share of the rate that is kept for what is urgent
_MARGIN = 1.02  # the provider's clock starts when a message arrives, ours when it leaves
PATIENCE = 15.0  # seconds that messages may wait for their turn before they are told as one


class Pace:
    """The last messages' times, those of other replicas among them. Safe to share among threads."""

    def __init__(self, rate: Rate, clock: Clock) -> None:
        self._rate = rate
        self._clock = clock
        self._lock = threading.Lock()
        self._sent: deque[float] = deque()
        self._others: deque[float] = deque()

    @property
    def window(self) -> float:
        """Seconds for which a message counts."""
        return self._rate.seconds * _MARGIN

    def free(self, *, urgent: bool) -> int:
        """How many messages may be sent now."""
        with self._lock:
            self._forget()
            reserved = 0 if urgent or self._rate.count < 5 else int(self._rate.count * RESERVED)
            return max(self._rate.count - reserved - len(self._sent) - len(self._others), 0)

    def take(self, count: int) -> None:
        """So many are sent now."""
        with self._lock:
            self._sent.extend([self._clock.monotonic()] * count)

    def hear(self, times: Iterable[float]) -> None:
        """When other replicas sent something, in monotonic seconds; in place of what was heard before."""
        with self._lock:
            self._others = deque(sorted(times))

    def wait(self) -> float:
        """Seconds until another one may be sent; 0: now."""
        with self._lock:
            self._forget()
            over = len(self._sent) + len(self._others) - self._rate.count
            if over < 0:
                return 0.0
            oldest = sorted(chain(self._sent, self._others))[over]
            return max(oldest + self.window - self._clock.monotonic(), 0.0)

    @property
    def bearable(self) -> int:
        """How many messages may wait for their turn."""
        return max(int(self._rate.per_second * PATIENCE), 1)

    def _forget(self) -> None:
        horizon = self._clock.monotonic() - self.window
        for times in (self._sent, self._others):
            while times and times[0] <= horizon:
                times.popleft()
