"""Time as an argument, so that what depends on it can be tested without waiting."""

import time
from typing import Protocol


class Clock(Protocol):
    """Where time comes from."""

    def now(self) -> float:
        """Seconds since the epoch (UTC); may step, in both directions."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment; never goes back. Only differences mean something."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


class ManualClock:
    """Stands still until told otherwise; for tests and simulations."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self._now = now
        self._monotonic = 0.0

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Lets `seconds` (0 or more) go by on both clocks."""
        if seconds < 0:
            raise ValueError("time goes forward; use step() for a wall clock that was set")
        self._now += seconds
        self._monotonic += seconds

    def step(self, seconds: float) -> None:
        """Sets the wall clock forward or back by `seconds`, as NTP or an operator does."""
        self._now += seconds
