"""Rows of both known layouts, written as a platform writes them; times are seconds from now."""

import json
from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg import sql

Owner = psycopg.Connection[tuple[Any, ...]]
TIMES = ("run_at", "started", "completed", "failed", "created", "updated", "created_at", "updated_at",
         "started_at", "finished_at")  # fmt: skip


def add(owner: Owner, table: str = "jobs", count: int = 1, **columns: Any) -> list[Any]:
    """Inserts `count` equal rows, payloads included; answers their ids. Times are seconds from now."""
    if table == "jobs":
        columns.setdefault("payload", "{}")
    names = [sql.Identifier(name) for name in columns]
    rows = owner.execute(
        sql.SQL("insert into {} ({}) select {} from generate_series(1, {}) returning id").format(
            sql.Identifier(*table.split(".")),
            sql.SQL(", ").join(names),
            sql.SQL(", ").join(_value(name, value) for name, value in columns.items()),
            sql.Literal(count),
        )
    ).fetchall()
    return [row[0] for row in rows]


def change(owner: Owner, ids: list[Any], table: str = "jobs", **columns: Any) -> None:
    """Updates rows, their `updated` or `updated_at` too if it is given."""
    owner.execute(
        sql.SQL("update {} set {} where id = any(%s)").format(
            sql.Identifier(*table.split(".")),
            sql.SQL(", ").join(
                sql.SQL("{} = {}").format(sql.Identifier(name), _value(name, value)) for name, value in columns.items()
            ),
        ),
        [ids],
    )


def _value(name: str, value: Any) -> sql.Composable:
    if name in TIMES and isinstance(value, int | float):
        return sql.SQL("clock_timestamp() + {} * interval '1 second'").format(sql.Literal(value))
    return sql.Literal(value)


def queues(owner: Owner, *names: str, **columns: Any) -> None:
    """Makes queues known."""
    for name in names:
        given = {"name": name, **columns}
        owner.execute(
            sql.SQL("insert into job_queues ({}) values ({})").format(
                sql.SQL(", ").join(map(sql.Identifier, given)), sql.SQL(", ").join(map(sql.Literal, given.values()))
            )
        )


def element(job: Any, **more: Any) -> str:
    """An element of a Redis list."""
    return json.dumps({"id": str(job), **more})


def epoch(owner: Owner, query: str, parameters: Mapping[str, Any] | None = None) -> float:
    """A moment in the database as epoch seconds."""
    row = owner.execute(f"select extract(epoch from ({query}))::float8".encode(), parameters).fetchone()
    assert row is not None
    return float(row[0])
