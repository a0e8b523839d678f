"""What a store says when it cannot, in a sentence for whoever has to see to it."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import psycopg

from chassis.secrets import Secret, redact

_HOPELESS = ("28", "3D")  # SQLSTATE classes: the log-in is refused, no such database
# libpq gives no SQLSTATE for what happens before the server lets us in.
_REFUSALS = ("authentication failed", "no password supplied", "does not exist", "no pg_hba.conf entry")
_ADVICE = "check user, password and database in `storage`, and pg_hba.conf"
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


def of_postgresql(error: BaseException, safe_url: str, secret: Secret) -> StoreFailed:
    """What an error of PostgreSQL's means, or of a connection to it. `secret` is masked, whoever quotes it."""
    state = (error.sqlstate if isinstance(error, psycopg.Error) else None) or ""
    said = error.diag.message_primary if state and isinstance(error, psycopg.Error) else str(error)
    words = redact(_own_words(said or type(error).__name__), [secret])
    hopeless = state[:2] in _HOPELESS or (not state and any(each in words for each in _REFUSALS))
    kind = StoreUnusable if hopeless else StoreFailed
    return kind(f"storage: {safe_url}: {words}{f'; {_ADVICE}' if hopeless else ''}")


def _own_words(text: str) -> str:
    """What the server said, or why there is no connection, without libpq's addresses and advice, on one line."""
    line = " ".join(text.split()).partition(" Is the server running")[0].removeprefix("connection failed: ")
    return re.sub(r"^connection to server at .+? failed: ", "", line).removeprefix("FATAL: ").strip()


def damaged(file: Path) -> StoreUnusable:
    """The file is not what it should be."""
    return StoreUnusable(
        f"storage: {file} is damaged, or no database of ours. Put it aside and start anew, or restore a backup;"
        f' `sqlite3 {file} ".recover"` saves what can be read'
    )


def gone(file: Path) -> StoreFailed:
    """The file was taken away under us."""
    return StoreFailed(
        f"storage: {file} was removed or replaced while the alerter works with it; start the alerter again."
        " What it holds is delivered as long as it runs"
    )


def taken(file: Path) -> StoreUnusable:
    """Another alerter works with it."""
    return StoreUnusable(
        f"storage: {file} is in use by another alerter; only one may work with a file, several with PostgreSQL"
    )
