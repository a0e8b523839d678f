"""A watched PostgreSQL database: two connections at most, read-only, bounded in time, measured.

`quick` is for looks that must not wait, `exact` for counts that may take long. Nothing relies on the state
of a session, so PgBouncer in transaction mode may stand between: settings are made inside each transaction,
statements are never prepared.
"""

from __future__ import annotations

import math
import struct
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import Format, TransactionStatus
from psycopg.types.numeric import Int8BinaryLoader

from chassis.clock import Clock
from chassis.secrets import SecretUnavailable, SecretUrl
from exporter.clients.failures import explain
from exporter.clients.guard import Guard
from exporter.clients.urls import postgres_problem
from exporter.model import Reason, SampleFailed
from exporter.sampling.sampler import UNANSWERED, Run

LANES = ("quick", "exact")
LOCK_TIMEOUT = 0.5  # seconds; whoever migrates a table is not to find us in the queue behind them
ROWS_A_FETCH = 20_000
CLOSE_WAIT = 0.5  # seconds for whoever uses a connection that is to be closed

_INT8 = struct.Struct(">q")
_EPOCH_2000 = 946_684_800.0
_INFINITE = (1 << 63) - 1

Parameters = Mapping[str, Any] | Sequence[Any] | None
Query = LiteralString | sql.Composed | sql.SQL


class Busy(SampleFailed):
    """Others of ours had the connection all the time: that says nothing of the database."""


class EpochLoader(Loader):
    """Times as epoch seconds: half the work of a datetime, and infinity is a number too."""

    format = Format.BINARY

    def load(self, data: Buffer) -> float:
        """Microseconds since 2000 on the wire (PostgreSQL, timestamptz_send)."""
        (microseconds,) = _INT8.unpack(data)
        if abs(microseconds) >= _INFINITE:
            return math.copysign(math.inf, microseconds)
        return float(microseconds * 1e-6 + _EPOCH_2000)


def from_ticks(ticks: int | None) -> float | None:
    """Epoch seconds of a time as the wire has it: microseconds since 2000. For rows by the thousand."""
    return None if ticks is None else ticks * 1e-6 + _EPOCH_2000


class Session:
    """A connection in use: what it runs is timed and charged to the run. `begin` opens its one transaction."""

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        run: Run,
        clock: Clock,
        guard: Guard,
        silence: Silence,
        explain: Callable[[psycopg.Error], SampleFailed],
    ) -> None:
        self._connection = connection
        self._run = run
        self._clock = clock
        self._guard = guard
        self._silence = silence
        self._explain = explain

    def begin(self, avoid: Sequence[str] = ()) -> None:
        """From now on one REPEATABLE READ, READ ONLY snapshot, taken by the next query.

        `avoid` names planner methods to switch off, e.g. `seqscan`.
        """
        settings = {
            # The server's own limit comes first, so that it can say so; the guard is for a server that cannot.
            "statement_timeout": f"{max(int(self._run.left * 900), 50)}ms",
            "lock_timeout": f"{max(int(min(LOCK_TIMEOUT, self._run.left / 2) * 1000), 25)}ms",
            "idle_in_transaction_session_timeout": f"{max(int(self._run.limit * 2000), 10_000)}ms",
            "cursor_tuple_fraction": "1.0",  # we read our cursors to their end
            "jit": "off",  # compiling costs more than any of our queries
            "max_parallel_workers_per_gather": "0",  # our share is one core, however idle the others look
            **{f"enable_{method}": "off" for method in avoid},
        }
        statements: list[sql.Composable] = [sql.SQL("begin isolation level repeatable read read only")]
        statements += [
            sql.SQL("set local {} = {}").format(sql.Identifier(name), sql.Literal(value))
            for name, value in settings.items()
        ]
        self._timed(self._connection.cursor(), sql.SQL("; ").join(statements), None)

    def finish(self) -> None:
        """End the transaction, if one was begun."""
        if self._connection.info.transaction_status is not TransactionStatus.IDLE:
            self._timed(self._connection.cursor(), "commit", None)

    def rows(self, query: Query, parameters: Parameters = None, *, ticks: bool = False) -> list[tuple[Any, ...]]:
        """All rows, in binary form where types have one; times as epoch seconds, or as ticks (`from_ticks`)."""
        cursor = self._cursor(ticks=ticks)
        self._timed(cursor, query, parameters)
        return cursor.fetchall()

    def row(self, query: Query, parameters: Parameters = None) -> tuple[Any, ...]:
        """The first row of a query that always has one."""
        return self.rows(query, parameters)[0]

    def plain(self, query: LiteralString) -> list[dict[str, Any]]:
        """All rows by the names of their columns, asked by the simple protocol: PgBouncer's console knows no other."""
        cursor = self._connection.cursor()
        self._timed(cursor, query, None)
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def within(self, seconds: float, query: Query, parameters: Parameters = None) -> list[tuple[Any, ...]] | None:
        """All rows, or None if they took longer than `seconds`; the transaction goes on either way."""
        limit = sql.SQL("savepoint attempt; set local statement_timeout = {}").format(
            sql.Literal(f"{int(seconds * 1000)}ms")
        )
        self._connection.execute(limit)
        try:
            rows = self.rows(query, parameters)
        except psycopg.errors.QueryCanceled:
            rows = None
        self._connection.execute("rollback to savepoint attempt")
        return rows

    def attempt(
        self, query: Query, parameters: Parameters = None, *, lock_timeout: float | None = None
    ) -> list[tuple[Any, ...]] | SampleFailed:
        """All rows, or why the server refuses them; the transaction, if one was begun, goes on either way.

        `lock_timeout`: seconds to wait for a lock, in a transaction, if not the usual ones. A time limit that has
        passed is raised as ever: what follows would have no time either.
        """
        inside = self._connection.info.transaction_status is not TransactionStatus.IDLE
        if inside:
            limit = "" if lock_timeout is None else f"; set local lock_timeout = '{int(lock_timeout * 1000)}ms'"
            self._connection.execute(f"savepoint attempt{limit}".encode())
        answer: list[tuple[Any, ...]] | SampleFailed
        try:
            answer = self.rows(query, parameters)
        except psycopg.errors.QueryCanceled:
            raise
        except psycopg.Error as error:
            after = TransactionStatus.INERROR if inside else TransactionStatus.IDLE
            if self._connection.info.transaction_status is not after:
                raise
            answer = self._explain(error)
        if inside:
            self._connection.execute("rollback to savepoint attempt; release savepoint attempt")
        return answer

    def stream(
        self, query: Query, parameters: Parameters = None, *, ticks: bool = False
    ) -> Iterator[list[tuple[Any, ...]]]:
        """Rows in portions, so that a million of them never stand in memory together.

        Each portion renews the time limit: what makes progress is not given up.
        """
        cursor = self._cursor(ticks=ticks)
        portions = sql.SQL("fetch forward {} from postwatch").format(sql.Literal(ROWS_A_FETCH))
        declare = sql.SQL("declare postwatch no scroll cursor for ")
        body = query if isinstance(query, sql.Composable) else sql.SQL(query)
        self._timed(cursor, declare + body, parameters)
        while True:
            self._timed(cursor, portions, None)
            rows = cursor.fetchall()
            if rows:
                yield rows
            if len(rows) < ROWS_A_FETCH:
                break
            self._guard.renew()
        self._timed(cursor, "close postwatch", None)

    def _cursor(self, *, ticks: bool) -> psycopg.Cursor[Any]:
        cursor = self._connection.cursor(binary=True)
        if ticks:
            cursor.adapters.register_loader("timestamptz", Int8BinaryLoader)
        return cursor

    def _timed(self, cursor: psycopg.Cursor[Any], query: Query, parameters: Parameters) -> None:
        began = self._clock.monotonic()
        error: psycopg.Error | None = None
        try:
            cursor.execute(query, parameters)
        except psycopg.Error as raised:
            error = raised
            raise
        finally:
            self._charge(began, error)

    def _charge(self, began: float, error: psycopg.Error | None) -> None:
        """Behind a lock, or while the server was silent, no time of the database's was used.

        To pay for it would keep us away for minutes after the trouble is over. That a server was silent we know
        if a wait for it was given up, or a connection was not had, here or beside us.
        """
        now = self._clock.monotonic()
        if self._guard.fired or self._connection.broken:
            self._silence.noted_at = now
        waited = isinstance(error, psycopg.errors.LockNotAvailable) or self._silence.noted_at >= began
        self._run.spent(min(now - began, UNANSWERED) if waited else now - began)


@dataclass
class Silence:
    """When a database was last found to answer nothing."""

    noted_at: float = -math.inf  # monotonic


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

    def is_at(self, url: SecretUrl) -> bool:
        """Whether it was made for this address and these credentials."""
        return self._url == url

    @property
    def safe_url(self) -> str:
        """The address without its password."""
        try:
            return self._url.safe
        except SecretUnavailable as error:
            return str(error.path)

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
