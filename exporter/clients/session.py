"""A connection to PostgreSQL in use: read-only, bounded in time, measured.

Nothing relies on the state of a session, so PgBouncer in transaction mode may stand between: settings are made inside
each transaction, statements are never prepared.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.pq import Format, TransactionStatus
from psycopg.types.numeric import Int8BinaryLoader

from chassis.clock import Clock
from exporter.clients.guard import Guard
from exporter.model import SampleFailed
from exporter.sampling.sampler import UNANSWERED, Run

LOCK_TIMEOUT = 0.5  # seconds; whoever migrates a table is not to find us in the queue behind them
ROWS_A_FETCH = 20_000

_INT8 = struct.Struct(">q")
_EPOCH_2000 = 946_684_800.0
_INFINITE = (1 << 63) - 1

Parameters = Mapping[str, Any] | Sequence[Any] | None
Query = LiteralString | sql.Composed | sql.SQL


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
