"""`check --connect` for a pg-boss: rights, its schema's version, and indexes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from exporter.clients.session import Session
from exporter.jobs.transactions import Activity
from exporter.model import Remark
from exporter.queues.pgboss.capabilities import ABSENT
from exporter.queues.pgboss.source import Watched
from exporter.queues.pgboss.tables import NEWEST, Tables, read_tables, unknown_states
from exporter.queues.reading.remarks import closed_schemas, examined, of_absent, of_closed_schema, of_closed_table
from exporter.queues.reading.tables import quoted, read_table
from exporter.queues.reading.watched import EXACT_PLAN
from exporter.sampling.sampler import Run

TABLES = ("version", "queue", "job", "archive")


def examine(watched: Watched, run: Run) -> list[Remark]:
    """All that a user should know of a source before relying on it."""
    return list(examined(watched.context, run, partial(_examine, watched), EXACT_PLAN))


def _examine(watched: Watched, tx: Session, role: str, _activity: Activity) -> Iterator[Remark]:
    name, schema = watched.context.name, watched.schema
    closed = closed_schemas(tx, [(schema, table) for table in TABLES])
    if closed:
        yield from (of_closed_schema(name, role, shown, fatal=True) for shown, _ in closed)
        return
    found = [read_table(tx, quoted(schema, table)) for table in TABLES]
    if unreadable := [table for table in found if table is not None and table.unreadable]:
        yield from (of_closed_table(name, role, table) for table in unreadable)
        return
    yield from _tables(name, read_tables(tx, schema))
    yield from of_absent(name, ABSENT)


def _tables(name: str, tables: Tables) -> Iterator[Remark]:
    if tables.version > NEWEST:
        yield Remark(
            name,
            f"{tables.schema} has schema version {tables.version}, newer than {NEWEST}, the newest that this was tested"
            " with; its tables have all that is read",
        )
    if unknown := unknown_states(tables):
        yield Remark(name, f"jobs in these states are not counted: {', '.join(unknown)}", "upgrade Postwatch")
    if not tables.indexed:
        yield Remark(
            name,
            f"no index finds which jobs of {tables.schema}.job ended (schema version {tables.version}): each look reads"
            " the whole table, so that counters are as old as the budget makes them; depth is not",
            "upgrade pg-boss, or ask the owner of each table that holds jobs for: create index concurrently on"
            f" {tables.schema}.<table> (completed_on);",
        )
