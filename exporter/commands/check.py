"""`check`: is the configuration right; with --connect, is what it names there, with the rights that are needed."""

from __future__ import annotations

import os
from pathlib import Path

from rich.console import Console

from chassis import log
from chassis.clock import SystemClock
from chassis.exposition import Board
from chassis.settings import load, secrets_in, warnings
from exporter.app import Watch
from exporter.catalogue import CATALOGUE
from exporter.sampling.sampler import Run
from exporter.settings import ExporterSettings

LOOK_LIMIT = 20.0  # seconds for one source


def check(path: Path, *, connect: bool) -> int:
    """Print what is found; answers 0, or 1 if a source cannot be used. Raises SettingsError."""
    settings = load(path, ExporterSettings, os.environ)
    out = Console(highlight=False, soft_wrap=True)
    redactor = log.configure("error", "console")
    redactor.learn(secret for _, secret in secrets_in(settings))
    for warning in warnings(settings):
        out.print(f"[yellow]warning[/] {warning}", markup=True)
    sources = settings.queue_options()
    plural = "" if len(sources) == 1 else "s"
    out.print(f"[green]ok[/] {path}: valid, with {len(sources)} source{plural} of queues")
    return _connect(settings, out) if connect else 0


def _connect(settings: ExporterSettings, out: Console) -> int:
    clock = SystemClock()
    watch = Watch(settings, Board([metric.family for metric in CATALOGUE], clock), clock)
    unusable = 0
    for source in watch.sources:
        out.print(f"\n[bold]{source.context.name}[/] ({source.kind})")
        remarks = source.check(Run(clock, LOOK_LIMIT))
        for remark in remarks:
            word = "[red]fails[/]" if remark.fatal else "[yellow]note[/] "
            out.print(f"  {word} ", end="", markup=True)
            out.print(remark.text, markup=False)
            if remark.remedy:
                out.print(f"        {remark.remedy}", markup=False)
        if not any(remark.fatal for remark in remarks):
            out.print("  [green]ok[/]    it can be sampled")
        unusable += any(remark.fatal for remark in remarks)
    watch.stop(1.0)
    return 1 if unusable else 0
