"""The exporter's configuration file."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Annotated, Any

from pydantic import Field, field_validator

from chassis.address import Address
from chassis.log import LogSettings
from chassis.settings import Settings
from chassis.web import WebSettings
from exporter import host, queues, reputation, services, stores
from exporter.labels import Labels
from exporter.options import Budget, Interval, Timeout
from exporter.queues.options import Buckets, QueueOptions

DEFAULT_BUCKETS = (
    0.1,
    0.5,
    1.0,
    5.0,
    15.0,
    30.0,
    60.0,
    120.0,
    300.0,
    600.0,
    900.0,
    1800.0,
    3600.0,
    7200.0,
    21600.0,
)


class ExporterWeb(WebSettings):
    """Where and to whom the exporter answers."""

    listen: Address = Field(Address("127.0.0.1", 9797), description="host:port; `:port` alone is every interface.")


class Defaults(Settings):
    """What holds for all sources unless they say otherwise."""

    interval: Interval = Field(5.0, description="Time between quick looks.")
    timeout: Timeout = Field(3.0, description="Time limit of one look.")
    stale_after: Interval = Field(30.0, description="Gauges without a new value disappear after it.")
    budget: Budget = Field(0.005, description="Share of wall time that one database may spend on us in all.")
    max_queues: int = Field(200, ge=1, le=100_000, description="Queues a source with series of their own.")
    buckets: Buckets = Field(DEFAULT_BUCKETS, description="Upper bounds of the histograms of jobs, in seconds.")
    labels: Labels = Field(default_factory=dict, description="Constant labels of every series.")


_KINDS: Any = reduce(or_, (kind.Options for kind in queues.KINDS))
AnyQueue = Annotated[_KINDS, Field(discriminator="kind")] if len(queues.KINDS) > 1 else _KINDS


class Core(Settings):
    """The daemon itself, and its queues."""

    web: ExporterWeb = Field(default_factory=ExporterWeb, description="Where and to whom it answers.")
    log: LogSettings = Field(default_factory=LogSettings, description="What it logs, and how.")
    defaults: Defaults = Field(default_factory=Defaults, description="What holds for all sources.")
    queues: tuple[AnyQueue, ...] = Field((), description="Sources of queues.")  # type: ignore[valid-type]  # made of the registry

    @field_validator("queues")
    @classmethod
    def _names_differ(cls, sources: tuple[QueueOptions, ...]) -> tuple[QueueOptions, ...]:
        seen: set[str] = set()
        for source in sources:
            if source.name in seen:
                raise ValueError(f"two sources are named {source.name!r}; every name has to be its own")
            seen.add(source.name)
        return sources

    def queue_options(self) -> tuple[QueueOptions, ...]:
        """The configured sources, by what all kinds share."""
        return self.queues


class ExporterSettings(host.Section, reputation.Section, services.Section, stores.Section, Core):
    """Everything the exporter understands; sections are documented from the last base to the first."""
