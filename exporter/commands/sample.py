"""`sample`: look once at everything, or at one source, and show what was found."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from chassis import log
from chassis.clock import SystemClock
from chassis.exposition import Board, Format
from chassis.settings import load, secrets_in
from chassis.units import format_duration
from exporter.app import Watch
from exporter.catalogue import CATALOGUE
from exporter.queues.base import QueueRow, QueueSource
from exporter.sampling.outcome import Outcome
from exporter.settings import ExporterSettings

FAILED, UNKNOWN_SOURCE = 1, 2
# Redis' drift is compared with what the counts have found; the order of first runs.
ORDER = ("workers", "counts", "changes", "failed", "drift")


def sample(path: Path, source: str | None, form: str) -> int:
    """Print a table, or an exposition if `form` is `prometheus`; answers 1 if a sampler failed."""
    settings = load(path, ExporterSettings, os.environ)
    redactor = log.configure("error", "console", sys.stderr)
    redactor.learn(secret for _, secret in secrets_in(settings))
    clock = SystemClock()
    board = Board([metric.family for metric in CATALOGUE], clock)
    watch = Watch(settings, board, clock)
    chosen = [s for s in watch.sources if source in (None, s.context.name)]
    if source is not None and not chosen:
        known = ", ".join(s.context.name for s in watch.sources) or "none"
        sys.stderr.write(f"postwatch-exporter: no source is named {source!r}; configured: {known}\n")
        return UNKNOWN_SOURCE
    names = {s.context.name for s in chosen}
    outcomes = [
        watch.sampling.run_once(name)
        for name, outcome in sorted(watch.sampling.outcomes.items(), key=lambda i: ORDER.index(i[1].kind))
        if outcome.source in names
    ]
    for each in chosen:
        board.publish(f"source {each.context.name}: settings", each.settings())
    if form == "prometheus":
        sys.stdout.write(board.body(Format.TEXT).decode())
    else:
        _show(chosen, clock.now())
    failed = _complain(outcomes)
    watch.stop(1.0)
    return FAILED if failed else 0


def _show(sources: list[QueueSource], now: float) -> None:
    out = Console(highlight=False)
    for source in sources:
        table = Table(title=f"{source.context.name} ({source.kind})", title_justify="left", header_style="bold")
        table.add_column("queue", no_wrap=True)
        for heading in ("waiting", "oldest", "active", "scheduled", "failed", "in Redis"):
            table.add_column(heading, justify="right", no_wrap=True)
        table.add_column("state")
        for row in source.queues():
            table.add_row(*_cells(source, row, now))
        out.print(table)


def _cells(source: QueueSource, row: QueueRow, now: float) -> list[str]:
    limits = source.targets.of(row.key).thresholds
    words = []
    if row.waiting is not None and row.waiting > limits.depth_critical:
        words.append("[red]critical[/]")
    elif row.waiting is not None and row.waiting > limits.depth_warning:
        words.append("[yellow]warning[/]")
    if row.paused:
        words.append("[cyan]paused[/]")
    oldest = ""
    if row.waiting and row.oldest_waiting is not None:
        oldest = format_duration(max(round(now - row.oldest_waiting), 0))
    counts = [row.active, row.scheduled, row.failed, row.redis_length]
    shown = ["–" if count is None else f"{count:,}" for count in counts]
    waiting = "–" if row.waiting is None else f"{row.waiting:,}"
    return [
        row.key.full_name.replace("[", r"\["),
        waiting,
        oldest,
        *shown,
        " ".join(words) or "[green]healthy[/]",
    ]


def _complain(outcomes: list[Outcome]) -> int:
    err = Console(stderr=True, highlight=False, soft_wrap=True)
    failed = [outcome for outcome in outcomes if not outcome.up]
    for message in dict.fromkeys(outcome.error for outcome in failed):
        kinds = ", ".join(o.kind for o in failed if o.error == message)
        err.print(f"failed ({kinds}): {message}", markup=False, style="red")
    return len(failed)
