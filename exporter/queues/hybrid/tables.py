"""A layout meets the tables as they are: which columns exist, of which types, and the SQL made of that."""

from __future__ import annotations

from functools import cached_property

from psycopg import sql

from exporter.clients.session import Session
from exporter.model import Reason, SampleFailed
from exporter.queues.hybrid.layout import Layout, LogsTable
from exporter.queues.reading.by_time import finds_by
from exporter.queues.reading.tables import (
    INTEGERS,
    TEXTS,
    TIMES,
    Table,
    array,
    excerpt,
    hashed,
    read_blocks,
    read_table,
    regclass,
)

NULLS = {"time": "null::timestamptz", "text": "null::text", "number": "null::int4"}
BLOCKS = read_blocks(__package__, "hybrid.sql")


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

    @cached_property
    def meanings(self) -> dict[str | None, str]:
        """As `Readable.meanings`."""
        states = self.layout.states
        found: dict[str | None, str] = {value: str(meaning) for meaning, values in states for value in values}
        found[None] = found[states.usual]
        return found

    @property
    def shows_xmin(self) -> bool:
        """As `Readable.shows_xmin`."""
        return self.jobs.shows_xmin

    @property
    def names(self) -> tuple[str | None, ...]:
        """The tables of jobs and of attempts, as `to_regclass` takes them."""
        logs = self.layout.logs
        return regclass(self.layout.jobs.table), regclass(logs.table) if logs else None

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
            "job": hashed(self._column(jobs, spec.id, "id"), jobs.columns[spec.id]),
            "position": sql.Identifier(spec.id),
            "queue": self._column(jobs, spec.queue, "text"),
            "status": status,
            "priority": sql.SQL("{}::int4").format(priority),
            "priority_class": sql.SQL(classed).format(priority, priority) if has_priority else priority,
            "attempts": sql.SQL("coalesce({}::int4, 0)").format(self._optional(jobs, spec.attempts, "0")),
            "worker": sql.SQL("{}::text").format(self._optional(jobs, spec.worker, "null")),
            "error": excerpt(self._optional(jobs, spec.error, "null")),
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
            names[f"{group}_states"] = array(values, kind)
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
            "log_error": excerpt(of_log(spec.error, "null")),
            "log_failures": array(spec.retry + spec.failed, kind),
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


def finds_changes(tx: Session, tables: Tables) -> bool:
    """Whether an index finds the rows that changed in a stretch of time; else each look reads the whole table."""
    return finds_by(tx, tables.query("changes"), tables.layout.jobs.changed or "")
