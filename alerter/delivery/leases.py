"""The leases of what one desk is at: renewed for as long as it takes, within reason."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from alerter.outbox import claims
from alerter.outbox.claim import Claim
from alerter.store.engine import Store
from chassis.clock import Clock

LONGEST = 600.0  # seconds after which nobody waits any more for a message, and it is sent again


@dataclass
class _Held:
    """Rows, and since when they are held and by this lease; monotonic seconds."""

    rows: tuple[int, ...]
    began: float
    renewed: float


class Leases:
    """A message may take longer than a lease: several recipients, or a server that thinks long at each step.

    Safe to share among threads.
    """

    def __init__(self, store: Store, clock: Clock, holder: str) -> None:
        self._store = store
        self._clock = clock
        self._holder = holder
        self._lock = threading.Lock()
        self._held: dict[int, _Held] = {}  # by the claim's identity: a row may be claimed anew before it is let go

    def began(self, claimed: Claim) -> None:
        """It was claimed just now."""
        now = self._clock.monotonic()
        with self._lock:
            self._held[id(claimed)] = _Held(claimed.ids, now, now)

    def ended(self, claimed: Claim) -> None:
        """Nobody is at it any more."""
        with self._lock:
            self._held.pop(id(claimed), None)

    def renew(self) -> None:
        """Those that are a third over. Raises StoreFailed."""
        now = self._clock.monotonic()
        with self._lock:
            every = claims.LEASE / 3
            old = [each for each in self._held.values() if now - each.renewed >= every and now - each.began < LONGEST]
        if not old:
            return
        with self._store.touch() as connection:
            rows = [number for each in old for number in each.rows]
            claims.renew(connection, rows, self._holder, self._store.moment(connection))
        for each in old:
            each.renewed = now
