"""`run`: the daemon itself."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from alerter.app import App, watched_files
from alerter.settings import AlerterSettings, read
from alerter.store.engine import StoreFailed
from chassis import lifecycle, log
from chassis.clock import SystemClock
from chassis.settings import secrets_in
from chassis.web import ListenFailed


def run(path: Path) -> int:
    """Run until a signal; answers the exit code. Raises SettingsError."""
    settings = read(path, os.environ)
    redactor = log.configure(settings.log.level, settings.log.format)
    redactor.learn(secret for _, secret in secrets_in(settings))
    clock, state = SystemClock(), lifecycle.ReloadState()

    def read_again() -> AlerterSettings:
        fresh = read(path, os.environ)
        redactor.learn(secret for _, secret in secrets_in(fresh))
        return fresh

    try:
        app = App(settings, read_again, state, clock)
        return lifecycle.run(app, lambda: watched_files(path), clock, state=state)
    except (ListenFailed, StoreFailed) as error:
        sys.stderr.write(f"postwatch-alerter: {error}\n")
        return 1
