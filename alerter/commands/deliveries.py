"""`list` shows deliveries, `retry` plays dead letters again; both beside a running daemon."""

from __future__ import annotations

import getpass
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table
from rich.text import Text

from alerter.commands.terminal import console, tell
from alerter.duties import due
from alerter.messages.clean import line
from alerter.outbox import overview
from alerter.settings import read
from alerter.store import auditing
from alerter.store.auditing import Deed
from alerter.store.engine import Store, StoreFailed
from alerter.store.episodes import chunks
from chassis.clock import SystemClock

_STYLES = {"accepted": "green", "pending": "yellow", "dead": "red"}


def listing(path: Path, state: str | None, receiver: str | None, limit: int) -> int:
    """Print a table, the latest first; answers 1 if the store cannot be read. Raises SettingsError, StoreFailed."""
    store = _store(path)
    try:
        with store.read() as connection:
            rows = overview.last(connection, limit, state=state, receiver=receiver)
    except StoreFailed as error:
        return _fail(error)
    finally:
        store.close()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("id", "receiver", "action", "state", "tries", "when", "message", "error"):
        table.add_column(heading, justify="right" if heading in ("id", "tries") else "left", overflow="fold")
    for row in rows:
        when = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(row.finished_at or row.created_at))
        cells = (
            str(row.id),
            row.receiver,
            row.action,
            row.state,
            str(row.attempts),
            when,
            line(row.message),
            row.error,
        )
        style = _STYLES.get(row.state, "")
        table.add_row(*(Text(cell, style if cell == row.state else "") for cell in cells))
    out = console()
    if rows:
        out.print(table)
    else:
        tell(out, "none", "no delivery is as asked for")
    return 0


def retry(path: Path, ids: Sequence[int], *, everything: bool, receiver: str | None) -> int:
    """Play dead letters again; answers 1 if there are none, or the store cannot be written to.

    Raises SettingsError, StoreFailed.
    """
    store, now = _store(path), time.time()
    try:
        with store.write() as connection:
            chosen = list(ids)
            if everything:
                chosen = overview.dead(connection, receiver)
            count = sum(due.retry(connection, some, now) for some in chunks(chosen))
            if count:
                detail = f"deliveries {', '.join(map(str, chosen[:50]))}"
                auditing.write_down(connection, _who(), Deed.REPLAYED, detail, now)
    except StoreFailed as error:
        return _fail(error)
    finally:
        store.close()
    tell(
        console(),
        "retried",
        f"{count} of {len(chosen)} deliveries; the daemon sends them",
        style="green" if count else "",
    )
    return 0 if count else 1


def _who() -> str:
    """The user's name; its number where it has none, as in a container."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # the latter from Python 3.13 on
        return f"uid {os.getuid()}"


def _store(path: Path) -> Store:
    """The daemon's. One that is not there would be made by a mere look at it."""
    store = Store(read(path, os.environ).storage, SystemClock())
    if store.is_sqlite and not Path(store.engine.url.database or "").exists():
        raise StoreFailed(f"storage: there is no {store.engine.url.database}; has the alerter run here with this file?")
    return store


def _fail(error: StoreFailed) -> int:
    sys.stderr.write(f"postwatch-alerter: {error}\n")
    return 1
