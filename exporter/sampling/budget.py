"""What one watched database pays for being watched, and how that is held.

All samplers of a database share `budget`, a ratio of wall time. The most urgent are served first: each
gets the share that its interval needs; what is left stretches the others. A sampler's next run waits
until its share has paid for the last one, so the bound holds whatever a single run costs.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

# Nobody is starved: this part of the budget is kept for each sampler that is less urgent.
RESERVE = 0.06
# Costs vary from run to run; a share is planned for a little more than the mean.
HEADROOM = 1.25
# Weight of the newest run in the smoothed cost.
NEWEST = 0.3


@dataclass
class _Account:
    urgency: int  # lower is more urgent
    interval: float
    cost: float = 0.0  # smoothed seconds a run
    last: float = 0.0
    share: float = 0.0


class Budget:
    """Shares of one database's time. Thread-safe.

    `ratio` is seconds of the source's time a second of wall time, e.g. 0.005.
    """

    def __init__(self, ratio: float) -> None:
        self.ratio = ratio
        self._accounts: dict[str, _Account] = {}
        self._lock = threading.Lock()

    def join(self, name: str, urgency: int, interval: float) -> None:
        """Make a sampler known before its first run."""
        with self._lock:
            self._accounts[name] = _Account(urgency, interval)
            self._divide()

    def leave(self, name: str) -> None:
        """Forget a sampler; its share goes to the others."""
        with self._lock:
            self._accounts.pop(name, None)
            self._divide()

    def spent(self, name: str, seconds: float) -> None:
        """Note what the source spent on one run."""
        with self._lock:
            account = self._accounts[name]
            account.last = seconds
            first = account.cost == 0.0
            account.cost = seconds if first else account.cost + NEWEST * (seconds - account.cost)
            self._divide()

    def interval(self, name: str) -> float:
        """Seconds from the start of the last run to the start of the next: never under the configured interval."""
        with self._lock:
            account = self._accounts[name]
            if not account.share:
                return account.interval
            return max(account.interval, account.last / account.share, account.cost / account.share)

    def pause(self, name: str) -> float:
        """Seconds after which the last run is paid for, whatever interval is configured."""
        with self._lock:
            account = self._accounts[name]
            return account.last / account.share if account.share else 0.0

    def allowance(self, name: str) -> float:
        """Seconds that one run may cost at the configured interval within this sampler's share."""
        with self._lock:
            account = self._accounts[name]
            return account.share * account.interval

    def _divide(self) -> None:
        left = self.ratio
        ordered = sorted(self._accounts.values(), key=lambda a: a.urgency)
        for position, account in enumerate(ordered):
            later = len(ordered) - position - 1
            most = left - min(later * RESERVE, 0.9) * self.ratio
            needed = HEADROOM * account.cost / account.interval
            account.share = most if later == 0 else min(needed or RESERVE * self.ratio, most)
            account.share = max(account.share, 0.01 * self.ratio / max(len(ordered), 1))
            left = max(left - account.share, 0.0)
