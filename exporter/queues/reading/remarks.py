"""What `check --connect` says of any table of jobs: rights, and what the server lets its role see."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from exporter.clients.session import Session
from exporter.jobs.transactions import Activity
from exporter.model import Remark
from exporter.queues.reading.tables import Table


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
