"""What a queue system has to be for the exporter; each is one package or file beside this one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from chassis.clock import Clock
from chassis.exposition import Reading
from exporter.clients.postgres import Database
from exporter.clients.redis import Store
from exporter.jobs.ledger import Targets
from exporter.model import OTHER_QUEUE, Level, QueueKey, Remark, Thresholds
from exporter.sampling.sampler import Run, Sampler


@dataclass(frozen=True)
class SourceContext:
    """What a source is given: its options with the defaults filled in, and its shared connections."""

    name: str
    interval: float  # seconds, as all times here
    timeout: float
    stale_after: float
    max_queues: int
    buckets: tuple[float, ...]
    labels: dict[str, str]  # constant ones; without `source`
    clock: Clock
    database: Database
    database_account: str
    store: Store | None = None
    store_account: str = ""

    @property
    def all_labels(self) -> dict[str, str]:
        """Constant labels and `source`."""
        return {**self.labels, "source": self.name}

    def work(
        self, kind: str, interval: float, timeout: float, sample: Callable[[Run], None], account: str | None = None
    ) -> Work:
        """A sampler of this source; the database pays for it unless `account` says who else does."""
        account = self.database_account if account is None else account
        return Work(kind, self.name, interval, timeout, self.stale_after, account, self.labels, sample)


@dataclass(frozen=True)
class Work:
    """A sampler made of a function."""

    kind: str
    source: str
    interval: float
    timeout: float
    stale_after: float
    account: str
    labels: dict[str, str]
    work: Callable[[Run], None]

    def sample(self, run: Run) -> None:
        """As `Sampler.sample`."""
        self.work(run)


@dataclass
class SourceHealth:
    """What the last looks told of a source's stores and workers, for `/health`. None: not known yet.

    Each part bears the moment of its look, by the monotonic clock: past its lifetime it is not told any more.
    """

    database_at: float | None = None
    redis_at: float | None = None
    workers_at: float | None = None
    connections_active: int | None = None
    connections_idle: int | None = None
    connections_total: int | None = None
    query_seconds: float | None = None
    redis_seconds: float | None = None
    redis_memory_bytes: int | None = None
    redis_clients: int | None = None
    redis_commands_a_second: int | None = None
    workers: dict[str, int] = field(default_factory=dict)  # by state; empty: the source tells nothing of workers
    workers_healthy: int = 0
    workers_expected: int | None = None


@dataclass(frozen=True)
class QueueRow:
    """One queue in a table for people. None: the source cannot tell it, or not yet."""

    key: QueueKey
    waiting: int | None
    scheduled: int | None
    active: int | None
    failed: int | None
    oldest_waiting: float | None  # epoch seconds
    paused: bool | None
    redis_length: int | None
    failed_lately: int | None = None  # in the last hour, as far as it was watched

    def standing(self, limits: Thresholds) -> tuple[str, Level]:
        """How it stands, in a word and a level: by the depth, and by the failures of an hour."""
        if self.waiting is None:
            return "unknown", Level.UNKNOWN
        if self.waiting > limits.depth_critical or (self.failed_lately or 0) > limits.failures_critical:
            return "critical", Level.BAD
        if self.waiting > limits.depth_warning:
            return "warning", Level.WARNING
        return "healthy", Level.GOOD


class QueueSource(Protocol):
    """One configured source of queues."""

    kind: str
    context: SourceContext
    targets: Targets
    health: SourceHealth

    def samplers(self) -> list[Sampler]:
        """All kinds of work for it."""

    def continue_from(self, before: QueueSource) -> None:
        """Go on from a source of the same name and kind, as far as both watch the same: counters never fall."""

    def settings(self) -> Iterator[Reading]:
        """Targets and thresholds, which do not change while it runs."""

    def sampled_at(self) -> float:
        """The moment that the newest counts tell of: epoch seconds by the database's clock."""

    def queues(self) -> list[QueueRow]:
        """The queues as last sampled, worst first."""

    def check(self, run: Run) -> list[Remark]:
        """Look at tables, rights and indexes; what is missing, and what that means."""

    def absent(self) -> frozenset[str]:
        """Metrics that this source cannot tell, by name."""


@runtime_checkable
class KeepsTables(Protocol):
    """A source that can name the tables its queues live in, as far as it knows them by now."""

    def tables(self) -> Sequence[str]:
        """Their names as SQL writes them, e.g. `jobs`, `app.jobs`."""


def target_readings(targets: Targets, queues: Iterable[QueueKey], labels: dict[str, str]) -> Iterator[Reading]:
    """Configured targets and thresholds of `queues`, defaults included."""
    for key in queues:
        if key == OTHER_QUEUE:
            continue  # many queues together, none of which this would be the target of
        target = targets.of(key)
        mine = {**labels, **key.labels}
        if target.seconds is not None:
            yield Reading("postwatch_queue_target_seconds", mine, target.seconds)
        limits = target.thresholds
        for level, value in (
            ("warning", limits.depth_warning),
            ("critical", limits.depth_critical),
            ("page", limits.depth_page),
        ):
            yield Reading("postwatch_queue_depth_threshold", {**mine, "level": level}, value)
        for level, value in (("critical", limits.failures_critical), ("page", limits.failures_page)):
            yield Reading("postwatch_queue_failure_threshold", {**mine, "level": level}, value)
