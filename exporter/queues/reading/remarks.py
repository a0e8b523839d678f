"""What `check --connect` says of any table of jobs: rights, and what the server lets its role see."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from exporter.clients.session import Session
from exporter.jobs.transactions import ACTIVITY, Activity, read_activity
from exporter.model import Remark, SampleFailed
from exporter.queues.base import SourceContext
from exporter.queues.reading.tables import Table
from exporter.sampling.sampler import Run


def examined(
    context: SourceContext,
    run: Run,
    examine: Callable[[Session, str, Activity], Iterator[Remark]],
    avoid: Sequence[str] = (),
) -> Iterator[Remark]:
    """What the server hides, then what `examine` finds in a transaction, given the role and who else is there.

    What fails on the way is the last remark, and fatal.
    """
    try:
        with context.database.session(run, "exact") as tx:
            activity = read_activity(tx.row(ACTIVITY))
            tx.begin(avoid)
            (role,) = tx.row("select quote_ident(current_user)")
            yield from of_server(context.name, role, activity)
            yield from examine(tx, role, activity)
    except SampleFailed as failure:
        yield Remark(context.name, failure.message, failure.advice, fatal=True)


def of_server(name: str, role: str, activity: Activity) -> Iterator[Remark]:
    """What the role or the server's part hides."""
    if not activity.sees_all:
        yield Remark(
            name,
            "the role does not see other sessions, so that jobs whose transactions stay open for long may be missed",
            f"grant pg_monitor to {role};",
        )
    if activity.in_recovery:
        yield Remark(name, "this is a standby: what it shows is as late as its replay")


def closed_schemas(tx: Session, names: Sequence[tuple[str, ...]]) -> list[tuple[str, bool]]:
    """Schemas closed to the role that hold tables of these names, and whether the names themselves name it."""
    return tx.rows(
        "select distinct quote_ident(n.nspname), wanted.schema is not null"
        " from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        " join unnest(%(schemas)s::text[], %(tables)s::text[]) as wanted (schema, name)"
        " on c.relname = wanted.name and n.nspname = coalesce(wanted.schema, n.nspname)"
        " where c.relkind in ('r', 'p', 'v', 'm', 'f') and not has_schema_privilege(n.oid, 'usage')"
        " and (wanted.schema is not null or to_regclass(quote_ident(wanted.name)) is null)",
        {"schemas": [name[0] if len(name) > 1 else None for name in names], "tables": [name[-1] for name in names]},
    )


def of_closed_schema(name: str, role: str, schema: str, *, fatal: bool) -> Remark:
    """The role may not use a schema."""
    return Remark(
        name,
        f"the role may not use the schema {schema}, which has such a table",
        f"grant usage on schema {schema} to {role};",
        fatal=fatal,
    )


def of_closed_table(name: str, role: str, table: Table) -> Remark:
    """The role may not read a table."""
    return Remark(name, f"the role may not read {table.name}", f"grant select on {table.name} to {role};", fatal=True)


def of_absent(name: str, absent: dict[str, str]) -> Iterator[Remark]:
    """Metrics that will be missing, together for each reason."""
    for why in dict.fromkeys(absent.values()):
        missing = ", ".join(metric for metric, reason in absent.items() if reason == why)
        yield Remark(name, f"{why}; these metrics will be missing: {missing}")
