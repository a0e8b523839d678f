"""What one watched database pays for being watched, and how that is held.

All samplers of a database share `budget`, a ratio of wall time. The most urgent keep their intervals as
long as the budget can bear that at all. All others wait until whatever was spent is paid for: what is
spent is paid at the rate of the budget, and nothing but the most urgent starts while a debt is left.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from chassis.clock import Clock

# Runs are planned with this part of what is allowed: costs are known only once they have been spent.
PLANNED = 0.9
# The most urgent samplers get this part of the budget at the most; the others are not starved.
URGENT = 0.75
# The others plan with this part of the budget at the least, whatever the urgent ones take.
LEAST = 0.25
# Seconds beyond which stretching what is incremental saves nothing: it only makes each run larger, and depth old.
FRESH = 8.0
# Weight of the newest run in the smoothed cost.
NEWEST = 0.3


@dataclass
class _Account:
    urgency: int  # 0: the most urgent
    interval: float
    cost: float = 0.0  # smoothed seconds a run
    incremental: bool = False
    paid_at: float = 0.0  # when its last run alone will have been paid for
    current: float = 0.0  # the interval as last stretched


class Budget:
    """Intervals of the samplers of one database. Thread-safe.

    `ratio` is seconds of the source's time a second of wall time, e.g. 0.005.
    """

    def __init__(self, ratio: float, clock: Clock) -> None:
        self.ratio = ratio
        self._clock = clock
        self._accounts: dict[str, _Account] = {}
        self._paid_at = clock.monotonic()  # when all that was spent so far will have been paid for
        self._lock = threading.Lock()

    def join(self, name: str, urgency: int, interval: float) -> None:
        """Make a sampler known before its first run. `urgency` 0 is the most urgent."""
        with self._lock:
            self._accounts[name] = _Account(urgency, interval)

    def spent(self, name: str, seconds: float, *, incremental: bool = False) -> None:
        """Note what the source spent on one run; `incremental`: on what happened since the last one."""
        if not seconds:
            return  # nothing was asked, which tells nothing of what asking costs
        with self._lock:
            self._paid_at = max(self._paid_at, self._clock.monotonic()) + seconds / self.ratio
            account = self._accounts.get(name)
            if account:
                account.incremental = incremental
                account.paid_at = self._clock.monotonic() + seconds / self.ratio
                account.cost += (NEWEST if account.cost else 1.0) * (seconds - account.cost)

    def interval(self, name: str) -> float:
        """Seconds between starts that the budget can bear in the long run; never under the configured ones."""
        with self._lock:
            account = self._accounts[name]
            urgent = self._demand(0)
            if account.urgency == 0:
                stretched = account.interval * max(1.0, urgent / (URGENT * self.ratio))
                if account.incremental:
                    stretched = min(stretched, max(account.interval, FRESH))
                account.current = stretched
                return stretched
            # What the urgent ones leave is divided by need: each of the others is stretched alike,
            # but the less urgent twice as much as the next.
            free = max(self.ratio - min(urgent, URGENT * self.ratio), LEAST * self.ratio)
            others = [a for a in self._accounts.values() if a.urgency > 0]
            weights = sum(2.0**-a.urgency for a in others if a.cost)
            share = free * 2.0**-account.urgency / weights if weights and account.cost else free
            return max(account.interval, account.cost / share)

    def wait(self, name: str) -> float:
        """Seconds until a sampler may start: until all debt is paid.

        The most urgent do not wait where their work is incremental, since it would only be more later. Nobody
        waits for the first run: what is watched is to be seen at once.
        """
        with self._lock:
            account = self._accounts.get(name)
            if account is None or not account.cost or (account.urgency == 0 and account.incremental):
                return 0.0
            # What is urgent is not held up by what others have spent.
            paid_at = min(self._paid_at, account.paid_at) if account.urgency == 0 else self._paid_at
            return max(0.0, paid_at - self._clock.monotonic())

    def _demand(self, urgency: int) -> float:
        """Seconds a second that samplers of one urgency would take at their configured intervals.

        A run of what is incremental was dearer for coming later, so it is reckoned by the interval it had.
        """
        return sum(
            a.cost / (a.current if a.incremental and a.current else a.interval)
            for a in self._accounts.values()
            if a.urgency == urgency
        )
