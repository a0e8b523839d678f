"""A layout meets the tables as they are: which columns exist, of which types, and the SQL made of that."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from typing import Any

from psycopg import sql

from exporter.clients.postgres import Session
from exporter.model import Reason, SampleFailed
from exporter.queues.hybrid.layout import Layout, LogsTable, split_name

INTEGERS = ("int2", "int4", "int8")
TEXTS = ("text", "varchar", "bpchar", "name", "citext")
TIMES = ("timestamptz", "timestamp")
NULLS = {"time": "null::timestamptz", "text": "null::text", "number": "null::int4"}


def _read_blocks() -> dict[str, str]:
    text = files(__package__).joinpath("hybrid.sql").read_text(encoding="utf-8")
    blocks = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)
    return {name: body.strip() for name, body in zip(blocks[1::2], blocks[2::2], strict=True)}


BLOCKS = _read_blocks()


@dataclass(frozen=True)
class ColumnType:
    """Type of a column: its name in the catalogue, as SQL writes it, and its labels if it is an enum."""

    name: str
    sql: str
    labels: tuple[str, ...] | None


@dataclass(frozen=True)
class Table:
    """A table as it is in the database."""

    name: str  # as configured
    oid: int
    kind: str  # pg_class.relkind
    columns: dict[str, ColumnType]
    unreadable: frozenset[str] = field(default_factory=frozenset)

    @property
    def identifier(self) -> sql.Identifier:
        """For use in SQL."""
        return sql.Identifier(*split_name(self.name))


def regclass(name: str) -> str:
    """A table's name as `to_regclass` takes it."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in split_name(name))


def read_table(tx: Session, name: str) -> Table | None:
    """The table called `name`; None if there is none that the role can see."""
    rows = tx.rows(sql.SQL(BLOCKS["columns"]), {"table": regclass(name)})
    if not rows:
        return None
    columns = {
        column: ColumnType(typname, shown, None if labels is None else tuple(labels))
        for column, typname, shown, labels, *_ in rows
    }
    unreadable = frozenset(row[0] for row in rows if not row[6])
    return Table(name, rows[0][4], rows[0][5], columns, unreadable)


class Tables:
    """The tables of one source, and the queries for them."""

    def __init__(self, layout: Layout, jobs: Table, queues: Table | None, logs: Table | None) -> None:
        self.layout = layout
        self.jobs = jobs
        self.queues = queues
        self.logs = logs
        self._names = self._jobs_names()
        if queues is not None and layout.queues is not None:
            self._names |= {
                "queues": queues.identifier,
                "name": self._column(queues, layout.queues.name, "text"),
                "is_active": self._optional(queues, layout.queues.active, "null::bool"),
            }
        if self.reads_logs and logs is not None and layout.logs is not None:
            self._names |= self._logs_names(logs, layout.logs)

    @cached_property
    def reads_logs(self) -> bool:
        """Whether new attempts and jobs are found by identities that only grow."""
        spec = self.layout.logs
        if spec is None or self.logs is None:
            return False
        grows = self.logs.columns.get(spec.id)
        position = self.jobs.columns.get(self.layout.jobs.id)
        return all(kind is not None and kind.name in INTEGERS for kind in (grows, position))

    @cached_property
    def keeps_ends(self) -> bool:
        """Whether a column tells when a job completed or failed."""
        return self.has(self.layout.jobs.completed) or self.has(self.layout.jobs.failed)

    @cached_property
    def follows_changes(self) -> bool:
        """Whether a column tells when a row was changed."""
        return self.has(self.layout.jobs.changed)

    @property
    def oids(self) -> tuple[int, int | None]:
        """What the names of the tables of jobs and of attempts stand for."""
        return self.jobs.oid, self.logs.oid if self.logs is not None else None

    @property
    def read_by(self) -> tuple[int, int | None]:
        """The tables that are followed; where reading stands means nothing in others."""
        return self.jobs.oid, self.logs.oid if self.reads_logs and self.logs is not None else None

    def has(self, column: str | None) -> bool:
        """Whether the table of jobs has it."""
        return column is not None and column in self.jobs.columns

    def query(self, name: str, **more: sql.Composable) -> sql.Composed:
        """A block of hybrid.sql for these tables."""
        return sql.SQL(BLOCKS[name]).format(**{**self._names, **more})

    def fragment(self, name: str) -> sql.Composable:
        """What stands for a name in braces."""
        return self._names[name]

    def _jobs_names(self) -> dict[str, sql.Composable]:
        spec, jobs, states = self.layout.jobs, self.jobs, self.layout.states
        status = self._column(jobs, spec.status, "state")
        kind = jobs.columns[spec.status]
        times = {
            name: self._time(jobs, getattr(spec, name))
            for name in ("created", "run_at", "started", "completed", "failed", "changed")
        }
        priority = self._optional(jobs, spec.priority, "null::int4")
        has_priority = self.has(spec.priority)
        classed = "case when {} <= 50 then 0 when {} <= 150 then 1 else 2 end" if has_priority else "{}"
        names: dict[str, sql.Composable] = {
            **times,
            "jobs": jobs.identifier,
            "job": self._hashed(jobs, spec.id),
            "position": sql.Identifier(spec.id),
            "queue": self._column(jobs, spec.queue, "text"),
            "status": status,
            "priority": sql.SQL("{}::int4").format(priority),
            "priority_class": sql.SQL(classed).format(priority, priority) if has_priority else priority,
            "attempts": sql.SQL("coalesce({}::int4, 0)").format(self._optional(jobs, spec.attempts, "0")),
            "worker": sql.SQL("{}::text").format(self._optional(jobs, spec.worker, "null")),
            "error": _excerpt(self._optional(jobs, spec.error, "null")),
            "queue_column": sql.Identifier(spec.queue),
            "id_column": sql.Identifier(spec.id),
            "id_type": sql.SQL(jobs.columns[spec.id].sql),  # the server's own name of the type
            "older": sql.SQL(""),
            "of_priority": sql.SQL(""),
        }
        for group, values in (
            *((name, getattr(states, name)) for name in ("active", "completed", "failed", "handed_over")),
            ("all", states.all),
            ("ended", states.ended),
            ("unstarted", states.unstarted),
        ):
            names[f"{group}_states"] = _array(values, kind)
        for group in ("completed", "failed"):
            values = getattr(states, group)
            one = len(values) == 1 and (kind.labels is None or values[0] in kind.labels)
            # A plain comparison takes half the time of one with an array.
            names[f"is_{group}"] = sql.SQL("{} = {}").format(
                status, sql.Literal(values[0]) if one else sql.SQL("any({})").format(names[f"{group}_states"])
            )
        names["usual_status"] = sql.SQL("{}::text").format(sql.Literal(states.usual))
        # Any of the two columns tells the end of a job that was cancelled or expired.
        names["ended"] = sql.SQL(
            "case when {is_completed} then {completed} when {is_failed} then {failed}"
            " when {status} = any({ended_states}) then coalesce({completed}, {failed}) end"
        ).format(**names)
        return names

    def _logs_names(self, logs: Table, spec: LogsTable) -> dict[str, sql.Composable]:
        def of_log(column: str | None, null: str) -> sql.Composable:
            return sql.Identifier("l", column) if column in logs.columns and column else sql.SQL(null)

        kind = logs.columns[spec.status]
        prefixed = {
            key: sql.Identifier("j", column) if column and self.has(column) else sql.SQL(null)
            for key, column, null in (
                ("job_priority", self.layout.jobs.priority, "null::int4"),
                ("job_created", self.layout.jobs.created, NULLS["time"]),
            )
        }
        return {
            **prefixed,
            "logs": logs.identifier,
            "log_position": sql.Identifier(spec.id),
            "log_job": sql.SQL("l.{}::int8").format(sql.Identifier(spec.job)),
            "log_job_column": sql.Identifier(spec.job),
            "log_status": sql.Identifier(spec.status),
            "log_attempt": sql.SQL("coalesce({}::int4, 0)").format(of_log(spec.attempt, "0")),
            "log_started": sql.SQL("{}::timestamptz").format(of_log(spec.started, "null")),
            "log_finished": sql.SQL("{}::timestamptz").format(of_log(spec.finished, "null")),
            "log_created": sql.SQL("{}::timestamptz").format(of_log("created_at", "null")),
            "log_error": _excerpt(of_log(spec.error, "null")),
            "log_failures": _array(spec.retry + spec.failed, kind),
        }

    def _column(self, table: Table, name: str, meaning: str) -> sql.Composable:
        kind = table.columns.get(name)
        if kind is None:
            raise SampleFailed(
                Reason.MISSING, f"table {table.name} has no column {name!r}", "map the column in `schema`"
            )
        if meaning == "state" and kind.labels is None and kind.name not in TEXTS:
            raise SampleFailed(
                Reason.MISMATCH,
                f"column {name!r} of {table.name} is {kind.sql}, but a state has to be text or an enum",
                "map another column in `schema`",
            )
        return sql.Identifier(name)

    def _optional(self, table: Table, name: str | None, null: str) -> sql.Composable:
        return sql.Identifier(name) if name in table.columns and name is not None else sql.SQL(null)

    def _time(self, table: Table, name: str | None) -> sql.Composable:
        kind = table.columns.get(name) if name else None
        if kind is None or name is None:
            return sql.SQL(NULLS["time"])
        if kind.name not in TIMES:
            raise SampleFailed(
                Reason.MISMATCH,
                f"column {name!r} of {table.name} is {kind.sql}, but a timestamp is needed",
                "map another column in `schema`, or null",
            )
        column = sql.Identifier(name)
        return column if kind.name == "timestamptz" else sql.SQL("{}::timestamptz").format(column)

    def _hashed(self, table: Table, name: str) -> sql.Composable:
        column = self._column(table, name, "id")
        kind = table.columns[name].name
        if kind in INTEGERS:
            return sql.SQL("{}::int8").format(column)
        if kind == "uuid":
            return sql.SQL("uuid_hash_extended({}, 0)").format(column)
        return sql.SQL("hashtextextended({}::text, 0)").format(column)


def _excerpt(column: sql.Composable) -> sql.Composed:
    """Enough of an error to name its class: its start, of a Python traceback its end."""
    return sql.SQL(
        "case when {0} like 'Traceback %%' then 'Traceback ' || right({0}, 400) else left({0}, 300) end"
    ).format(column)


def _array(values: Iterable[str], kind: ColumnType) -> sql.Composed:
    """An array of states, of the column's own type where that is an enum, so that indexes serve."""
    known = [value for value in values if kind.labels is None or value in kind.labels]
    quoted = ",".join('"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' for value in known)
    kind_sql = f"{kind.sql}[]" if kind.labels is not None else "text[]"
    return sql.SQL("{}::" + kind_sql).format(sql.Literal("{" + quoted + "}"))  # the server's own name of the type


def read_tables(tx: Session, layout: Layout) -> Tables:
    """All tables of a layout. Raises SampleFailed if the table of jobs is missing or unreadable."""
    jobs = read_table(tx, layout.jobs.table)
    if jobs is None:
        raise SampleFailed(
            Reason.MISSING,
            f"there is no table {layout.jobs.table!r}, or the role may not use its schema",
            "check `schema` in the configuration; `postwatch-exporter check --connect` tells more",
        )
    queues = read_table(tx, layout.queues.table) if layout.queues else None
    logs = read_table(tx, layout.logs.table) if layout.logs else None
    return Tables(layout, jobs, queues, logs)


def rights_missing(tables: Tables) -> list[Any]:
    """Tables of which the role may not read some column."""
    return [t for t in (tables.jobs, tables.queues, tables.logs) if t is not None and t.unreadable]
