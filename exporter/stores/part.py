"""What the parts of both kinds of stores share: one sampler each, and nothing that works by itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

from chassis.exposition import Reading
from exporter.parts import PartContext
from exporter.queues.base import Work
from exporter.sampling.sampler import Run, Sampler
from exporter.stores.options import StoreOptions


class StorePart(ABC):
    """One watched store of a kind: `postgres`, `redis`."""

    def __init__(self, kind: str, options: StoreOptions, context: PartContext, account: str) -> None:
        """`account` pays for what is asked of the store."""
        self.name = f"{kind} {options.name}"
        self._kind = kind
        self._shared = options
        self._context = context
        self._account = account

    def samplers(self) -> list[Sampler]:
        """As `Part.samplers`."""
        options, context = self._shared, self._context
        return [
            Work(
                self._kind,
                options.name,
                options.interval or context.interval,
                options.timeout or context.timeout,
                options.stale_after or context.stale_after,
                self._account,
                {**context.labels, **options.labels},
                self.sample,
            )
        ]

    def start(self) -> None:  # noqa: B027  # samplers are run by others
        """As `Part.start`."""

    def stop(self, timeout: float) -> None:  # noqa: B027
        """As `Part.stop`."""

    def settings(self) -> Iterator[Reading]:
        """As `Part.settings`."""
        yield from ()

    @abstractmethod
    def sample(self, run: Run) -> None:
        """Look once. Raises SampleFailed."""
