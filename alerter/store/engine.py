"""Connections to the store, and what it says when it cannot.

SQLite (alerter/store/file.py): one writer at a time. PostgreSQL: writers of all replicas take turns by an advisory
lock, so that a decision is made on what the last one left.
"""

from __future__ import annotations

import importlib
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from alerter.store import failures
from alerter.store.failures import StoreFailed, StoreUnusable
from alerter.store.file import OwnFile
from alerter.store.schema import REVISION
from alerter.store.together import Writers
from chassis.clock import Clock
from chassis.secrets import SecretUrl, safe_url

__all__ = ["Store", "StoreFailed", "StoreUnusable"]

_PATIENCE = 10  # seconds to wait for a free connection
_WRITERS = 7_706_873_720  # the advisory lock's number
_MIGRATING = _WRITERS + 1
_TURNS = 770_687_372  # of locks with two numbers, which are others
# A replica that stands still in the middle of a transaction, frozen or cut off, must not stop the others for ever: the
# server ends it, and whoever waits for a lock gives up somewhat later. For this transaction alone, and in one statement
# with the lock: PgBouncer knows no settings of sessions.
_IDLE, _LOCKED = "20s", "30s"
_LIMITS = "set_config('idle_in_transaction_session_timeout', :idle, true), set_config('lock_timeout', :locked, true)"
_VACUUM_STEP = 200  # pages


class Store:
    """The database. Safe to share among threads."""

    def __init__(self, url: SecretUrl, clock: Clock) -> None:
        """Nothing is opened yet. Raises StoreUnusable if `url` is none."""
        text = url.reveal()
        self.safe_url = safe_url(text)
        self._url = url
        self._clock = clock
        self._closed: StoreFailed | None = None
        try:
            parsed = make_url(text)
        except ArgumentError:
            raise StoreUnusable("storage: this is no address of a database") from None
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        if self.is_sqlite:
            self._file = OwnFile(parsed)
            self.engine = self._file.engine
        elif parsed.drivername == "postgresql+psycopg":
            self.engine = _postgresql(parsed)
        else:
            raise StoreUnusable(f"storage: {parsed.drivername} is not known; sqlite or postgresql+psycopg")
        self._writers = Writers(self.engine)  # of SQLite

    def open(self) -> None:
        """Makes or verifies the database, which is ours alone until `close`. Raises StoreUnusable or StoreFailed.

        May be tried again; until it has done so, nothing is written or read.
        """
        if self.is_sqlite:
            self._file.claim()
        try:
            with self._named():
                with self.engine.connect() as connection:
                    if self.is_sqlite:
                        self._verify(connection)
                self._migrate()
                if self.is_sqlite:
                    self._file.hold()
        except StoreFailed as error:
            self._closed = error
            raise
        self._closed = None

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that nobody writes beside; committed at the end. Raises StoreFailed."""
        with self._told():
            if self.is_sqlite:
                self._file.must_be_there()  # without it what is accepted would go with this process
                with self._writers.write() as connection:
                    yield connection
                return
            with self.engine.begin() as connection:
                _limit(connection, "pg_advisory_xact_lock(:n)", n=_WRITERS)
                yield connection

    @contextmanager
    def touch(self, turn: str = "") -> Iterator[Connection]:
        """A transaction that changes rows of its own alone: it waits for no writer where the store can do so.

        With a `turn` it waits for those, of all replicas, that have the same one.
        """
        if self.is_sqlite:
            with self._told(), self._writers.write() as connection:
                yield connection
            return
        with self._told(), self.engine.begin() as connection:
            if turn:
                _limit(connection, "pg_advisory_xact_lock(:n, hashtext(:turn))", n=_TURNS, turn=turn)
            else:
                _limit(connection)
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads. Raises StoreFailed."""
        with self._told(), self.engine.begin() as connection:
            yield connection

    def moment(self, connection: Connection) -> float:
        """Now, by the clock that all replicas share: the database's; of SQLite our own."""
        if self.is_sqlite:
            return self._clock.now()
        return float(connection.execute(sa.text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())

    def shrink(self) -> bool:
        """Gives a little of what was deleted back to the disk; whether there is more. PostgreSQL does so by itself."""
        if not self.is_sqlite:
            return False
        with self._told(), self._writers.alone() as connection:
            driver = connection.connection.driver_connection
            if driver is None:
                return False
            driver.execute(f"PRAGMA incremental_vacuum({_VACUUM_STEP})").fetchall()
            return bool(driver.execute("PRAGMA freelist_count").fetchone()[0])

    def close(self) -> None:
        """Lets all connections go."""
        self.engine.dispose()
        if self.is_sqlite:
            self._file.release()

    def _verify(self, connection: Connection) -> None:
        answer = connection.execute(sa.text("PRAGMA quick_check(1)")).scalar()
        if answer != "ok":
            raise failures.damaged(self._file.path)

    def _migrate(self) -> None:
        with self._writers.write() if self.is_sqlite else self.engine.begin() as connection:
            if not self.is_sqlite:
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(:n)"), {"n": _MIGRATING})
            if _revision(connection) != REVISION:
                logging.getLogger("alembic").setLevel(logging.WARNING)  # before it tells what it consists of
                importlib.import_module("alerter.store.migrating").upgrade(connection)

    @contextmanager
    def _told(self) -> Iterator[None]:
        if self._closed is not None:
            raise StoreFailed(str(self._closed))
        with self._named():
            yield

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise self._failure(error.orig or error) from error
        except (psycopg.Error, sqlite3.Error) as error:  # of what is asked of the driver itself
            raise self._failure(error) from error
        except SQLAlchemyError as error:
            raise StoreFailed(f"storage: {type(error).__name__}") from error

    def _failure(self, error: BaseException) -> StoreFailed:
        if isinstance(error, sqlite3.Error):
            return failures.of_sqlite(error, self._file.path)
        return failures.of_postgresql(error, self.safe_url, self._url)


def _limit(connection: Connection, *lock: str, **values: object) -> None:
    """In PostgreSQL: this transaction waits for no lock for ever, nor holds one; then takes `lock`."""
    statement = sa.text(f"SELECT {', '.join((_LIMITS, *lock))}")  # constants
    connection.execute(statement, {"idle": _IDLE, "locked": _LOCKED, **values})


def _revision(connection: Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    return revision


def _postgresql(url: sa.URL) -> Engine:
    return sa.create_engine(
        url,
        pool_size=8,
        max_overflow=8,
        pool_timeout=_PATIENCE,
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": 5,
            # A server that is gone without a word is noticed within half a minute.
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 20_000,
            "application_name": "postwatch-alerter",
            "prepare_threshold": None,  # PgBouncer may give each transaction another connection
        },
        execution_options={"isolation_level": "READ COMMITTED"},
    )
