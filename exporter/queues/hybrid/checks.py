"""`check --connect` for a hybrid queue: rights, tables, columns, indexes, and what is missing without them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from exporter.clients.session import Session
from exporter.jobs.transactions import Activity
from exporter.model import Remark, SampleFailed
from exporter.queues.hybrid.capabilities import absent_metrics
from exporter.queues.hybrid.lists import ACTIVE_WORKERS, DEAD_LETTERS
from exporter.queues.hybrid.source import Watched
from exporter.queues.hybrid.tables import Tables, finds_changes, read_tables
from exporter.queues.reading.remarks import closed_schemas, examined, of_absent, of_closed_schema, of_closed_table
from exporter.queues.reading.tables import read_table, split_name
from exporter.queues.reading.watched import EXACT_PLAN
from exporter.sampling.sampler import Run

REDIS_COMMANDS: tuple[tuple[Any, ...], ...] = (
    ("TYPE", ACTIVE_WORKERS),
    ("LLEN", DEAD_LETTERS),
    ("PTTL", DEAD_LETTERS),
    ("LINDEX", DEAD_LETTERS, -1),
    ("LRANGE", DEAD_LETTERS, 0, 0),
    ("LLEN", "queue:0"),
    ("PTTL", "queue:0"),
    ("LINDEX", "queue:0", -1),
    ("LRANGE", "queue:0", 0, 0),
    ("EXISTS", "job:0"),
    ("PTTL", "job:0"),
    ("HGET", "job:0", "status"),
    ("HGETALL", "worker:0"),
    ("GET", "worker:0:last_heartbeat"),
)


def examine(watched: Watched, run: Run) -> list[Remark]:
    """All that a user should know of a source before relying on it."""
    remarks = list(examined(watched.context, run, partial(_postgres, watched), EXACT_PLAN))
    if watched.context.store is not None:
        remarks += _redis(watched, run)
    return remarks


def _postgres(watched: Watched, tx: Session, role: str, _activity: Activity) -> Iterator[Remark]:
    name = watched.context.name
    layout = watched.layout
    specs = [spec for spec in (layout.jobs, layout.queues, layout.logs) if spec is not None]
    closed = closed_schemas(tx, [split_name(spec.table) for spec in specs])
    for schema, is_named in closed:
        yield of_closed_schema(name, role, schema, fatal=is_named)
    if any(is_named for _, is_named in closed):
        return
    closed_tables = [t for t in (read_table(tx, spec.table) for spec in specs) if t is not None and t.unreadable]
    if closed_tables:
        yield from (of_closed_table(name, role, table) for table in closed_tables)
        return
    tables = read_tables(tx, layout)
    yield from _optional_tables(name, tables)
    yield from of_absent(name, absent_metrics(tables, has_redis=watched.context.store is not None))
    yield from _index(name, tx, tables)
    yield from _states(name, tx, tables)


def _optional_tables(name: str, tables: Tables) -> Iterator[Remark]:
    layout = tables.layout
    for spec, table in ((layout.queues, tables.queues), (layout.logs, tables.logs)):
        if spec is not None and table is None:
            yield Remark(
                name,
                f"there is no table {spec.table}",
                "nothing to do if you have none; null in `schema` says so",
            )


def _index(name: str, tx: Session, tables: Tables) -> Iterator[Remark]:
    if tables.reads_logs or not tables.follows_changes:
        return
    if not finds_changes(tx, tables):
        spec = tables.layout.jobs
        yield Remark(
            name,
            f"no index finds what changed in {spec.table}: each look reads the whole table, so that depth and counters"
            " are as old as the budget makes them",
            f"ask the table's owner for: create index concurrently on {spec.table} ({spec.status}, {spec.changed});",
        )


def _states(name: str, tx: Session, tables: Tables) -> Iterator[Remark]:
    """States that the planner's statistics know of and the layout does not."""
    rows = tx.rows(
        "select most_common_vals::text::text[] from pg_stats s join pg_class c on c.relname = s.tablename"
        " join pg_namespace n on n.oid = c.relnamespace and n.nspname = s.schemaname"
        " where c.oid = %(oid)s::oid and s.attname = %(column)s",
        {"oid": tables.jobs.oid, "column": tables.layout.jobs.status},
    )
    for (values,) in rows:
        unknown = sorted(v for v in values or [] if tables.layout.states.meaning(v) is None)
        if unknown:
            shown = ", ".join(repr(value) for value in unknown)
            yield Remark(name, f"jobs in these states are not counted: {shown}", "map them under `schema.states`")


def _redis(watched: Watched, run: Run) -> Iterator[Remark]:
    store, name = watched.context.store, watched.context.name
    if store is None:
        return
    try:
        answers = store.ask(run, REDIS_COMMANDS)
    except SampleFailed as failure:
        yield Remark(name, failure.message, failure.advice, fatal=True)
        return
    for command, answer in zip(REDIS_COMMANDS, answers, strict=True):
        if isinstance(answer, Exception) and "NOPERM" in f"{type(answer).__name__} {answer}".upper().replace(
            "NOPERMISSIONERROR", "NOPERM"
        ):
            yield Remark(
                name,
                f"the Redis user may not run {command[0]} on {command[1]}",
                "ACL SETUSER … ~queue:* ~job:* ~worker:* ~workers:active ~deadletter:queue +@read +info +ping",
            )
