"""Whether a receiver is worth trying: open after failures that others would share, then one try at a time."""

from __future__ import annotations

import threading
from enum import StrEnum

from alerter.model import Reason
from alerter.receivers.base import DeliveryFailed
from chassis.backoff import Backoff
from chassis.clock import Clock

FAILURES = 5  # in a row, by which it is taken for down
_PROBE = 60.0  # seconds for which the outcome of the one that is tried is waited for
_PROVIDERS = frozenset({Reason.UNAVAILABLE, Reason.TIMEOUT, Reason.NETWORK})


class State(StrEnum):
    """Of a receiver, as label `state` of postwatch_alerter_receiver_state."""

    OK = "ok"
    THROTTLED = "throttled"
    OPEN = "open"


class Circuit:
    """What the last attempts of one receiver say. Safe to share among threads."""

    def __init__(self, clock: Clock, backoff: Backoff | None = None) -> None:
        self._clock = clock
        self._backoff = backoff or Backoff(2.0, 30.0)
        self._lock = threading.Lock()
        self._failures = 0
        self._openings = 0
        self._until = 0.0
        self._throttled_until = 0.0
        self._probing_until = 0.0
        self.refused = False
        """Whether it is open for a reason that somebody has to act on, such as a wrong credential."""
        self.error = ""
        self.open_since: float | None = None
        """By the wall clock, seconds since the epoch."""

    @property
    def state(self) -> State:
        """As people are shown it."""
        with self._lock:
            if self.open_since is not None:
                return State.OPEN
            return State.THROTTLED if self._clock.monotonic() < self._throttled_until else State.OK

    def wait(self) -> float:
        """Seconds until something may be tried."""
        with self._lock:
            until = max(self._until if self.open_since is not None else 0.0, self._throttled_until)
            return max(until - self._clock.monotonic(), 0.0)

    def permits(self, count: int) -> int:
        """How many of `count` may be tried now: one while it is open, whose outcome is waited for."""
        with self._lock:
            now = self._clock.monotonic()
            if now < self._throttled_until:
                return 0
            if self.open_since is None:
                return count
            return 0 if now < max(self._until, self._probing_until) else min(count, 1)

    def trying(self) -> None:
        """Something is tried now."""
        with self._lock:
            self._probing_until = 0.0 if self.open_since is None else self._clock.monotonic() + _PROBE

    def succeeded(self) -> None:
        """A message was accepted, or refused for its own sake: the receiver is there."""
        with self._lock:
            self._failures = self._openings = 0
            self._probing_until, self.refused = 0.0, False
            self.open_since, self.error = None, ""

    def failed(self, failure: DeliveryFailed) -> None:
        """An attempt failed."""
        if failure.reason is Reason.RATE_LIMITED:
            with self._lock:
                self._probing_until = 0.0
                wait = self._backoff.delay(self._failures) if failure.after is None else failure.after
                self._throttled_until = self._clock.monotonic() + wait
            return
        if not failure.opens_circuit and failure.reason not in _PROVIDERS:
            self.succeeded()
            return
        with self._lock:
            self._failures += 1
            self._probing_until = 0.0
            self.error = failure.text
            if failure.opens_circuit or self._failures >= FAILURES or self.open_since is not None:
                self.refused = failure.opens_circuit
                self._until = self._clock.monotonic() + self._backoff.bound(self._openings)
                self._openings += 1
                if self.open_since is None:
                    self.open_since = self._clock.now()
