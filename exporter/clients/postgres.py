"""A watched PostgreSQL database: two connections at most.

`quick` is for looks that must not wait, `exact` for counts that may take long.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from chassis.clock import Clock
from chassis.secrets import SecretUnavailable, SecretUrl
from exporter.clients.guard import Guard
from exporter.clients.postgres_failures import explain
from exporter.clients.session import EpochLoader, Session, Silence
from exporter.clients.urls import postgres_problem, safe
from exporter.model import Reason, SampleFailed
from exporter.sampling.sampler import UNANSWERED, Run

LANES = ("quick", "exact")
CLOSE_WAIT = 0.5  # seconds for whoever uses a connection that is to be closed


class Busy(SampleFailed):
    """Others of ours had the connection all the time: that says nothing of the database."""


class _Lane:
    """One connection and whoever uses it now."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.connection: psycopg.Connection[Any] | None = None
        self.guard: Guard | None = None
        self.retired = False  # nobody is to use it any more

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None


class Database:
    """Access to one database. Thread-safe; connects when first needed and again after a failure."""

    def __init__(self, url: SecretUrl, clock: Clock, connect_timeout: float = 3.0) -> None:
        self._url = url
        self._clock = clock
        self._connect_timeout = connect_timeout
        self._lanes = {name: _Lane() for name in LANES}
        self._silence = Silence()

    @property
    def safe_url(self) -> str:
        """The address without its password."""
        return safe(self._url)

    @contextmanager
    def session(self, run: Run, lane: str = "quick") -> Iterator[Session]:
        """The connection of a lane, for this caller alone; what it has begun is ended behind the block.

        Raises SampleFailed for whatever goes wrong on the way to the database or in it; the connection is
        then closed, since it may be in any state.
        """
        place = self._lanes[lane]
        if not place.lock.acquire(timeout=max(run.left, 0.001)):
            raise Busy(Reason.TIMEOUT, "the connection was busy with another sampler all the time", about=self.safe_url)
        try:
            with self._guarded(place, run) as (connection, guard):
                session = Session(connection, run, self._clock, guard, self._silence, self._explain)
                yield session
                session.finish()
        finally:
            if place.retired:
                place.close()
            place.lock.release()

    @contextmanager
    def _guarded(self, place: _Lane, run: Run) -> Iterator[tuple[psycopg.Connection[Any], Guard]]:
        try:
            connection = place.connection
            if connection is None or connection.closed:
                connection = place.connection = self._connect(run)
            with Guard(connection, max(run.left, 0.05)) as guard:
                place.guard = guard
                try:
                    yield connection, guard
                except psycopg.Error as error:
                    if guard.fired:
                        raise SampleFailed(
                            Reason.TIMEOUT,
                            f"{self.safe_url}: no answer within {run.limit:g} s; the connection was given up",
                            about=self.safe_url,
                        ) from error
                    raise
        except psycopg.Error as error:
            place.close()
            raise self._explain(error) from error
        except BaseException:
            # The block may have left a transaction open, or a half-read answer.
            place.close()
            raise

    def _explain(self, error: psycopg.Error) -> SampleFailed:
        return explain(error, self.safe_url, self._url)

    def _connect(self, run: Run) -> psycopg.Connection[Any]:
        try:
            url = self._url.reveal()
        except SecretUnavailable as error:
            raise SampleFailed(Reason.AUTH, str(error)) from error
        if problem := postgres_problem(url):
            raise SampleFailed(Reason.MISMATCH, f"the address of the database: {problem}")
        given = conninfo_to_dict(url)
        limit = max(2, round(min(self._connect_timeout, run.left or self._connect_timeout)))
        defaults: dict[str, Any] = {
            "application_name": "postwatch",
            "client_encoding": "utf8",
            "connect_timeout": limit,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 20_000,  # ms that sent data may stay unacknowledged
        }
        began = self._clock.monotonic()
        try:
            connection = psycopg.connect(
                make_conninfo(**{**defaults, **given}), autocommit=True, prepare_threshold=None
            )
            connection.adapters.register_loader("timestamptz", EpochLoader)
            return connection
        except psycopg.Error:
            self._silence.noted_at = self._clock.monotonic()
            raise
        finally:
            # A connection is work for the server too.
            run.spent(min(self._clock.monotonic() - began, UNANSWERED))

    def close(self) -> None:
        """Close both connections; one in use at a silent server is given up."""
        for lane in self._lanes.values():
            lane.retired = True
            if lane.lock.acquire(timeout=CLOSE_WAIT):
                lane.close()
                lane.lock.release()
            elif (guard := lane.guard) is not None:
                guard.give_up()


def identity(url: SecretUrl) -> str:
    """What makes two URLs the same database, for its budget: host, port and name, without credentials."""
    try:
        given = conninfo_to_dict(url.reveal())
    except (SecretUnavailable, psycopg.Error):
        return repr(url)
    name = given.get("dbname") or given.get("user") or ""
    return f"postgresql {given.get('host') or given.get('hostaddr') or 'local'}:{given.get('port') or 5432}/{name}"
