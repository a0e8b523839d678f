"""pydantic's errors in plain words: the key's path as in the file, what was found, what is allowed."""

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from chassis.document import Mistake
from chassis.secrets import mask
from chassis.shape import Shape, fields, join
from chassis.units import found

# What each type of error wants, in the words "... is <wanted>".
_WANTED = {
    "int_type": "no whole number",
    "int_parsing": "no whole number",
    "int_parsing_size": "too large",
    "int_from_float": "no whole number",
    "float_type": "no number",
    "float_parsing": "no number",
    "finite_number": "no finite number",
    "bool_type": "neither true nor false",
    "bool_parsing": "neither true nor false",
    "path_type": "no path",
    "ip_any_address": "no IP address",
    "string_too_short": "too short; at least {min_length} characters",
    "string_too_long": "too long; at most {max_length} characters",
    "string_pattern_mismatch": "not of the form {pattern}",
    "greater_than": "too small; allowed: more than {gt}",
    "greater_than_equal": "too small; allowed: {ge} or more",
    "less_than": "too large; allowed: less than {lt}",
    "less_than_equal": "too large; allowed: at most {le}",
    "multiple_of": "no multiple of {multiple_of}",
}
# Containers were expected here. The text found instead may be a URL with a password, so it is not shown.
_CONTAINERS = {
    "list_type": "list",
    "tuple_type": "list",
    "set_type": "list",
    "frozen_set_type": "list",
    "dict_type": "mapping",
    "mapping_type": "mapping",
    "model_type": "mapping",
    "model_attributes_type": "mapping",
    "dataclass_type": "mapping",
}
_SCALAR = (str, int, float, bool, type(None))


def explain(error: ValidationError, model: type[BaseModel]) -> list[Mistake]:
    """One mistake for each key that is wrong, in the model's order."""
    told: dict[str, list[str]] = {}
    other_forms: dict[str, list[tuple[str, str]]] = {}
    short: list[tuple[str, str]] = []
    for details in error.errors(include_url=False):
        place = _Place(model, details["loc"])
        message = mask(_message(details, place))
        path = place.path
        if details["type"].startswith("union_tag"):
            path = join(path, _discriminator(details))
        if place.at_label and details["type"] in _CONTAINERS:
            other_forms.setdefault(path, []).append((message, _CONTAINERS[details["type"]]))
        elif details["type"] == "too_short":
            short.append((path, message))
        elif not place.at_label or isinstance(details["input"], _SCALAR):
            told.setdefault(path, []).append(message)
    for path, message in short:
        # pydantic counts the good ones alone; of a list with something wrong in it that is no news.
        if not any(other.startswith(f"{path}[") for other in told):
            told.setdefault(path, []).append(message)
    for path, forms in other_forms.items():
        # That a text is no mapping is news only if a mapping is all that could stand there.
        if path in told:
            told[path].append(f"or give a {' or a '.join(form for _, form in forms)}")
        elif not any(other.startswith((f"{path}.", f"{path}[")) for other in told):
            told[path] = [message for message, _ in forms]
    return [Mistake(path, "; ".join(dict.fromkeys(messages))) for path, messages in told.items()]


class _Place:
    """Where a location of pydantic's leads: the path as the file spells it, and what is expected there."""

    def __init__(self, model: type[BaseModel], location: Sequence[str | int]) -> None:
        self.path = ""
        self.at_label = False
        self.shape: Shape | None = Shape.of(model)
        self.model: type[BaseModel] | None = None
        for step in location:
            self._enter(step)

    def _enter(self, step: str | int) -> None:
        self.at_label = False
        if self.shape is None:
            self.path = join(self.path, step)
            return
        members = self.shape.members
        if len(members) > 1:
            # pydantic puts the member's tag or type here, which no file spells.
            # A tag says which member is meant; what is wrong with one of several that might be is told otherwise.
            self.at_label = self.shape.discriminator is None
            self.shape = _chosen(members, self.shape.discriminator, step)
            return
        (member,) = members
        if member.model:
            self.model = member.model
            self.path = join(self.path, step)
            self.shape = dict(fields(member.model)).get(str(step))
        elif member.value and step != "[key]":
            self.path = join(self.path, step)
            self.shape = member.value
        elif member.item and isinstance(step, int):
            self.path = join(self.path, step)
            self.shape = member.item


def _chosen(members: Iterable[Shape], discriminator: str | None, step: str | int) -> Shape | None:
    for member in members:
        if discriminator and step in member.tags(discriminator):
            return member
        name = getattr(member.kind, "__name__", None) or str(member.kind)
        if not discriminator and str(step).partition("[")[0].lower() == name.partition("[")[0].lower():
            return member
    return None


def _message(details: ErrorDetails, place: _Place) -> str:
    kind, value, context = details["type"], details["input"], details.get("ctx", {})
    if kind == "missing":
        return "missing" if not (place.shape and place.shape.secret) else f"missing; or give {_last(place)}_file"
    if kind == "extra_forbidden":
        return _unknown(str(details["loc"][-1]), list(_allowed(place.model)), "no such key")
    if kind in ("value_error", "assertion_error"):
        return str(context.get("error", details["msg"]))
    if kind in ("literal_error", "enum"):
        allowed = place.shape.members[0].choices if place.shape and place.shape.members[0].choices else ()
        return _unknown(
            value,
            [found(each).strip("'") for each in allowed],
            "is not allowed",
            str(context.get("expected")),
        )
    if kind == "union_tag_invalid":
        allowed_tags = [tag.strip(" '") for tag in str(context["expected_tags"]).split(",")]
        return _unknown(context["tag"], allowed_tags, "is not allowed")
    if kind == "union_tag_not_found":
        return f"missing; allowed: {', '.join(_tags(place, _discriminator(details)))}"
    if kind in _CONTAINERS:
        return f"{'a text' if isinstance(value, str) else found(value)} is no {_CONTAINERS[kind]}"
    if kind == "string_type":
        quotes = "; put it into quotes" if isinstance(value, bool | int | float) else ""
        return f"{found(value)} is no text{quotes}"
    if kind in ("too_short", "too_long"):
        bound = (
            f"at least {context.get('min_length')}" if kind == "too_short" else f"at most {context.get('max_length')}"
        )
        return f"{context['actual_length']} given; {bound} needed"
    if wanted := _WANTED.get(kind):
        return f"{found(value)} is {wanted.format(**context)}"
    return details["msg"][:1].lower() + details["msg"][1:]


def _unknown(value: Any, allowed: list[str], verdict: str, otherwise: str = "") -> str:
    subject = "" if verdict.startswith("no ") else f"{found(value)} "
    near = difflib.get_close_matches(str(value), allowed, n=1, cutoff=0.6)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"{subject}{verdict}; allowed: {', '.join(allowed) or otherwise}{hint}"


def _allowed(model: type[BaseModel] | None) -> Iterable[str]:
    for name, shape in fields(model) if model else ():
        yield name
        if shape.secret:
            yield f"{name}_file"


def _last(place: _Place) -> str:
    return place.path.rpartition(".")[2]


def _discriminator(details: ErrorDetails) -> str:
    return str(details.get("ctx", {}).get("discriminator", "")).strip("'")


def _tags(place: _Place, key: str) -> Iterable[str]:
    for member in place.shape.members if place.shape else ():
        yield from (str(tag) for tag in member.tags(key))
