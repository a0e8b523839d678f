"""`sample`: look once at everything, or at one source, and show what was found."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

from rich.table import Table
from rich.text import Text

from chassis import log
from chassis.board import Board
from chassis.clock import SystemClock
from chassis.exposition import Format
from chassis.settings import load, secrets_in
from chassis.units import format_age
from exporter.app import Watch
from exporter.catalogue import CATALOGUE
from exporter.commands.terminal import STYLES, console, tell, tell_exactly
from exporter.model import Level
from exporter.parts import Part, tables
from exporter.queues.base import QueueRow, QueueSource
from exporter.sampling.outcome import Outcome
from exporter.settings import ExporterSettings

FAILED, UNKNOWN_SOURCE = 1, 2
# The order of first runs: Redis is asked for the queues that were counted, and stuck jobs need the heartbeats.
ORDER = ("counts", "workers", "changes")
BROAD, NARROW = ("scheduled", "failed", "in Redis"), ("sched.", "failed", "Redis")
WIDE = 100  # columns from which headings are written out


def sample(path: Path, source: str | None, form: str) -> int:
    """Print a table, or an exposition if `form` is `prometheus`; answers 1 if a sampler failed."""
    settings = load(path, ExporterSettings, os.environ)
    redactor = log.configure("error", "console", sys.stderr)
    redactor.learn(secret for _, secret in secrets_in(settings))
    clock = SystemClock()
    board = Board([metric.family for metric in CATALOGUE], clock)
    watch = Watch(settings, board, clock)
    if not watch.sources and not watch.parts:
        sys.stderr.write("postwatch-exporter: nothing to sample: name your sources under `queues`\n")
    chosen = [s for s in watch.sources if source in (None, s.context.name)]
    parts = [part for part in watch.parts if source in (None, part.name)]
    if source is not None and not chosen and not parts:
        known = ", ".join([*(s.context.name for s in watch.sources), *(p.name for p in watch.parts)]) or "none"
        sys.stderr.write(f"postwatch-exporter: no source is named {source!r}; configured: {known}\n")
        return UNKNOWN_SOURCE
    looked_at: list[QueueSource | Part] = [*chosen, *parts]
    names = {f"{sampler.kind}/{sampler.source}" for each in looked_at for sampler in each.samplers()}
    outcomes = [
        watch.sampling.run_once(name)
        for name, outcome in sorted(watch.sampling.outcomes.items(), key=lambda item: _position(item[1].kind))
        if name in names
    ]
    for each in chosen:
        board.publish(f"source {each.context.name}: settings", each.settings())
    for part in parts:
        board.publish(f"{part.name}: settings", part.settings())
    if form == "prometheus":
        sys.stdout.write(board.body(Format.TEXT).decode())
    else:
        _show(chosen, {outcome.source for outcome in outcomes if not outcome.up})
        _show_parts(parts, after=bool(chosen))
    failed = _complain(outcomes, path)
    watch.stop(1.0)
    return FAILED if failed else 0


def _position(kind: str) -> int:
    return ORDER.index(kind) if kind in ORDER else len(ORDER)


def _show(sources: list[QueueSource], failed: set[str]) -> None:
    out = console()
    for position, source in enumerate(sources):
        out.print("\n" * bool(position), end="")
        name = f"[bold]{source.context.name}[/] ({source.kind})"
        rows = source.queues()
        if not rows and source.context.name not in failed:
            out.print(f"{name}: there are no queues yet")
        elif all(row.waiting is None for row in rows):
            out.print(f"{name}: its queues could not be counted")
        else:
            out.print(name)
            out.print(_table(source, rows, narrow=out.width < WIDE))
        if source.health.workers:
            states = ", ".join(f"{count} {state}" for state, count in source.health.workers.items() if count)
            out.print(f"workers: {states or 'none'}")


def _show_parts(parts: list[Part], *, after: bool) -> None:
    out = console()
    for position, found in enumerate(tables(parts)):
        table = Table(box=None, pad_edge=False, padding=(0, 2 - (out.width < WIDE), 0, 0), header_style="bold")
        for column in found.columns:
            numeric = column.startswith("#")
            table.add_column(column.removeprefix("#"), justify="right" if numeric else "left", overflow="fold")
        table.add_column("state", no_wrap=True)
        for line in found.lines:
            table.add_row(*map(Text, line.cells), Text(line.word, STYLES[line.level]))
        out.print("\n" * (after or position > 0), end="")
        out.print(f"[bold]{found.title}[/]")
        out.print(table)


def _table(source: QueueSource, rows: list[QueueRow], *, narrow: bool) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2 - narrow, 0, 0), header_style="bold")
    table.add_column("queue", overflow="fold")
    for heading in ("waiting", "oldest", "active", *(NARROW if narrow else BROAD)):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("state", no_wrap=True)
    now = source.sampled_at()
    for row in rows:
        table.add_row(*_cells(source, row, now))
    return table


def _cells(source: QueueSource, row: QueueRow, now: float) -> list[Text]:
    age = ""
    if row.waiting and row.oldest_waiting is not None:
        age = format_age(max(now - row.oldest_waiting, 0))
    counts = [row.active, row.scheduled, row.failed, row.redis_length]
    name = row.key.full_name.removeprefix("queue:")
    return [Text(name), _count(row.waiting), Text(age), *map(_count, counts), _state(source, row)]


def _state(source: QueueSource, row: QueueRow) -> Text:
    word, level = row.standing(source.targets.of(row.key).thresholds)
    words = [] if level is Level.GOOD and row.paused else [Text(word, STYLES[level])]
    if row.paused:
        words.append(Text("paused", "cyan"))
    return Text(" ").join(words)


def _count(value: int | None) -> Text:
    return Text("–" if value is None else f"{value:,}")


def _complain(outcomes: list[Outcome], path: Path) -> int:
    err = console(stderr=True)
    failed = [outcome for outcome in outcomes if not outcome.up]
    for message in dict.fromkeys(outcome.error for outcome in failed):
        kinds = ", ".join(o.kind for o in failed if o.error == message)
        tell(err, "failed", f"({kinds}) {message}", style="red")
    if failed:
        tell_exactly(err, f"for more: postwatch-exporter check --connect --config {shlex.quote(str(path))}")
    return len(failed)
