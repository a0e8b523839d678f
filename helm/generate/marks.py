"""What an annotation demands of a value, as keywords of JSON Schema.

Patterns hold in Go's RE2 as well, which both generations of Helm use: no look-around.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic.fields import FieldInfo

from chassis.shape import Shape
from chassis.units import Unit

Keywords = dict[str, Any]
VARIABLE = r"\$\{"  # of the environment, put in when the daemon reads the file
_N = r"[0-9]+(?:\.[0-9]+)?"
_UNITS = "".join(f"(?:{_N}{unit})?" for unit in ("w", "d", "h", "m", "s", "ms"))
_QUANTITIES = {
    "duration": rf"0|{_UNITS}",
    "percentage": r"(?:100(?:\.0+)?|[0-9]{1,2}(?:\.[0-9]+)?) ?%|0?\.[0-9]+|[01]",
    "size": rf"[0-9]+|{_N} ?(?:B|[kK]B|[MGT]B|[KMGT]iB)",
}


def text(pattern: str) -> str:
    """`pattern` for the whole value, or anything with a variable in it."""
    return f"^(?:{pattern})$|{VARIABLE}"


def flat(marks: tuple[Any, ...]) -> Iterator[Any]:
    """The marks, with those that a `Field(...)` among them holds."""
    for mark in marks:
        if isinstance(mark, FieldInfo):
            yield from mark.metadata
        else:
            yield mark


def limits(shape: Shape, names: dict[str, str]) -> Keywords:
    """The marks' attributes in `names` as keywords: `{"ge": "minimum"}`."""
    found: Keywords = {}
    for mark in flat(shape.marks):
        for name, keyword in names.items():
            value = getattr(mark, name, None)
            if value is not None and not callable(value):
                found[keyword] = value
    return found


def quantity(unit: Unit) -> Keywords:
    """A duration, a size or a share, within what a schema can say of its bounds."""
    pattern = _QUANTITIES[unit.name]
    if unit.name == "duration":
        keywords: Keywords = {"type": ["string"], "minLength": 1, "pattern": text(pattern)}
        if not unit.min:
            keywords |= {"type": ["string", "number"], "minimum": 0, "maximum": 0}
        return keywords
    kind = "integer" if unit.name == "size" else "number"
    least, most = unit.min or 0, unit.max if unit.max is not None else (1 if unit.name == "percentage" else None)
    keywords = {"type": ["string", kind], "minLength": 1, "pattern": text(pattern), "minimum": least}
    return keywords if most is None else {**keywords, "maximum": most}


NUMBERS = {
    "ge": "minimum",
    "le": "maximum",
    "gt": "exclusiveMinimum",
    "lt": "exclusiveMaximum",
    "multiple_of": "multipleOf",
}
STRINGS = {"min_length": "minLength", "max_length": "maxLength", "pattern": "pattern"}
ARRAYS = {"min_length": "minItems", "max_length": "maxItems"}
