"""What declaring a metric takes."""

from __future__ import annotations

from dataclasses import dataclass

from chassis.exposition import Family, Kind

COUNTER, GAUGE, HISTOGRAM = Kind.COUNTER, Kind.GAUGE, Kind.HISTOGRAM


@dataclass(frozen=True)
class Metric:
    """A declared metric. `query` is an example in PromQL; `fresh` says when its value is taken anew."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str
    unit: str
    group: str
    source: str
    fresh: str
    query: str

    @property
    def family(self) -> Family:
        """As the exposition needs it."""
        return Family(self.name, self.kind, self.help)


def declare(
    group: str,
    labels: tuple[str, ...],
    name: str,
    kind: Kind,
    unit: str,
    source: str,
    fresh: str,
    help: str,
    query: str,
) -> Metric:
    """A metric by its name without `postwatch_`; `group` is its chapter in docs/metrics.md."""
    return Metric(f"postwatch_{name}", kind, labels, help, unit, group, source, fresh, query)
