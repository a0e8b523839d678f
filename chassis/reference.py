"""What a settings model allows, as data for a reference page."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, IPvAnyAddress
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from chassis.secrets import Secret, SecretUrl
from chassis.shape import Shape, join
from chassis.units import Unit, found

_WORDS: dict[Any, str] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    dict: "mapping",
    list: "list",
    IPvAnyAddress: "IP address",
}


@dataclass(frozen=True)
class Setting:
    """One line of a configuration reference. `default` is None if the key is required, '' if it is unset."""

    path: str
    type: str
    default: str | None
    doc: str


def describe(model: type[BaseModel]) -> list[Setting]:
    """Every key below `model`, in order: `list[].name`, `mapping.<key>.name`, `list[kind: http].url`."""
    return list(_describe(model, "", ()))


def _describe(model: type[BaseModel], path: str, above: tuple[type[BaseModel], ...]) -> Iterator[Setting]:
    if model in above:
        return  # a model within itself was described once
    for name, field in model.model_fields.items():
        below = join(path, field.alias or name)
        shape = Shape.of_field(field)
        yield Setting(below, words(shape), _default(field, shape), field.description or "")
        yield from _inside(shape, below, (*above, model))


def _inside(shape: Shape, path: str, above: tuple[type[BaseModel], ...]) -> Iterator[Setting]:
    key = shape.discriminator
    for member in shape.members:
        if member.model:
            tag = f"[{key}: {' or '.join(map(str, member.tags(key)))}]" if key else ""
            yield from _describe(member.model, (path.removesuffix("[]") if tag else path) + tag, above)
        elif member.value:
            yield from _inside(member.value, f"{path}.<key>", above)
        elif member.item:
            yield from _inside(member.item, f"{path}[]", above)


def words(shape: Shape) -> str:
    """What may stand at a key, in words."""
    return " or ".join(dict.fromkeys(_word(member) for member in shape.members))


def _word(shape: Shape) -> str:
    if unit := next((mark for mark in shape.marks if isinstance(mark, Unit)), None):
        return f"{unit.name}, {unit.bounds}" if unit.bounds else unit.name
    if shape.choices:
        return " or ".join(found(choice).strip("'") for choice in shape.choices)
    if shape.model:
        return "mapping"
    if isinstance(shape.kind, type) and issubclass(shape.kind, Secret):
        return "secret (here or in a file, with _file)"
    if shape.value:
        return f"mapping to {words(shape.value)}"
    if shape.item:
        return f"list of {words(shape.item)}"
    return _WORDS.get(shape.kind, getattr(shape.kind, "__name__", str(shape.kind)).lower()) + _bounds(shape)


def _bounds(shape: Shape) -> str:
    """The range that a number's marks allow, in words."""
    least = next((mark.ge for mark in shape.marks if hasattr(mark, "ge")), None)
    most = next((mark.le for mark in shape.marks if hasattr(mark, "le")), None)
    if least is not None and most is not None:
        return f", {least} to {most}"
    if least is not None:
        return f", {least} or more"
    return f", at most {most}" if most is not None else ""


def _default(field: FieldInfo, shape: Shape) -> str | None:
    if field.is_required():
        return None
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is None or value is PydanticUndefined or isinstance(value, BaseModel):
        return ""
    unit = next((mark for member in shape.members for mark in member.marks if isinstance(mark, Unit)), None)
    if unit and isinstance(value, int | float):
        return unit.show(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(_plain(each) for each in value)}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_plain(each)}" for key, each in value.items()) + "}"
    return _plain(value)


def _plain(value: object) -> str:
    if isinstance(value, SecretUrl):
        return value.safe
    return found(value).strip("'") if isinstance(value, str | bool | int | float) else str(value)
