"""Tables as they are in a database, and what their readers ask of a system's own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Protocol

from psycopg import sql

from exporter.clients.session import Session

INTEGERS = ("int2", "int4", "int8")
TEXTS = ("text", "varchar", "bpchar", "name", "citext")
TIMES = ("timestamptz", "timestamp")

COLUMNS = """
select a.attname::text, t.typname::text, format_type(a.atttypid, null),
       case when t.typtype = 'e' then array(select enumlabel::text from pg_enum where enumtypid = t.oid) end,
       c.oid::int8, c.relkind::text, has_column_privilege(c.oid, a.attnum, 'select')
from pg_class as c
join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
join pg_type as t on t.oid = a.atttypid
where c.oid = to_regclass(%(table)s)
"""


def read_blocks(package: str, name: str) -> dict[str, str]:
    """The named blocks of an SQL file beside a package's code: `-- name: counts` begins one."""
    text = files(package).joinpath(name).read_text(encoding="utf-8")
    blocks = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)
    return {name: body.strip() for name, body in zip(blocks[1::2], blocks[2::2], strict=True)}


def split_name(name: str) -> tuple[str, ...]:
    """Parts of a table's name as SQL writes it: `jobs`, `app.jobs`, `"App"."Jobs"`. ValueError if it is none."""
    parts: list[str] = []
    rest = name.strip()
    while True:
        if rest.startswith('"'):
            end = rest.replace('""', "  ").find('"', 1)
            if end < 2:
                parts = []
                break
            parts.append(rest[1:end].replace('""', '"'))
            rest = rest[end + 1 :]
        else:
            part, dot, tail = rest.partition(".")
            parts.append(part.strip().lower())
            rest = dot + tail
        if not rest:
            break
        if not rest.startswith("."):
            parts = []
            break
        rest = rest[1:]
    if not 1 <= len(parts) <= 2 or not all(parts):
        raise ValueError(f"{name!r} is no name of a table; write e.g. jobs, app.jobs")
    return tuple(parts)


def quoted(*parts: str) -> str:
    """A name in double quotes, as `to_regclass` and `split_name` take it whatever its letters are."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts)


def regclass(name: str) -> str:
    """A table's name as `to_regclass` takes it."""
    return quoted(*split_name(name))


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

    @property
    def shows_xmin(self) -> bool:
        """Whether its rows tell which transaction wrote them; those of a view do not."""
        return self.kind in "rp"


def read_table(tx: Session, name: str) -> Table | None:
    """The table called `name`; None if there is none that the role can see."""
    rows = tx.rows(COLUMNS, {"table": regclass(name)})
    if not rows:
        return None
    columns = {
        column: ColumnType(typname, shown, None if labels is None else tuple(labels))
        for column, typname, shown, labels, *_ in rows
    }
    unreadable = frozenset(row[0] for row in rows if not row[6])
    return Table(name, rows[0][4], rows[0][5], columns, unreadable)


def excerpt(column: sql.Composable) -> sql.Composed:
    """Enough of an error to name its class: its start, of a Python traceback its end."""
    return sql.SQL(
        "case when {0} like 'Traceback %%' then 'Traceback ' || right({0}, 400) else left({0}, 300) end"
    ).format(column)


def array(values: Iterable[str], kind: ColumnType) -> sql.Composed:
    """An array of states, of the column's own type where that is an enum, so that indexes serve."""
    known = [value for value in values if kind.labels is None or value in kind.labels]
    inside = ",".join('"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' for value in known)
    kind_sql = f"{kind.sql}[]" if kind.labels is not None else "text[]"
    return sql.SQL("{}::" + kind_sql).format(sql.Literal("{" + inside + "}"))  # the server's own name of the type


def hashed(column: sql.Composable, kind: ColumnType) -> sql.Composed:
    """A job's id as a signed 64-bit number: itself, or a hash of it."""
    if kind.name in INTEGERS:
        return sql.SQL("{}::int8").format(column)
    if kind.name == "uuid":
        return sql.SQL("uuid_hash_extended({}, 0)").format(column)
    return sql.SQL("hashtextextended({}::text, 0)").format(column)


class Readable(Protocol):
    """The tables of a source, and the queries for them; `Watched`, `ByTime` and the samplers ask for no more.

    Blocks and what their rows are. {job}: a 64-bit number for the job; times as timestamptz; `priority`: a number or
    null; `index`: into the classes high, normal, low, or null.

    - `changes` (low, high, {older}): job, queue, priority, state, attempts, created, ready, started, ended, changed,
      worker, error; null is for the most usual value: the state `meanings[None]`, one attempt, ready when created.
      Of each job that was created, started or ended, or whose attempt failed, from `low` to below `high`.
    - `active`: job, queue, priority, started, worker of all jobs that run; after it may come from when on the system
      itself takes the attempt for lost.
    - `counts`: queue, index, handed over, due, count, oldest ready, of jobs that have not ended and do not run;
      `due` is null for those that wait.
    - `failed`: queue, index, count of the failed jobs that are stored; after it may come when a job last ended.
    """

    @property
    def names(self) -> tuple[str | None, ...]:
        """The tables that reading stands on, as `to_regclass` takes them."""

    @property
    def oids(self) -> tuple[int | None, ...]:
        """What these names stood for when the tables were read."""

    @property
    def read_by(self) -> tuple[int | None, ...]:
        """The tables that are followed; where reading stands means nothing in others."""

    @property
    def meanings(self) -> Mapping[str | None, str]:
        """`waiting`, `handed_over`, `active` or an outcome, by state as `changes` has it."""

    @property
    def keeps_ends(self) -> bool:
        """Whether a column tells when a job ended."""

    @property
    def shows_xmin(self) -> bool:
        """Whether rows tell which transaction wrote them."""

    def query(self, name: str, **more: sql.Composable) -> sql.Composed:
        """A block of SQL for these tables."""
