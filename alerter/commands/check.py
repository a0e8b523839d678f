"""`check`: is the configuration right."""

from __future__ import annotations

import os
import time
from pathlib import Path

from alerter.commands.terminal import console, tell
from alerter.settings import read, remarks
from chassis.settings import warnings


def check(path: Path) -> int:
    """Print what is found; answers 0. Raises SettingsError."""
    settings = read(path, os.environ)
    out = console()
    for warning in warnings(settings):
        tell(out, "warning", str(warning), style="yellow")
    receivers, routes = len(settings.receiver_options()), len(settings.routes)
    tell(out, "ok", f"{path}: valid, with {receivers} receivers and {routes} routes", style="green")
    for remark in remarks(settings, time.time()):
        tell(out, "note", remark, style="yellow")
    return 0
