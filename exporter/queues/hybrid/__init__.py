"""The hybrid queue: PostgreSQL for durability, Redis for speed; two known layouts, and any mapping."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from chassis.settings import Settings
from chassis.units import duration, ratio
from exporter.clients.urls import RedisUrl
from exporter.jobs.ledger import Targets
from exporter.model import Remark
from exporter.queues.base import QueueSource, SourceContext
from exporter.queues.hybrid.checks import examine
from exporter.queues.hybrid.drift import Drift, DriftOptions
from exporter.queues.hybrid.layout import Layout
from exporter.queues.hybrid.lists import QuickRedis
from exporter.queues.hybrid.reference import guide
from exporter.queues.hybrid.samplers import Failed
from exporter.queues.hybrid.source import Watched
from exporter.queues.hybrid.workers import Crew
from exporter.queues.options import QueueOptions
from exporter.queues.reading.queue import EXACT_TIMEOUT, TableQueue
from exporter.queues.reading.samplers import Changes, Counts
from exporter.sampling.sampler import Run, Sampler

KIND = "hybrid"


class WorkerOptions(Settings):
    """Workers and when they count as sick."""

    expected: int | None = Field(None, ge=0, description="Workers that should be there; with 0 no alert asks for any.")
    dead_after: Annotated[float, duration(min=1)] = Field(
        60.0, description="A worker without a heartbeat for it is dead."
    )
    forget_after: Annotated[float, duration(min=1)] = Field(900.0, description="A worker gone for it has no series.")
    error_limit: Annotated[float, ratio()] = Field(0.05, description="Failed per ended job; from it on not healthy.")


class Options(QueueOptions):
    """A hybrid queue."""

    kind: Literal["hybrid"] = Field(description="The queue system.")
    redis: RedisUrl | None = Field(
        None, description="redis://, rediss://, redis+sentinel://HOST:26379/SERVICE or redis+cluster://HOST."
    )
    layout: Layout = Field(
        default_factory=Layout,
        alias="schema",
        description="`penguinmails`, `basic`, or a mapping over one of them.",
    )
    drift: DriftOptions = Field(default_factory=DriftOptions, description="Comparison of PostgreSQL with Redis.")
    workers: WorkerOptions = Field(default_factory=WorkerOptions, description="When workers count as sick.")


class HybridQueue(TableQueue[Watched]):
    """One source of this kind."""

    kind = KIND

    def __init__(self, options: Options, context: SourceContext) -> None:
        targets = Targets(options.named_targets(), options.other_target())
        workers = options.workers
        crew = Crew(workers.dead_after, workers.forget_after, workers.error_limit, workers.expected)
        super().__init__(Watched(context, options.layout, targets, crew))
        self._options = options

    def continue_from(self, before: QueueSource) -> None:
        """As `QueueSource.continue_from`."""
        if not isinstance(before, HybridQueue) or before.context.buckets != self.context.buckets:
            return
        old, new = before._options, self._options
        if (old.postgres, old.redis, old.layout) != (new.postgres, new.redis, new.layout):
            return
        self.go_on(before)

    def samplers(self) -> list[Sampler]:
        """As `QueueSource.samplers`."""
        context, options = self.context, self._options
        watched = self._watched
        changes = Changes(watched)
        exact = max(context.timeout, EXACT_TIMEOUT)
        works: list[Sampler] = [
            context.work("changes", context.interval, context.timeout, changes.sample),
            context.work("counts", context.interval, exact, Counts(watched, changes).sample),
            context.work("failed", options.failed.interval, exact, Failed(watched).sample),
        ]
        if context.store is not None:
            quick = QuickRedis(watched, context.store)
            drift = Drift(watched, context.store, options.drift)
            works += [
                context.work("workers", context.interval, context.timeout, quick.sample, context.store_account),
                context.work("drift", options.drift.interval, exact, drift.sample),
            ]
        return works

    def tables(self) -> list[str]:
        """As `KeepsTables.tables`: those that gain rows and lose them."""
        layout = self._options.layout
        return [layout.jobs.table, *([layout.logs.table] if layout.logs is not None else [])]

    def check(self, run: Run) -> list[Remark]:
        """As `QueueSource.check`."""
        return examine(self._watched, run)


def build(options: Options, context: SourceContext) -> HybridQueue:
    """A source of this kind."""
    return HybridQueue(options, context)


__all__ = ["KIND", "Options", "build", "guide"]
