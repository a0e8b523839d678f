"""pg-boss' tables as they are: its schema's version, and the queries for it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from types import MappingProxyType

from psycopg import sql

from exporter.clients.session import Session
from exporter.model import Reason, SampleFailed
from exporter.queues.reading.tables import Table, hashed, quoted, read_blocks, read_table

BLOCKS = read_blocks(__package__, "pgboss.sql")
OLDEST = 21  # the first schema of pg-boss 10
NEWEST = 46  # of pg-boss 12.38, the newest that this was tested with

COLUMNS = ("id", "name", "priority", "state", "retry_count", "start_after", "created_on", "started_on",
           "completed_on", "keep_until", "output")  # fmt: skip
STATES = ("created", "retry", "active", "completed", "cancelled", "failed")
MEANINGS: Mapping[str | None, str] = MappingProxyType(
    {
        None: "completed",
        "created": "waiting",
        "retry": "waiting",
        "active": "active",
        "completed": "completed",
        "cancelled": "cancelled",
        "failed": "failed",
        "expired": "expired",
        "blocked": "held",
    }
)
# What pg-boss writes when it ends an attempt itself: by its time limit, by its worker's heartbeat, in its worker.
TIMED_OUT = "^(job timed out|job failed by timeout in active state|job heartbeat timeout|handler execution exceeded)"
# When pg-boss takes an attempt for lost: by its job's time limit, kept as either, or for want of a heartbeat. Those
# come so often that only one which is missing already tells anything.
EXPIRIES = {"expire_seconds": "started_on + expire_seconds * interval '1 s'", "expire_in": "started_on + expire_in"}
BEAT = "heartbeat_on + heartbeat_seconds * interval '1 s'"
CLASS = "case when priority > 0 then 0 when priority = 0 then 1 else 2 end"


def priority_class(number: int) -> str:
    """Class of a priority where higher runs first: above 0 high, 0 normal, below low."""
    return "high" if number > 0 else "low" if number < 0 else "normal"


class FoundBy(Enum):
    """Which indexes tell a look what happened."""

    OWN = auto()  # pg-boss' own, from schema 46 on
    END = auto()  # one on the end, that somebody added
    NONE = auto()


# What stands for a block.
_BLOCKS_BY: dict[FoundBy, dict[str, str]] = {
    FoundBy.OWN: {},
    FoundBy.END: {"changes": "changes_by_end", "failed": "failed_of_all"},
    FoundBy.NONE: {"changes": "changes_of_all", "failed": "failed_of_all"},
}


class Tables:
    """The tables of one pg-boss, and the queries for them; a `Readable`."""

    meanings = MEANINGS
    keeps_ends = True
    shows_xmin = True

    def __init__(self, schema: str, version: int, jobs: Table, archive: Table | None, found_by: FoundBy) -> None:
        self.schema = schema
        self.version = version
        self.jobs = jobs
        self.archive = archive
        self.found_by = found_by
        blocked = "blocked" in jobs.columns
        state = "nullif(case when blocked and state = 'created' then 'blocked' else state::text end, 'completed')"
        names: dict[str, sql.Composable] = {
            "jobs": jobs.identifier,
            "queue": sql.Identifier(schema, "queue"),
            "archive": sql.Identifier(schema, "archive"),
            "job": hashed(sql.Identifier("id"), jobs.columns["id"]),
            "class": sql.SQL(CLASS),
            "late_at": sql.SQL(_late_at(jobs)),
            "state": sql.SQL(state if blocked else "nullif(state::text, 'completed')"),
            "timed_out": sql.Literal(TIMED_OUT),
            "not_blocked": sql.SQL("and not blocked" if blocked else ""),
            "attempts": sql.SQL(BLOCKS["attempts"]),
            "older": sql.SQL(""),
        }
        names["of_queues"] = sql.SQL("name = any(array(select name from {queue}))").format(**names)
        names["of_active"] = {
            FoundBy.OWN: sql.SQL("{of_queues} and").format(**names),
            FoundBy.END: sql.SQL("completed_on is null and"),
            FoundBy.NONE: sql.SQL(""),
        }[found_by]
        names["error"] = sql.SQL(BLOCKS["error"]).format(**names)
        names["columns"] = sql.SQL(BLOCKS["columns"]).format(**names)
        self._names = names

    @property
    def indexed(self) -> bool:
        """Whether a look costs what happened, not what there is."""
        return self.found_by is not FoundBy.NONE

    @property
    def names(self) -> tuple[str | None, ...]:
        """As `Readable.names`."""
        return quoted(self.schema, "job"), quoted(self.schema, "archive")

    @property
    def oids(self) -> tuple[int | None, ...]:
        """As `Readable.oids`."""
        return self.jobs.oid, self.archive.oid if self.archive else None

    @property
    def read_by(self) -> tuple[int | None, ...]:
        """As `Readable.read_by`."""
        return (self.jobs.oid,)

    def query(self, name: str, **more: sql.Composable) -> sql.Composed:
        """As `Readable.query`."""
        names = {**self._names, **more}
        names["archived"] = sql.SQL(BLOCKS["archived"] if self.archive else "").format(**names)
        return sql.SQL(BLOCKS[_BLOCKS_BY[self.found_by].get(name, name)]).format(**names)


def _late_at(jobs: Table) -> str:
    limit = next((text for column, text in EXPIRIES.items() if column in jobs.columns), "null::timestamptz")
    if not {"heartbeat_on", "heartbeat_seconds"} <= jobs.columns.keys():
        return limit
    return f"case when {BEAT} < now() then {BEAT} else {limit} end"


def read_tables(tx: Session, schema: str) -> Tables:
    """The tables of the pg-boss in `schema`. Raises SampleFailed if there is none, or none that is understood."""
    found = {name: read_table(tx, quoted(schema, name)) for name in ("version", "queue", "job", "archive")}
    for name in ("version", "queue", "job"):
        if found[name] is None:
            raise SampleFailed(
                Reason.MISSING,
                f"there is no table {schema}.{name}, or the role may not use its schema",
                "check `schema_name` in the configuration; `postwatch-exporter check --connect` tells more",
            )
    (version,) = tx.row(sql.SQL(BLOCKS["version"]).format(version=sql.Identifier(schema, "version")))
    version = version or 0
    jobs, archive = found["job"], found["archive"]
    if jobs is None:  # said above, but not to the type checker
        raise AssertionError
    _understand(schema, version, jobs)
    own, added = tx.row(BLOCKS["indexes"], {"jobs": jobs.oid})
    found_by = FoundBy.OWN if own else FoundBy.END if added else FoundBy.NONE
    return Tables(schema, version, jobs, archive, found_by)


def _understand(schema: str, version: int, jobs: Table) -> None:
    """Raise if these are tables that nothing here was written for."""
    if version < OLDEST:
        raise SampleFailed(
            Reason.MISMATCH,
            f"{schema} has schema version {version}, of pg-boss 9 or older; understood are {OLDEST} and later",
            "upgrade pg-boss to 10 or later",
        )
    missing = [name for name in COLUMNS if name not in jobs.columns]
    newer = f", of schema version {version}, newer than {NEWEST}," if version > NEWEST else ""
    if missing:
        raise SampleFailed(
            Reason.MISSING,
            f"table {schema}.job{newer} has no column {', '.join(missing)}",
            "upgrade Postwatch" if newer else "",
        )
    states = jobs.columns["state"].labels or ()
    if tuple(one for one in states if one in STATES) != STATES:
        raise SampleFailed(
            Reason.MISMATCH,
            f"the states of {schema}.job{newer} are {', '.join(states) or 'no enum'}; expected {', '.join(STATES)}",
            "upgrade Postwatch" if newer else "",
        )


def unknown_states(tables: Tables) -> list[str]:
    """States that are not counted, since nobody knows here what they mean."""
    return [one for one in tables.jobs.columns["state"].labels or () if one not in STATES]
