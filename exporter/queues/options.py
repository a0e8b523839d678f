"""Options that every queue system shares."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any

from pydantic import AfterValidator, Field, field_validator

from chassis.settings import Settings
from chassis.units import Duration, Ratio
from exporter.clients.urls import PostgresUrl
from exporter.labels import Labels
from exporter.model import QueueKey, Target, Thresholds
from exporter.options import Budget, Interval, Name, Timeout


def _rising(bounds: tuple[float, ...]) -> tuple[float, ...]:
    if any(a >= b for a, b in pairwise(bounds)) or bounds[0] <= 0:
        raise ValueError("bounds have to rise and to be above 0, e.g. [0.1, 1, 10, 60]")
    return bounds


Buckets = Annotated[tuple[float, ...], Field(min_length=1, max_length=60), AfterValidator(_rising)]


class DepthThresholds(Settings):
    """Waiting jobs."""

    warning: float = Field(100, ge=0, description="Above it the status is `warning`.")
    critical: float = Field(1000, ge=0, description="Above it the status is `critical`.")
    page: float = Field(10000, ge=0, description="Above it someone is woken.")


class FailureThresholds(Settings):
    """Failed jobs."""

    critical: float = Field(10, ge=0, description="Failed jobs an hour: above it the status is `critical`.")
    page: Ratio = Field(0.05, description="Failed jobs per ended job: above it someone is woken.")


class TargetOptions(Settings):
    """What is expected of a queue."""

    target: Duration | None = Field(None, description="Time from ready to end that a job should take at most.")
    time_limit: Duration | None = Field(None, description="Time that one attempt may take; past it a job is stuck.")
    depth: DepthThresholds = Field(default_factory=DepthThresholds, description="Thresholds of waiting jobs.")
    failures: FailureThresholds = Field(default_factory=FailureThresholds, description="Thresholds of failed jobs.")

    def as_target(self) -> Target:
        """For the code that counts."""
        depth, failures = self.depth, self.failures
        thresholds = Thresholds(depth.warning, depth.critical, depth.page, failures.critical, failures.page)
        return Target(self.target, self.time_limit, thresholds)


class FailedOptions(Settings):
    """How stored failed rows are counted."""

    interval: Interval = Field(60.0, description="Time between counts.")


class QueueOptions(Settings):
    """Options of any queue source."""

    name: Name = Field(description="Label `source`: letters, digits, `_`, `.`, `-`.")
    postgres: PostgresUrl = Field(description="URL of the database, e.g. postgresql://postwatch@db:5432/mail.")
    interval: Interval | None = Field(None, description="Time between quick looks; `defaults.interval` if not given.")
    timeout: Timeout | None = Field(None, description="Time limit of one look; `defaults.timeout` if not given.")
    stale_after: Interval | None = Field(
        None, description="Gauges without a new value disappear after it; `defaults.stale_after` if not given."
    )
    budget: Budget | None = Field(None, description="Share of wall time for us; `defaults.budget` if not given.")
    max_queues: int | None = Field(
        None, ge=1, le=100_000, description="Queues with series of their own; `defaults` say."
    )
    buckets: Buckets | None = Field(None, description="Upper bounds of the histograms, in seconds; `defaults` say.")
    labels: Labels = Field(default_factory=dict, description="Constant labels of all series of this source.")
    failed: FailedOptions = Field(default_factory=FailedOptions, description="Stored failed rows.")
    targets: Mapping[str, TargetOptions] = Field(
        default_factory=dict,
        description='By full queue name, e.g. `queue:email-sending:high`; `"*"` for the others.',
    )

    @field_validator("targets")
    @classmethod
    def _one_each(cls, targets: Mapping[str, TargetOptions]) -> Mapping[str, TargetOptions]:
        names: dict[QueueKey, str] = {}
        for name in targets:
            if name != "*" and (other := names.setdefault(cls.key_of(name), name)) != name:
                raise ValueError(f"{other!r} and {name!r} name the same queue; keep one")
        return targets

    @classmethod
    def key_of(cls, name: str) -> QueueKey:
        """The queue that a name in the configuration stands for."""
        return QueueKey.parse(name)

    def named_targets(self) -> dict[QueueKey, Target]:
        """Targets of the queues that are named."""
        return {self.key_of(n): t.as_target() for n, t in self.targets.items() if n != "*"}

    def other_target(self) -> Target:
        """The target of all other queues."""
        given: Any = self.targets.get("*")
        return given.as_target() if given else Target()
