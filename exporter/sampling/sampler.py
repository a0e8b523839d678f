"""What a sampler is, and the run it is handed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from chassis.clock import Clock
from chassis.exposition import Reading

# Who is stretched last when a budget is short: the order of `Sampler.urgency`.
URGENCY = {"changes": 0, "workers": 1, "counts": 2, "postgres": 3, "redis": 3, "failed": 4, "drift": 5}

# Seconds charged at the most for a wait that ended without an answer: nothing tells that the source worked.
UNANSWERED = 0.05


@dataclass
class Run:
    """One run of a sampler: its time limit, and what its sources spent on it."""

    clock: Clock
    limit: float  # seconds
    started: float = field(init=False)
    source_seconds: float = field(init=False, default=0.0)  # of all sources together
    elsewhere: dict[str, float] = field(init=False, default_factory=dict)  # of that: by account, where one is named
    incremental: bool = field(init=False, default=False)  # it cost what happened since the last run, no more
    again_in: float | None = field(init=False, default=None)  # seconds; sooner than the interval, if it can be paid
    published: dict[str, list[Reading]] = field(init=False, default_factory=dict)
    paces: dict[str, str] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.started = self.clock.monotonic()

    @property
    def left(self) -> float:
        """Seconds until the time limit; never negative."""
        return max(0.0, self.started + self.limit - self.clock.monotonic())

    def publish(self, owner: str, readings: Iterable[Reading], pace: str = "") -> None:
        """Replace what `owner` serves, once this run is over; also if it fails later on.

        Gauges age out by this sampler's interval, or by that of the source's sampler of the kind `pace`.
        """
        self.published[owner] = list(readings)
        if pace:
            self.paces[owner] = pace

    def spent(self, seconds: float, account: str = "") -> None:
        """Charge time that a source spent on us: to the sampler's own account, or to the one named."""
        self.source_seconds += seconds
        if account:
            self.elsewhere[account] = self.elsewhere.get(account, 0.0) + seconds

    def charged(self, account: str) -> float:
        """What `account`, the sampler's own, has to pay: all but what was charged to others."""
        others = sum(seconds for other, seconds in self.elsewhere.items() if other != account)
        return max(0.0, self.source_seconds - others)


class Sampler(Protocol):
    """One kind of work for one source. Runs of one sampler never overlap."""

    @property
    def kind(self) -> str:
        """Label `sampler`."""

    @property
    def source(self) -> str:
        """Label `source`."""

    @property
    def interval(self) -> float:
        """Configured seconds between starts."""

    @property
    def timeout(self) -> float:
        """Seconds that one run may take."""

    @property
    def stale_after(self) -> float:
        """Seconds that gauges stay at the least after a sample."""

    @property
    def account(self) -> str:
        """Whose budget pays: a database's identity, or empty where nobody's does."""

    @property
    def labels(self) -> dict[str, str]:
        """Constant labels of the source."""

    def sample(self, run: Run) -> None:
        """Look once and publish. Raises SampleFailed; anything else is a defect."""
