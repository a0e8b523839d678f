"""Definitions of Kubernetes' own objects, for values that are parts of them. Field descriptions are left out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Any

VERSION = "1.37"
_REFERENCE = "#/$defs/"
# Objects that hold themselves, or that no pod of ours needs: open, since their definitions are long.
_KEPT = ("type", "properties", "additionalProperties", "items", "required", "enum", "oneOf", "format", "$ref")


@cache
def _all() -> dict[str, Any]:
    """All definitions of that version, closed to unknown keys."""
    folder = files("kubernetes_validate") / "kubernetes-json-schema" / f"v{VERSION}.0-local-strict"
    definitions: dict[str, Any] = json.loads((folder / "_definitions.json").read_text(encoding="utf-8"))["$defs"]
    return definitions


def definitions(names: Iterable[str]) -> dict[str, Any]:
    """Those of `names`, with all that they refer to."""
    found: dict[str, Any] = {}
    todo = list(names)
    while todo:
        name = todo.pop()
        if name in found:
            continue
        found[name] = _plain(_all()[name])
        todo += re.findall(r'"#/definitions/([^"]+)"', json.dumps(found[name]))
    return found


def _plain(schema: Any) -> Any:
    """The schema as draft-07, without words."""
    if not isinstance(schema, dict):
        return schema
    made: dict[str, Any] = {}
    for key, value in schema.items():
        if key not in _KEPT:
            continue
        if key == "$ref":
            return {"$ref": f"#/definitions/{value.rpartition(_REFERENCE)[2]}"}
        if key == "properties":
            made[key] = {name: _plain(each) for name, each in value.items()}
        elif key == "oneOf":
            # A quantity, or a port: a number or a text.
            made["type"] = sorted({kind for each in value for kind in each["type"]})
        elif isinstance(value, dict):
            made[key] = _plain(value)
        elif key != "format":
            made[key] = value
    return made
