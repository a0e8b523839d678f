"""`check`: is the configuration right."""

from __future__ import annotations

import os
from pathlib import Path

from alerter.commands.terminal import console, tell
from alerter.settings import read
from chassis.settings import warnings


def check(path: Path) -> int:
    """Print what is found; answers 0. Raises SettingsError."""
    settings = read(path, os.environ)
    out = console()
    for warning in warnings(settings):
        tell(out, "warning", str(warning), style="yellow")
    receivers, routes = len(settings.receiver_options()), len(settings.routes)
    tell(out, "ok", f"{path}: valid, with {receivers} receivers and {routes} routes", style="green")
    if not receivers:
        tell(out, "note", "nobody would be told: name your receivers under `receivers`", style="yellow")
    used = {name for target in (*settings.routes, settings.default) for name in target.names}
    used |= set(settings.deadman.receivers) if settings.deadman else set()
    for options in settings.receiver_options():
        if options.name not in used:
            tell(out, "note", f"receiver {options.name!r} is told by no route", style="yellow")
    if receivers and settings.deadman is None:
        tell(out, "note", "no deadman: nobody would notice that alerts stop to come", style="yellow")
    return 0
