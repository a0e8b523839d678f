"""`check --connect` for pgmq: rights, tables, columns, and what cannot be told."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from psycopg import sql

from exporter.clients.session import Session
from exporter.jobs.transactions import Activity
from exporter.model import Remark, SampleFailed
from exporter.queues.pgmq.capabilities import absent_metrics
from exporter.queues.pgmq.listing import BLOCKS, Listed, Listing
from exporter.queues.pgmq.source import Watched
from exporter.queues.pgmq.tracking import TrackingOptions, read_tracking
from exporter.queues.reading.remarks import closed_schemas, examined, of_absent, of_closed_schema, of_closed_table
from exporter.queues.reading.tables import read_table, split_name
from exporter.sampling.sampler import Run

MOST = 5  # queues that one remark names


def examine(watched: Watched, tracking: TrackingOptions | None, run: Run) -> list[Remark]:
    """All that a user should know of a source before relying on it."""
    return list(examined(watched.context, run, partial(_examine, watched.context.name, tracking)))


def _examine(
    name: str, tracking: TrackingOptions | None, tx: Session, role: str, activity: Activity
) -> Iterator[Remark]:
    closed = closed_schemas(tx, [("pgmq", "meta")])
    if closed:
        yield from (of_closed_schema(name, role, schema, fatal=True) for schema, _ in closed)
        return
    meta = read_table(tx, "pgmq.meta")
    if meta is None:
        advice = "name the database that has pgmq, or create the extension there"
        yield Remark(name, "there is no table pgmq.meta", advice, fatal=True)
        return
    if meta.unreadable:
        yield of_closed_table(name, role, meta)
        return
    listed = Listing().read(tx, standby=activity.in_recovery)
    yield from _of_queues(name, role, tx, listed, standby=activity.in_recovery)
    columns = None
    if tracking is not None:
        found = list(_of_tracking(name, role, tx, tracking))
        yield from found
        if not any(remark.fatal for remark in found):
            columns = read_tracking(tx, tracking).columns
    absent = absent_metrics(
        tracked=columns,
        tells_reads=any(one.tells_reads for one in listed) or not listed,
        dead_letters=any(one.base_name for one in listed),
    )
    yield from of_absent(name, absent)


def _of_queues(name: str, role: str, tx: Session, listed: list[Listed], *, standby: bool) -> Iterator[Remark]:
    if not listed:
        yield Remark(name, "pgmq has no queues yet")
    unreadable = [one for one in listed if one.table and not one.readable and one.problem(standby=standby)]
    if unreadable:
        yield Remark(
            name,
            f"the role may not read {_some([f'pgmq.{one.table}' for one in unreadable])}; these queues are not sampled",
            f"grant select on all tables in schema pgmq to {role};",
            fatal=len(unreadable) == len(listed),
        )
    for one in listed:
        problem = one.problem(standby=standby)
        if problem is not None and one not in unreadable:
            yield Remark(name, problem.message, problem.advice)
    sound = [one for one in listed if one.problem(standby=standby) is None]
    unnumbered = [one.name for one in sound if one.allocated is None]
    if unnumbered and not standby:
        yield Remark(
            name,
            f"the role may not read the sequences of {_some(unnumbered)}: messages that come and go between two looks"
            " are not counted",
            f"grant select on all sequences in schema pgmq to {role};",
        )
    no_archive = [one.name for one in sound if one.archive and not one.seek_archive]
    if no_archive:
        yield Remark(
            name,
            f"the archives of {_some(no_archive)} cannot be read by an index on archived_at: retries of archived"
            " messages may be missed, and when messages last ended is known to one interval",
        )
    doubled = [row[0] for row in tx.rows(sql.SQL(BLOCKS["doubled"]))]
    if doubled:
        yield Remark(name, f"queues that differ by case alone share their tables, and are one queue: {_some(doubled)}")


def _of_tracking(name: str, role: str, tx: Session, options: TrackingOptions) -> Iterator[Remark]:
    for schema, is_named in closed_schemas(tx, [split_name(options.table)]):
        yield of_closed_schema(name, role, schema, fatal=is_named)
        if is_named:
            return
    table = read_table(tx, options.table)
    if table is not None and table.unreadable:
        yield of_closed_table(name, role, table)
        return
    try:
        found = read_tracking(tx, options)
    except SampleFailed as failure:
        yield Remark(name, failure.message, failure.advice, fatal=True)
        return
    missing = found.unindexed(tx)
    if missing:
        yield Remark(
            name,
            f"no index finds what changed in {options.table} by {', '.join(missing)}: counters are as old as the budget"
            " makes them",
            "ask the table's owner for: create index concurrently on"
            f" {options.table} ({options.completed}, {options.failed}, {options.started or options.enqueued});",
        )


def _some(names: list[str]) -> str:
    more = len(names) - MOST
    return ", ".join(names[:MOST]) + (f" and {more} more" if more > 0 else "")
