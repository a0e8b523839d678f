"""pgmq: message queues as tables of PostgreSQL, with a project's own table of outcomes if it keeps one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from chassis.exposition import Reading
from exporter.jobs.ledger import Targets
from exporter.model import QueueKey, Remark
from exporter.queues.base import QueueRow, QueueSource, SourceContext, target_readings
from exporter.queues.options import QueueOptions
from exporter.queues.pgmq.checks import examine
from exporter.queues.pgmq.reference import guide
from exporter.queues.pgmq.samplers import Changes, Counts, Failed
from exporter.queues.pgmq.source import Watched
from exporter.queues.pgmq.tracking import Tracking, TrackingOptions
from exporter.sampling.sampler import Run, Sampler

KIND = "pgmq"
EXACT_TIMEOUT = 30.0  # seconds; a count of millions takes longer than a quick look may
COUNT_EVERY = 3  # intervals: small queues are counted at each quick look anyway


class Options(QueueOptions):
    """A database with pgmq; all of its queues are watched."""

    kind: Literal["pgmq"] = Field(description="The queue system.")
    tracking: TrackingOptions | None = Field(
        None, description="A table of your own that tells how jobs ended; without one pgmq's tables tell what they can."
    )

    @classmethod
    def key_of(cls, name: str) -> QueueKey:
        """A name as pgmq has it; nothing in it is a priority."""
        return QueueKey(name, "normal")


class PgmqQueues:
    """One source of this kind."""

    kind = KIND

    def __init__(self, options: Options, context: SourceContext) -> None:
        self.context = context
        self.targets = Targets(options.named_targets(), options.other_target())
        self._options = options
        self._watched = Watched(context, self.targets)
        if options.tracking is not None:
            self._watched.tracking = Tracking(options.tracking, self._watched.ledger)
        self.health = self._watched.health

    def continue_from(self, before: QueueSource) -> None:
        """As `QueueSource.continue_from`."""
        if not isinstance(before, PgmqQueues) or before.context.buckets != self.context.buckets:
            return
        old, new = before._options, self._options
        if (old.postgres, old.tracking) != (new.postgres, new.tracking):
            return
        before._watched.adopt(self._watched)
        self._watched = before._watched
        self.health = self._watched.health

    def samplers(self) -> list[Sampler]:
        """As `QueueSource.samplers`."""
        context, watched = self.context, self._watched
        changes = Changes(watched)
        exact = max(context.timeout, EXACT_TIMEOUT)
        return [
            context.work("changes", context.interval, context.timeout, changes.sample),
            context.work("counts", COUNT_EVERY * context.interval, exact, Counts(watched, changes).sample),
            context.work("failed", self._options.failed.interval, exact, Failed(watched).sample),
        ]

    def settings(self) -> Iterator[Reading]:
        """As `QueueSource.settings`."""
        return target_readings(self.targets, self._watched.shown.present, self.context.all_labels)

    def sampled_at(self) -> float:
        """As `QueueSource.sampled_at`."""
        return self._watched.database_now

    def queues(self) -> list[QueueRow]:
        """As `QueueSource.queues`."""
        return list(self._watched.shown.rows)

    def tables(self) -> list[str]:
        """As `KeepsTables.tables`; archives are left out, since nothing there is ever updated or deleted by pgmq."""
        names = [queue.listed.table for queue in list(self._watched.queues.values()) if queue.listed.table]
        return [f'pgmq."{name}"' for name in names]

    def check(self, run: Run) -> list[Remark]:
        """As `QueueSource.check`."""
        return examine(self._watched, self._options.tracking, run)

    def absent(self) -> frozenset[str]:
        """As `QueueSource.absent`."""
        return self._watched.ledger.absent


def build(options: Options, context: SourceContext) -> PgmqQueues:
    """A source of this kind."""
    return PgmqQueues(options, context)


__all__ = ["KIND", "Options", "build", "guide"]
