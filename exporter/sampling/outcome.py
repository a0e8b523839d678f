"""What became of a sampler's runs, as metrics and for pages."""

from __future__ import annotations

from dataclasses import dataclass, field

from chassis.exposition import Distribution, Reading
from exporter.jobs.histogram import Histogram
from exporter.model import Reason

DURATION_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass
class Outcome:
    """Tally of one sampler. Times are epoch seconds, durations seconds."""

    kind: str
    source: str
    labels: dict[str, str]
    interval: float
    up: bool | None = None  # None: has not run yet
    runs: int = 0
    failures: dict[Reason, int] = field(default_factory=lambda: dict.fromkeys(Reason, 0))
    last_start: float | None = None
    last_success: float | None = None
    last_duration: float | None = None
    soon: float | None = None  # the next run comes after this, not after the interval
    next_run: float | None = None
    error: str = ""
    source_seconds: float = 0.0
    durations: Histogram = field(default_factory=lambda: Histogram(DURATION_BUCKETS))

    def finished(self, started: float, seconds: float, source_seconds: float) -> None:
        """Note a run, however it ended."""
        self.runs += 1
        self.last_start = started
        self.last_duration = seconds
        self.source_seconds += source_seconds
        self.durations.observe(seconds)

    def succeeded(self, at: float) -> None:
        """The last run gave what it should."""
        self.up = True
        self.error = ""
        self.last_success = at

    def failed(self, reason: Reason, message: str) -> None:
        """The last run failed."""
        self.up = False
        self.error = message
        self.failures[reason] += 1

    def readings(self) -> list[Reading]:
        """As series of `postwatch_sampler_*`."""
        labels = {**self.labels, "sampler": self.kind, "source": self.source}
        duration = Distribution(*self.durations.snapshot())
        readings = [
            Reading("postwatch_sampler_up", labels, float(bool(self.up))),
            Reading("postwatch_sampler_duration_seconds", labels, duration),
            Reading("postwatch_sampler_runs_total", labels, self.runs),
            Reading("postwatch_sampler_interval_seconds", labels, self.interval),
            Reading("postwatch_sampler_source_seconds_total", labels, self.source_seconds),
        ]
        if self.last_success is not None:
            readings.append(Reading("postwatch_sampler_last_success_timestamp_seconds", labels, self.last_success))
        readings.extend(
            Reading("postwatch_sampler_failures_total", {**labels, "reason": reason}, count)
            for reason, count in self.failures.items()
        )
        return readings
