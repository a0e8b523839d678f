"""`run`: the daemon itself."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from chassis import lifecycle, log
from chassis.clock import SystemClock
from chassis.settings import load, secrets_in
from chassis.web import ListenFailed
from exporter.app import App, watched_files
from exporter.settings import ExporterSettings


def run(path: Path) -> int:
    """Run until a signal; answers the exit code. Raises SettingsError."""
    settings = load(path, ExporterSettings, os.environ)
    redactor = log.configure(settings.log.level, settings.log.format)
    redactor.learn(secret for _, secret in secrets_in(settings))
    clock, state = SystemClock(), lifecycle.ReloadState()

    def load_again() -> ExporterSettings:
        fresh = load(path, ExporterSettings, os.environ)
        redactor.learn(secret for _, secret in secrets_in(fresh))
        return fresh

    app = App(settings, load_again, state, clock)
    try:
        return lifecycle.run(app, lambda: watched_files(path), clock, state=state)
    except ListenFailed as error:
        sys.stderr.write(f"postwatch-exporter: {error}\n")
        return 1
