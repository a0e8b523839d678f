"""Many rows at a time, by the way that is fastest in each database; SQLAlchemy's own costs as much as all the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.engine import Connection

_FEW = 20  # rows for which COPY's messages back and forth are not worth while


def insert(connection: Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Puts rows in; all name the same columns, and the values are None, bool, int, float or str themselves."""
    if not rows:
        return
    names = list(rows[0])
    pick = itemgetter(*names)
    columns = ", ".join(names)
    driver = connection.connection.driver_connection
    if isinstance(driver, psycopg.Connection) and len(rows) > _FEW:
        with driver.cursor() as cursor, cursor.copy(f"COPY {table.name} ({columns}) FROM STDIN".encode()) as copy:
            for row in rows:
                copy.write_row(pick(row))
        return
    mark = "%s" if isinstance(driver, psycopg.Connection) else "?"
    marks = ", ".join([mark] * len(names))
    # Names of tables and columns are the schema's own.
    connection.exec_driver_sql(f"INSERT INTO {table.name} ({columns}) VALUES ({marks})", [*map(pick, rows)])  # noqa: S608


def update(connection: Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Changes rows, each by its `id`; all name the same columns, and the values are as for `insert`."""
    if not rows:
        return
    names = [name for name in rows[0] if name != "id"]
    pick = itemgetter(*names, "id")
    driver = connection.connection.driver_connection
    if not isinstance(driver, psycopg.Connection):
        changes = ", ".join(f"{name} = ?" for name in names)
        connection.exec_driver_sql(f"UPDATE {table.name} SET {changes} WHERE id = ?", [*map(pick, rows)])  # noqa: S608
        return
    changes = ", ".join(f"{name} = new.{name}" for name in names)
    arrays = ", ".join(f"%s::{table.c[name].type.compile(connection.dialect)}[]" for name in (*names, "id"))
    columns = ", ".join((*names, "id"))
    statement = (
        f"UPDATE {table.name} SET {changes} FROM unnest({arrays}) AS new ({columns})"  # noqa: S608
        f" WHERE {table.name}.id = new.id"
    )
    connection.exec_driver_sql(statement, tuple(map(list, zip(*map(pick, rows), strict=True))))


def reserve(connection: Connection, table: sa.Table, count: int) -> Sequence[int]:
    """Ids for the next `count` rows of `table`, upwards; in a transaction that nobody writes beside (`Store.write`)."""
    if connection.dialect.name == "sqlite":
        last = connection.execute(sa.select(sa.func.coalesce(sa.func.max(table.c.id), 0))).scalar_one()
        return range(last + 1, last + 1 + count)
    sequence = sa.func.pg_get_serial_sequence(table.name, "id")
    numbers = sa.func.generate_series(1, count).table_valued("number")
    return connection.execute(sa.select(sa.func.nextval(sequence)).select_from(numbers)).scalars().all()
