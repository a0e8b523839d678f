"""So many messages in so many seconds, exactly, with a share that only urgent ones may use."""

from __future__ import annotations

import threading
from collections import deque

from alerter.receivers.base import Rate
from chassis.clock import Clock

RESERVED = 0.2  # share of the rate that is kept for what is urgent
_MARGIN = 1.02  # the provider's clock starts when a message arrives, ours when it leaves
PATIENCE = 15.0  # seconds that messages may wait for their turn before they are told as one


class Pace:
    """The last messages' times. Safe to share among threads."""

    def __init__(self, rate: Rate, clock: Clock) -> None:
        self._rate = rate
        self._clock = clock
        self._lock = threading.Lock()
        self._sent: deque[float] = deque()

    def free(self, *, urgent: bool) -> int:
        """How many messages may be sent now."""
        with self._lock:
            self._forget()
            reserved = 0 if urgent or self._rate.count < 5 else int(self._rate.count * RESERVED)
            return max(self._rate.count - reserved - len(self._sent), 0)

    def take(self, count: int) -> None:
        """So many are sent now."""
        with self._lock:
            self._sent.extend([self._clock.monotonic()] * count)

    def wait(self) -> float:
        """Seconds until another one may be sent; 0: now."""
        with self._lock:
            self._forget()
            if len(self._sent) < self._rate.count:
                return 0.0
            oldest = self._sent[len(self._sent) - self._rate.count]
            return max(oldest + self._rate.seconds * _MARGIN - self._clock.monotonic(), 0.0)

    @property
    def bearable(self) -> int:
        """How many messages may wait for their turn."""
        return max(int(self._rate.per_second * PATIENCE), 1)

    def _forget(self) -> None:
        horizon = self._clock.monotonic() - self._rate.seconds * _MARGIN
        while self._sent and self._sent[0] <= horizon:
            self._sent.popleft()
