"""`metrics`: the catalogue, for a person."""

from __future__ import annotations

from itertools import groupby

from rich.console import Console

from exporter.catalogue import CATALOGUE


def metrics() -> int:
    """Print every metric with its type, labels and meaning."""
    out = Console(highlight=False, soft_wrap=True)
    for group, members in groupby(CATALOGUE, key=lambda metric: metric.group):
        out.print(f"\n[bold]{group}[/]")
        for metric in members:
            labels = f"{{{', '.join(metric.labels)}}}" if metric.labels else ""
            out.print(f"  {metric.name}{labels}  [dim]{metric.kind}, {metric.unit}[/]")
            out.print(f"      {metric.help}", markup=False)
    return 0
