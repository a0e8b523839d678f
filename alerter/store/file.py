"""SQLite's file: what was committed is on the disk (WAL, `synchronous=FULL`); one alerter alone works with it."""

from __future__ import annotations

import fcntl
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine

from alerter.store import failures
from alerter.store.failures import StoreUnusable

_BUSY = 5.0  # seconds that another process, `retry` for example, may hold SQLite's lock
_HELD = 8  # connections that stay open


class OwnFile:
    """The file, and connections to it."""

    def __init__(self, url: sa.URL) -> None:
        """Nothing is opened yet. Raises StoreUnusable if `url` names no file."""
        if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
            raise StoreUnusable("storage: name a file; what is kept in memory does not survive")
        self.path = Path(url.database)
        self.engine = self._engine(url)
        self._alone: int | None = None
        self._identity: tuple[int, int] | None = None  # device and inode, once it is ours alone

    def claim(self) -> None:
        """Makes it if need be; nobody else may read it, and no other alerter work with it. Raises StoreUnusable."""
        try:
            # Before SQLite makes it: its journals get the rights of the file, and all of it may be read by us alone.
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600))
            status = self.path.stat()
            self._identity = (status.st_dev, status.st_ino)
            if status.st_mode & 0o077:
                self.path.chmod(0o600)
            # On a file of its own: SQLite has locks on its, which would go when another descriptor of it is closed.
            self._alone = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StoreUnusable(
                f"storage: {self.path} cannot be used: {error.strerror}; the folder has to exist and be writable"
            ) from None
        try:
            fcntl.flock(self._alone, fcntl.LOCK_EX | fcntl.LOCK_NB)  # leases know one alerter for each file
        except OSError:
            raise failures.taken(self.path) from None

    def hold(self) -> None:
        """Opens as many connections as stay: they lead to the file even when it has lost its name."""
        with ExitStack() as stack:
            for _ in range(_HELD):
                stack.enter_context(self.engine.connect())

    def must_be_there(self) -> None:
        """Raises StoreFailed unless the file that was claimed is still the one of that name."""
        if self._identity is None:
            return
        try:
            status = self.path.stat()
            there = (status.st_dev, status.st_ino) == self._identity
        except OSError:
            there = False
        if not there:
            raise failures.gone(self.path)

    def release(self) -> None:
        """Another may have it."""
        if self._alone is not None:
            os.close(self._alone)
            self._alone = None

    def _engine(self, url: sa.URL) -> Engine:
        # The one that was used last is taken first: what it read is still in its memory, and the others need none.
        engine = sa.create_engine(
            url,
            connect_args={"timeout": _BUSY, "check_same_thread": False},
            pool_size=_HELD,
            pool_use_lifo=True,
        )

        @event.listens_for(engine, "do_connect")
        def _look(*_: object) -> None:
            self.must_be_there()  # SQLite would make a new one, which is empty

        @event.listens_for(engine, "connect")
        def _configure(connection: Any, _record: Any) -> None:
            connection.isolation_level = None  # the driver would begin transactions by its own rules
            connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")

        @event.listens_for(engine, "begin")
        def _begin(connection: Connection) -> None:
            writes = connection.get_execution_options().get("postwatch_write")
            connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

        return engine
