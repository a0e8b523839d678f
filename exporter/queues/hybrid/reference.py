"""This kind's chapters of docs/configuration.md and docs/metrics.md: prose beside it, tables from its code."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from exporter.queues.guide import Guide
from exporter.queues.hybrid.capabilities import absent_metrics
from exporter.queues.hybrid.layout import PRESETS, JobsTable, Layout
from exporter.queues.hybrid.tables import Tables
from exporter.queues.reading.tables import ColumnType, Table

_TIMES = ("created", "run_at", "started", "completed", "failed", "changed")


def guide() -> Guide:
    """Both chapters, filled in."""
    return Guide(
        configuration=_read("configuration.md").replace("<!-- presets -->", _presets()),
        metrics=_read("metrics.md")
        .replace("<!-- columns -->", _columns())
        .replace("<!-- redis -->", _listed(_absent(Layout(), has_redis=False)))
        .replace("<!-- basic -->", _listed(_absent(Layout.model_validate("basic")))),
    )


def _read(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8").strip("\n")


def _presets() -> str:
    layouts = {name: Layout.model_validate(name).model_dump() for name in PRESETS}
    sections = list(Layout.model_fields)[1:]
    lines = [("key", *map(_code, layouts)), ("---",) * (1 + len(layouts))]
    for section in sections:
        rows = [layout[section] for layout in layouts.values()]
        keys = dict.fromkeys(key for row in rows if row for key in row)
        lines += [(f"`{section}.{key}`", *(_value(row, key) for row in rows)) for key in keys]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _code(text: str) -> str:
    return f"`{text}`"


def _value(section: dict[str, Any] | None, key: str) -> str:
    if section is None:
        return "no such table"
    value = section[key]
    if isinstance(value, tuple):
        return ", ".join(map(_code, value)) or "none"
    return "`null`" if value is None else _code(value)


def _columns() -> str:
    lines = ["| no column for | missing |", "| --- | --- |"]
    for name, field in JobsTable.model_fields.items():
        if field.is_required() or name in ("table", "id", "queue", "status"):
            continue
        absent = _absent(Layout.model_validate({"jobs": {name: None}}))
        lines.append(f"| `{name}` | {_listed(absent)} |")
    return "\n".join(lines)


def _listed(metrics: dict[str, str]) -> str:
    return ", ".join(map(_code, metrics)) or "none"


def _absent(layout: Layout, *, has_redis: bool = True) -> dict[str, str]:
    """What tables that hold every column of a layout cannot tell."""
    return absent_metrics(_tables(layout), has_redis=has_redis)


def _tables(layout: Layout) -> Tables:
    text, number = ColumnType("text", "text", None), ColumnType("int8", "bigint", None)
    time = ColumnType("timestamptz", "timestamp with time zone", None)
    columns = {
        column: time if key in _TIMES else number if key in ("id", "priority", "attempts") else text
        for key, column in layout.jobs
        if column is not None and key != "table"
    }
    jobs = Table(layout.jobs.table, 0, "r", columns)
    queues = logs = None
    if layout.queues:
        queues = Table(layout.queues.table, 0, "r", {layout.queues.name: text, layout.queues.active or "": text})
    if layout.logs:
        logs = Table(layout.logs.table, 0, "r", {layout.logs.id: number, layout.logs.status: text})
    return Tables(layout, jobs, queues, logs)
