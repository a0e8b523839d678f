"""The table of values in the chart's README."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from chassis.shape import Shape, fields, join

_ELSEWHERE = {"config"}  # configuration files have pages of their own
_LONG = 60


def table(model: type[BaseModel], defaults: dict[str, Any]) -> str:
    """Markdown: each key with its default in values.yaml and its meaning."""
    rows = ["| key | default | meaning |", "| --- | --- | --- |"]
    for path, default, meaning in _rows(model, defaults, ""):
        rows.append(f"| `{path}` | {default} | {meaning} |")
    return "\n".join(rows).replace("||", "|") + "\n"


def _rows(model: type[BaseModel], given: Any, path: str) -> Iterator[tuple[str, str, str]]:
    for (name, shape), field in zip(fields(model), model.model_fields.values(), strict=True):
        below = join(path, name)
        inside = _model(shape)
        value = given.get(name) if isinstance(given, dict) else None
        if inside and name not in _ELSEWHERE and isinstance(value, dict) and value:
            yield from _rows(inside, value, below)
        else:
            yield below, _shown(name, value), field.description or ""


def _model(shape: Shape) -> type[BaseModel] | None:
    members = shape.members
    return members[0].model if len(members) == 1 else None


def _shown(name: str, value: Any) -> str:
    if name in _ELSEWHERE:
        return "see values.yaml" if value else "`{}`"
    text = json.dumps(value, ensure_ascii=False)
    return f"`{text}`" if len(text) <= _LONG else "see values.yaml"
