"""A whole queue system in one file, as CONTRIBUTING.md tells to add one; tests/acceptance/test_contributing.py does.

Its store is a table `tally` with a line for each queue: its name, and how many jobs wait.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from psycopg import sql
from pydantic import Field

from chassis.exposition import Reading
from exporter.jobs.ledger import Targets
from exporter.model import QueueKey, Remark, SampleFailed
from exporter.queues.base import QueueRow, QueueSource, SourceContext, SourceHealth, target_readings
from exporter.queues.guide import Guide
from exporter.queues.options import QueueOptions
from exporter.sampling.sampler import Run, Sampler

KIND = "tally"


class Options(QueueOptions):
    """A table that somebody else keeps up to date."""

    kind: Literal["tally"] = Field(description="The queue system.")
    table: Annotated[str, Field(pattern=r"^\w+$")] = Field("tally", description="The table with a line for each queue.")


class TallyQueue:
    """One source of this kind."""

    kind = KIND

    def __init__(self, options: Options, context: SourceContext) -> None:
        self.context = context
        self.targets = Targets(options.named_targets(), options.other_target())
        self.health = SourceHealth()
        self._query = sql.SQL("select queue::text, waiting::int8 from {}").format(sql.Identifier(options.table))
        self._waiting: dict[QueueKey, int] = {}
        self._at = context.clock.now()

    def samplers(self) -> list[Sampler]:
        return [self.context.work("counts", self.context.interval, self.context.timeout, self._count)]

    def _count(self, run: Run) -> None:
        with self.context.database.session(run) as tx:
            tx.begin()
            self._waiting = {QueueKey.parse(name): waiting for name, waiting in tx.rows(self._query)}
        self._at = self.context.clock.now()
        run.publish(
            f"source {self.context.name}: counts",
            [
                Reading("postwatch_queue_depth", {**self.context.all_labels, **key.labels}, waiting)
                for key, waiting in self._waiting.items()
            ],
        )

    def continue_from(self, before: QueueSource) -> None:
        """It counts nothing on from before."""

    def settings(self) -> Iterator[Reading]:
        return target_readings(self.targets, list(self._waiting), self.context.all_labels)

    def sampled_at(self) -> float:
        return self._at

    def queues(self) -> list[QueueRow]:
        return [
            QueueRow(key, waiting, None, None, None, None, None, None)
            for key, waiting in sorted(self._waiting.items(), key=lambda item: -item[1])
        ]

    def check(self, run: Run) -> list[Remark]:
        try:
            self._count(run)
        except SampleFailed as failure:
            return [Remark(self.context.name, failure.message, failure.advice, fatal=True)]
        return [Remark(self.context.name, "this store tells nothing but depth")]

    def absent(self) -> frozenset[str]:
        return frozenset()


def build(options: Options, context: SourceContext) -> TallyQueue:
    """A source of this kind."""
    return TallyQueue(options, context)


def guide() -> Guide:
    """Its chapters of the reference pages."""
    return Guide(
        configuration="## Tallies\n\nA table with a line for each queue.", metrics="**A tally** tells depth alone."
    )
