"""JSON Schema, draft-07, of settings models: closed objects, every mistake with the path of its key.

A key that holds a secret may not do so here, since a ConfigMap is no place for one: it is given as `NAME_file`, as a
variable, or, for an address, without its password.
"""

from __future__ import annotations

import types
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from chassis.shape import Shape, fields
from chassis.units import Unit
from helm.generate.marks import ARRAYS, NUMBERS, STRINGS, VARIABLE, Keywords, flat, limits, quantity, text
from helm.generate.special import BY_FIELD, BY_KIND, SHORT, secret

_PATH: Keywords = {"type": "string", "minLength": 1, "description": "Path of a file that holds it."}


class Kubernetes:
    """Marks a value that is part of a Kubernetes object, by the name of its definition."""

    def __init__(self, definition: str) -> None:
        self.definition = definition


class Schemas:
    """Schemas of models; what they refer to gathers in `definitions`."""

    def __init__(self, *, variables: bool) -> None:
        """`variables`: whether scalars may be taken from the environment, as in configuration files."""
        self.definitions: dict[str, Keywords] = {}
        self.kubernetes: set[str] = set()
        self._variables = variables

    def reference(self, model: type[BaseModel]) -> Keywords:
        """The model, by reference."""
        name = f"{model.__module__}.{model.__qualname__}"
        if name not in self.definitions:
            self.definitions[name] = {}  # a model within itself ends here
            made = self.model(model)
            self.definitions[name] = SHORT[model](made) if model in SHORT else made
        return {"$ref": f"#/definitions/{name}"}

    def model(self, model: type[BaseModel]) -> Keywords:
        """The model itself: a closed object."""
        properties: Keywords = {}
        required: list[str] = []
        choices: list[Keywords] = []
        for (name, shape), (attribute, field) in zip(fields(model), model.model_fields.items(), strict=True):
            if held := secret(shape):
                properties[name] = _described(_nullable(held, field), field)
                properties[f"{name}_file"] = dict(_PATH)
                both = {"required": [name, f"{name}_file"]}
                either = [{"required": [name]}, {"required": [f"{name}_file"]}]
                choices.append({"oneOf": either} if field.is_required() else {"not": both})
                continue
            own = BY_FIELD.get((model, attribute)) or _nullable(self.shape(shape), field)
            properties[name] = _described(own, field)
            if field.is_required():
                required.append(name)
        made: Keywords = {"type": "object", "additionalProperties": False, "properties": properties}
        if required:
            made["required"] = required
        if choices:
            made["allOf"] = choices
        return made

    def shape(self, shape: Shape) -> Keywords:
        """Any value."""
        for mark in flat(shape.marks):
            if isinstance(mark, Kubernetes):
                self.kubernetes.add(mark.definition)
                return {"$ref": f"#/definitions/{mark.definition}"}
            if isinstance(mark, Unit):
                return quantity(mark)
        if shape.discriminator:
            return self._chosen(shape, shape.discriminator)
        members = shape.members
        if len(members) > 1:
            made = [self.shape(member) for member in members]
            if all(set(each) == {"type"} and isinstance(each["type"], str) for each in made):
                return {"type": [each["type"] for each in made]}
            return {"anyOf": made}
        return self._one(shape) if members[0].kind is shape.kind else self.shape(members[0])

    def _one(self, shape: Shape) -> Keywords:
        if shape.kind in BY_KIND:
            return dict(BY_KIND[shape.kind])
        if shape.model:
            return self.reference(shape.model)
        if shape.choices:
            enum: Keywords = {"enum": list(shape.choices)}
            return {"anyOf": [enum, {"type": "string", "pattern": VARIABLE}]} if self._variables else enum
        if value := shape.value:
            if held := secret(value):
                return {"type": "object", "patternProperties": {"_file$": _PATH}, "additionalProperties": held}
            inside = _or_null(self.shape(value)) if _takes_none(value.kind) else self.shape(value)
            mapping: Keywords = {"type": "object", "additionalProperties": inside}
            if keys := limits(Shape.of(get_args(shape.kind)[0]), STRINGS):
                mapping["propertyNames"] = keys
            return mapping
        if item := shape.item:
            return {"type": "array", "items": self.shape(item), **limits(shape, ARRAYS)}
        return self._scalar(shape)

    def _scalar(self, shape: Shape) -> Keywords:
        if shape.kind in (int, float):
            kind = "integer" if shape.kind is int else "number"
            number: Keywords = {"type": kind, **limits(shape, NUMBERS)}
            if self._variables:
                number |= {"type": [kind, "string"], "pattern": text(r"-?[0-9]+(?:\.[0-9]+)?")}
            return number
        if shape.kind is bool:
            if self._variables:
                return {"type": ["boolean", "string"], "pattern": text("true|false")}
            return {"type": "boolean"}
        if shape.kind in (dict, list):
            return {"type": "object" if shape.kind is dict else "array"}
        if shape.kind is Any:
            return {}
        string: Keywords = {"type": "string", **limits(shape, STRINGS)}
        if "pattern" in string:  # Python's \d takes the digits of all scripts, Go's does not
            string["pattern"] = string["pattern"].replace(r"\d", "[0-9]")
        if "pattern" in string and self._variables:
            string["pattern"] = f"{string['pattern']}|{VARIABLE}"
        return string

    def _chosen(self, shape: Shape, key: str) -> Keywords:
        """One of several models, by the value of one key: told apart by if and then, so that mistakes have paths."""
        tags: list[str] = []
        cases: list[Keywords] = []
        for member in shape.members:
            for tag in member.tags(key):
                tags.append(tag)
                condition = {"properties": {key: {"const": tag}}, "required": [key]}
                cases.append({"if": condition, "then": self.shape(member)})
        return {"type": "object", "required": [key], "properties": {key: {"enum": tags}}, "allOf": cases}


def _described(keywords: Keywords, field: FieldInfo) -> Keywords:
    # What stands beside a reference is not read in draft-07; around it, mistakes would be told twice.
    return {**keywords, "description": field.description} if field.description and "$ref" not in keywords else keywords


def _takes_none(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, types.UnionType) and types.NoneType in get_args(annotation)


def _nullable(keywords: Keywords, field: FieldInfo) -> Keywords:
    return _or_null(keywords) if _takes_none(field.annotation) else keywords


def _or_null(keywords: Keywords) -> Keywords:
    kinds = keywords.get("type")
    if kinds is None:
        return {"anyOf": [keywords, {"type": "null"}]}
    return {**keywords, "type": [*([kinds] if isinstance(kinds, str) else kinds), "null"]}
