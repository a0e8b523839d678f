"""`check`: is the configuration right; with --connect, is what it names there, with the rights that are needed."""

from __future__ import annotations

import os
from pathlib import Path

from rich.console import Console

from chassis import log
from chassis.board import Board
from chassis.clock import SystemClock
from chassis.settings import load, secrets_in, warnings
from exporter.app import Watch
from exporter.catalogue import CATALOGUE
from exporter.commands.terminal import console, tell, tell_exactly
from exporter.sampling.sampler import Run
from exporter.sections import SECTIONS
from exporter.settings import ExporterSettings

LOOK_LIMIT = 20.0  # seconds for one source


def check(path: Path, *, connect: bool) -> int:
    """Print what is found; answers 0, or 1 if a source cannot be used. Raises SettingsError."""
    settings = load(path, ExporterSettings, os.environ)
    out = console()
    redactor = log.configure("error", "console")
    redactor.learn(secret for _, secret in secrets_in(settings))
    for warning in [
        *warnings(settings),
        *(w for s in SECTIONS if hasattr(s, "warnings") for w in s.warnings(settings)),
    ]:
        tell(out, "warning", str(warning), style="yellow")
    sources = settings.queue_options()
    plural = "" if len(sources) == 1 else "s"
    tell(out, "ok", f"{path}: valid, with {len(sources)} source{plural} of queues", style="green")
    if not sources:
        tell(out, "note", "nothing would be watched: name your sources under `queues`", style="yellow")
    return _connect(settings, out) if connect else 0


def _connect(settings: ExporterSettings, out: Console) -> int:
    clock = SystemClock()
    watch = Watch(settings, Board([metric.family for metric in CATALOGUE], clock), clock)
    unusable = 0
    looks = [(f"[bold]{source.context.name}[/] ({source.kind})", source.check) for source in watch.sources]
    looks += [(f"[bold]{part.name}[/]", part.check) for part in watch.parts]
    for title, look in looks:
        out.print(f"\n{title}")
        remarks = look(Run(clock, LOOK_LIMIT))
        for remark in remarks:
            lead, style = ("fails", "red") if remark.fatal else ("note ", "yellow")
            tell(out, lead, remark.text, style=style, indent=2)
            _tell_remedy(out, remark.remedy)
        if any(remark.fatal for remark in remarks):
            unusable += 1
        else:
            verdict = "it can be sampled" if remarks else "it can be sampled, and nothing is missing"
            tell(out, "ok   ", verdict, style="green", indent=2)
    watch.stop(1.0)
    if unusable:
        out.print(f"\n[red]{unusable} of {len(looks)} sources cannot be sampled as they are[/]")
    return 1 if unusable else 0


def _tell_remedy(out: Console, remedy: str) -> None:
    if remedy.endswith(";"):
        tell_exactly(out, remedy, indent=8)
    elif remedy:
        tell(out, "", remedy, indent=8)
