"""pg-boss: jobs in PostgreSQL, run by Node.js; its schemas from version 21 on, of pg-boss 10, 11 and 12."""

from __future__ import annotations

from importlib.resources import files
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from exporter.jobs.ledger import Targets
from exporter.model import Remark
from exporter.queues.base import QueueSource, SourceContext
from exporter.queues.guide import Guide
from exporter.queues.options import QueueOptions
from exporter.queues.pgboss.capabilities import ABSENT
from exporter.queues.pgboss.checks import examine
from exporter.queues.pgboss.samplers import Failed
from exporter.queues.pgboss.source import Watched
from exporter.queues.reading.queue import EXACT_TIMEOUT, TableQueue
from exporter.queues.reading.samplers import Changes, Counts
from exporter.queues.reading.tables import quoted, split_name
from exporter.sampling.sampler import Run, Sampler

KIND = "pgboss"


def _schema(value: str) -> str:
    try:
        (name,) = split_name(value)
    except ValueError:
        raise ValueError(f"{value!r} is no name of a schema; write e.g. pgboss, or with capitals '\"Jobs\"'") from None
    return name


class Options(QueueOptions):
    """A pg-boss."""

    kind: Literal["pgboss"] = Field(description="The queue system.")
    schema_name: Annotated[str, AfterValidator(_schema)] = Field(
        "pgboss", description="The schema that pg-boss was given, as SQL writes it."
    )


class PgBoss(TableQueue[Watched]):
    """One source of this kind."""

    kind = KIND

    def __init__(self, options: Options, context: SourceContext) -> None:
        targets = Targets(options.named_targets(), options.other_target())
        super().__init__(Watched(context, options.schema_name, targets))
        self._options = options

    def continue_from(self, before: QueueSource) -> None:
        """As `QueueSource.continue_from`."""
        if not isinstance(before, PgBoss) or before.context.buckets != self.context.buckets:
            return
        old, new = before._options, self._options
        if (old.postgres, old.schema_name) == (new.postgres, new.schema_name):
            self.go_on(before)

    def samplers(self) -> list[Sampler]:
        """As `QueueSource.samplers`."""
        context, watched = self.context, self._watched
        exact = max(context.timeout, EXACT_TIMEOUT)
        changes = Changes(watched)
        return [
            # Where no index finds an end, a look reads the whole table.
            context.work("changes", context.interval, exact, changes.sample),
            context.work("counts", context.interval, exact, Counts(watched, changes).sample),
            context.work("failed", self._options.failed.interval, exact, Failed(watched).sample),
        ]

    def tables(self) -> list[str]:
        """As `KeepsTables.tables`; its partitions are part of it."""
        return [quoted(self._options.schema_name, "job")]

    def check(self, run: Run) -> list[Remark]:
        """As `QueueSource.check`."""
        return examine(self._watched, run)


def build(options: Options, context: SourceContext) -> PgBoss:
    """A source of this kind."""
    return PgBoss(options, context)


def guide() -> Guide:
    """Both chapters."""
    configuration, metrics = (
        files(__package__).joinpath(name).read_text(encoding="utf-8").strip("\n")
        for name in ("configuration.md", "metrics.md")
    )
    return Guide(configuration, metrics.replace("<!-- absent -->", ", ".join(f"`{name}`" for name in ABSENT)))
