"""What a store says when it cannot, in a sentence for whoever has to see to it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import psycopg

_SQLSTATES = {"28": "the log-in is refused", "53": "it has no room left", "57": "it is shutting down"}
_SQLITE = {
    "SQLITE_FULL": "the disk is full; free some of it, and all goes on",
    "SQLITE_BUSY": "another process holds its lock; `fuser` shows which",
    "SQLITE_READONLY": "it may not be written to",
    "SQLITE_CANTOPEN": "it cannot be opened; the folder has to exist and be writable",
    "SQLITE_IOERR": "the disk is full, or gives errors; `df` and `dmesg` may say more",
}


class StoreFailed(Exception):
    """The store cannot be used now; the text says why, without a secret, and fits on a line."""


class StoreUnusable(StoreFailed):
    """It will not be better by itself: a wrong address, a corrupt file, a newer schema."""


def of_sqlite(error: sqlite3.Error, file: Path) -> StoreFailed:
    """What an error of SQLite's means."""
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return damaged(file)
    text = next((text for start, text in _SQLITE.items() if name.startswith(start)), name or type(error).__name__)
    return StoreFailed(f"storage: {file}: {text}")


def of_postgresql(error: BaseException, safe_url: str) -> StoreFailed:
    """What an error of PostgreSQL's means, or of a connection to it."""
    state = error.sqlstate if isinstance(error, psycopg.Error) else None
    if not isinstance(error, psycopg.Error) or not state:
        return StoreFailed(f"storage: no connection to {safe_url}")
    text = _SQLSTATES.get(state[:2]) or error.diag.message_primary or type(error).__name__
    kind = StoreUnusable if state[:2] in ("28", "3D") else StoreFailed
    return kind(f"storage: {text} ({safe_url})")


def damaged(file: Path) -> StoreUnusable:
    """The file is not what it should be."""
    return StoreUnusable(
        f"storage: {file} is damaged, or no database of ours. Put it aside and start anew, or restore a backup;"
        f' `sqlite3 {file} ".recover"` saves what can be read'
    )


def taken(file: Path) -> StoreUnusable:
    """Another alerter works with it."""
    return StoreUnusable(
        f"storage: {file} is in use by another alerter; only one may work with a file, several with PostgreSQL"
    )
