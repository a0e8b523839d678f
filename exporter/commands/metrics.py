"""`metrics`: the catalogue, for a person."""

from __future__ import annotations

from itertools import groupby

from rich.markup import escape

from exporter.catalogue import CATALOGUE
from exporter.commands.terminal import console, tell


def metrics() -> int:
    """Print every metric with its type, labels and meaning."""
    out = console()
    for group, members in groupby(CATALOGUE, key=lambda metric: metric.group):
        out.print(f"\n[bold]{group}[/]")
        for metric in members:
            labels = f"{{{', '.join(metric.labels)}}}" if metric.labels else ""
            out.print(f"  {metric.name}[dim]{escape(labels)}[/]", soft_wrap=True)
            tell(out, "", f"{metric.help} ({metric.kind}, {metric.unit})", indent=6)
    return 0
