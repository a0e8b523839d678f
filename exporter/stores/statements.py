"""Statements by command, from pg_stat_statements.

The view forgets: it evicts what runs rarely, and somebody may reset it. So differences are added up statement by
statement. Texts are read for statements that are new and ran, since reading one means reading all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from psycopg import sql

from chassis.exposition import Reading
from exporter.clients.session import Session
from exporter.model import Reason
from exporter.stores.absence import Absence
from exporter.stores.commands import COMMANDS, command_of

METRICS = ("postgres_statements_total", "postgres_statement_seconds_total")
# Of a text, as much as tells its command: more of it where a comment or WITH comes first.
TEXT = r"left(s.query, case when s.query ~* '^[\s(]*(with\M|prepare\M|/\*|--)' then 20000 else 60 end)"

# pg_stat_statements.max is there if, and only if, the library was loaded at the server's start.
SUPPORT = """
select current_setting('pg_stat_statements.max', true) is not null, n.nspname,
       coalesce(has_schema_privilege(n.oid, 'usage'), false), coalesce(f.columns, '{}'), coalesce(i.found, false),
       (select system_identifier from pg_control_system()), pg_is_in_recovery(),
       case when pg_is_in_recovery() then null
            else ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int end
from (values (1)) as one
left join pg_extension e on e.extname = 'pg_stat_statements'
left join pg_namespace n on n.oid = e.extnamespace
left join lateral (
    select p.proargnames::text[] as columns
    from pg_depend d join pg_proc p on p.oid = d.objid
    where d.classid = 'pg_proc'::regclass and d.refclassid = 'pg_extension'::regclass and d.refobjid = e.oid
      and p.proname = 'pg_stat_statements'
) f on true
left join lateral (
    select true as found
    from pg_depend d join pg_proc p on p.oid = d.objid
    where d.classid = 'pg_proc'::regclass and d.refclassid = 'pg_extension'::regclass and d.refobjid = e.oid
      and p.proname = 'pg_stat_statements_info'
) i on true
"""
ROWS = """
select s.queryid, s.userid::int8, s.calls, s.{seconds} / 1000, {since}
from {schema}.pg_stat_statements(false) s
where s.dbid = (select oid from pg_database where datname = current_database()) and s.queryid is not null and {top}
"""
RESET = "select stats_reset from {schema}.pg_stat_statements_info()"
TEXTS = "select s.queryid, {text} from {schema}.pg_stat_statements(true) s where s.queryid = any(%(ids)s)"


class Support(NamedTuple):
    """How far a database has pg_stat_statements."""

    loaded: bool
    schema: str | None  # None: the extension is not there
    usable: bool  # the role may use that schema
    columns: tuple[str, ...]
    tells_reset: bool  # from PostgreSQL 14 on
    history: tuple[object, ...]  # another one after a failover or a restore: nothing may be compared across

    @classmethod
    def read(cls, tx: Session) -> Support:
        """As it is in this database."""
        loaded, schema, usable, columns, tells_reset, *history = tx.row(SUPPORT)
        return cls(loaded, schema, usable, tuple(columns), tells_reset, tuple(history))

    def absences(self, role: str) -> Iterator[Absence]:
        """What is missing. `role`: as SQL writes it."""
        create = "create extension pg_stat_statements;"
        if not self.loaded:
            text = "the server has not loaded pg_stat_statements"
            remedy = f"add it to shared_preload_libraries in postgresql.conf, restart the server, then: {create}"
            yield Absence(Reason.MISSING, text, remedy, METRICS)
        elif self.schema is None:
            yield Absence(Reason.MISSING, "the database has no extension pg_stat_statements", create, METRICS)
        elif not self.usable:
            text = f"the role may not use the schema {self.schema}, which has pg_stat_statements"
            yield Absence(Reason.PERMISSION, text, f"grant usage on schema {self.schema} to {role};", METRICS)

    def _query(self, text: str) -> sql.Composed:
        has = self.columns.__contains__
        return sql.SQL(text).format(
            schema=sql.Identifier(self.schema or ""),
            # Their names before PostgreSQL 13, and what came with 17 and 14: since when the entry is there, and whether
            # a client sent the statement. What functions run is part of the statement that called them.
            seconds=sql.Identifier("total_exec_time" if has("total_exec_time") else "total_time"),
            since=sql.SQL("s.stats_since" if has("stats_since") else "null::timestamptz"),
            top=sql.SQL("s.toplevel" if has("toplevel") else "true"),
            text=sql.SQL(TEXT),
        )

    def reset(self, tx: Session) -> float | None:
        """When all statements were last forgotten, by someone or by a crash (epoch seconds); None: it does not say."""
        if not self.tells_reset:
            return None
        (at,) = tx.row(self._query(RESET))
        return None if at is None else float(at)

    def rows(self, tx: Session) -> list[tuple[Any, ...]]:
        """Statements: id, user, calls, seconds, since when (epoch seconds)."""
        return tx.rows(self._query(ROWS))

    def texts(self, tx: Session, ids: Iterable[int]) -> dict[int, str]:
        """Beginnings of the texts of statements by their ids."""
        return {queryid: text or "" for queryid, text in tx.rows(self._query(TEXTS), {"ids": list(ids)})}


@dataclass
class Statements:
    """Sums by command. They never fall."""

    calls: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COMMANDS, 0))
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(COMMANDS, 0.0))
    _before: dict[tuple[int, int], tuple[int, float, float | None]] = field(default_factory=dict)
    _history: tuple[object, ...] | None = None
    _reset: float | None = None
    _commands: dict[int, str] = field(default_factory=dict)
    _unnamed: dict[int, tuple[int, float]] = field(default_factory=dict)

    @property
    def unnamed(self) -> frozenset[int]:
        """Ids of statements that ran and whose texts are not known: they are counted when named."""
        return frozenset(self._unnamed)

    def forget(self) -> None:
        """Begin anew: what is read next is another database's."""
        self._history = None

    def take(self, history: tuple[object, ...], rows: Iterable[tuple[Any, ...]], reset: float | None = None) -> None:
        """Add what ran since the rows taken before; the first rows of a history are where it begins.

        `reset` is when all was forgotten: what is there has run since.
        """
        current = {(queryid, user): (calls, seconds, since) for queryid, user, calls, seconds, since in rows}
        if history == self._history:
            before = self._before if reset == self._reset else {}
            for key, now in current.items():
                calls, seconds = _difference(before.get(key), now)
                if calls or seconds:
                    self._add(key[0], calls, seconds)
        self._history, self._before, self._reset = history, current, reset
        present = {queryid for queryid, _ in current}
        self._commands = {queryid: command for queryid, command in self._commands.items() if queryid in present}

    def _add(self, queryid: int, calls: int, seconds: float) -> None:
        command = self._commands.get(queryid)
        if command is None:
            held = self._unnamed.get(queryid, (0, 0.0))
            self._unnamed[queryid] = (held[0] + calls, held[1] + seconds)
            return
        self.calls[command] += calls
        self.seconds[command] += seconds

    def name(self, texts: Mapping[int, str]) -> None:
        """Count all that was held back; a statement that is gone before its text was read is `other`."""
        unnamed, self._unnamed = self._unnamed, {}
        for queryid, (calls, seconds) in unnamed.items():
            command = command_of(texts[queryid]) if queryid in texts else "other"
            self._commands[queryid] = command
            self._add(queryid, calls, seconds)

    def readings(self, labels: Mapping[str, str]) -> Iterator[Reading]:
        """All commands, also those never seen."""
        for command in COMMANDS:
            mine = {**labels, "command": command}
            yield Reading("postwatch_postgres_statements_total", mine, self.calls[command])
            yield Reading("postwatch_postgres_statement_seconds_total", mine, self.seconds[command])


def _difference(
    before: tuple[int, float, float | None] | None, now: tuple[int, float, float | None]
) -> tuple[int, float]:
    """Calls and seconds since; all of them if the entry is a new one, evicted or reset in between."""
    if before is None or before[2] != now[2] or now[0] < before[0]:
        return now[0], now[1]
    return now[0] - before[0], max(0.0, now[1] - before[1])
