"""Writers of SQLite, one after the other, who share a commit: an fsync takes longer than what most of them write."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

_MOST = 32  # writers in one commit


class _Batch:
    """A transaction that is open, and those who wait for its commit."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.writers = 0
        self.over = threading.Event()
        self.failure: BaseException | None = None

    @property
    def is_open(self) -> bool:
        """Not after errors by which SQLite undoes all of a transaction, such as a full disk."""
        with suppress(SQLAlchemyError):
            driver = self.connection.connection.driver_connection
            return isinstance(driver, sqlite3.Connection) and driver.in_transaction
        return False


class Writers:
    """Lets one write at a time. Each waits until what it wrote is committed, which the last in the queue sees to."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._turn = threading.Lock()
        self._queue = threading.Lock()
        self._waiting = 0
        self._batch: _Batch | None = None

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that nobody writes beside; committed at the end, or undone if the body raises."""
        with self._queue:
            self._waiting += 1
        with self._turn:
            with self._queue:
                self._waiting -= 1
            batch = self._batch or self._begin()
            batch.writers += 1
            first = batch.writers == 1
            try:
                if first:
                    yield batch.connection
                else:
                    with batch.connection.begin_nested():
                        yield batch.connection
            except BaseException as error:
                # Who fails leaves nothing behind; what the others wrote stays.
                self._end(batch, error) if first or not batch.is_open else self._end_unless_awaited(batch)
                raise
            self._end_unless_awaited(batch)
        batch.over.wait()
        if batch.failure is not None:
            raise batch.failure

    @contextmanager
    def alone(self) -> Iterator[Connection]:
        """A connection outside of any transaction, while nobody writes."""
        with self._turn:
            if self._batch is not None:
                self._end(self._batch)
            with self._engine.connect() as connection:
                yield connection

    def _begin(self) -> _Batch:
        connection = self._engine.connect().execution_options(postwatch_write=True)
        try:
            connection.begin()
        except BaseException:
            connection.close()
            raise
        self._batch = _Batch(connection)
        return self._batch

    def _end_unless_awaited(self, batch: _Batch) -> None:
        if self._waiting == 0 or batch.writers >= _MOST:
            self._end(batch)

    def _end(self, batch: _Batch, failure: BaseException | None = None) -> None:
        """Commits; or undoes all, if there was a `failure`."""
        self._batch, batch.failure = None, failure
        try:
            if failure is None:
                batch.connection.commit()
        except BaseException as error:
            batch.failure = error
        finally:
            with suppress(SQLAlchemyError):
                batch.connection.close()  # which undoes what was not committed
            batch.over.set()
