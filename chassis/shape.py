"""What a model's annotations say: the one place that takes them apart."""

import types
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from chassis.secrets import Secret


@dataclass(frozen=True)
class Shape:
    """A type and the marks that stand beside it in `Annotated[...]` or `Field(...)`."""

    kind: Any
    marks: tuple[Any, ...] = ()

    @classmethod
    def of(cls, annotation: Any) -> "Shape":
        """The shape of any annotation."""
        marks: tuple[Any, ...] = ()
        while get_origin(annotation) is Annotated:
            annotation, *more = get_args(annotation)
            marks = (*more, *marks)
        return cls(annotation, marks)

    @classmethod
    def of_field(cls, field: FieldInfo) -> "Shape":
        """The shape of a model's field."""
        shape = cls.of(field.annotation)
        return cls(shape.kind, (*shape.marks, *field.metadata, field))

    @property
    def members(self) -> tuple["Shape", ...]:
        """The alternatives of a union, without None; of anything else itself."""
        if get_origin(self.kind) not in (Union, types.UnionType):
            return (self,)
        shapes = [Shape.of(each) for each in get_args(self.kind) if each is not types.NoneType]
        if len(shapes) == 1:
            return Shape(shapes[0].kind, (*shapes[0].marks, *self.marks)).members
        return tuple(member for shape in shapes for member in shape.members)

    @property
    def discriminator(self) -> str | None:
        """The key whose value chooses among the members."""
        for mark in self.marks:
            if isinstance(key := getattr(mark, "discriminator", None), str):
                return key
        return None

    @property
    def model(self) -> type[BaseModel] | None:
        """The model itself, if it is one."""
        is_model = isinstance(self.kind, type) and issubclass(self.kind, BaseModel)
        return self.kind if is_model else None

    @property
    def secret(self) -> type[Secret] | None:
        """The class of secrets among the members."""
        for member in self.members:
            if isinstance(member.kind, type) and issubclass(member.kind, Secret):
                return member.kind
        return None

    @property
    def value(self) -> "Shape | None":
        """Of a mapping: its values' shape."""
        return self._argument(Mapping, -1)

    @property
    def item(self) -> "Shape | None":
        """Of a list: its items' shape."""
        if isinstance(self.kind, type) and issubclass(self.kind, str | bytes):
            return None
        return self._argument(Sequence, 0) or self._argument(Set, 0)

    @property
    def choices(self) -> tuple[Any, ...]:
        """Of a Literal: what it allows."""
        return get_args(self.kind) if get_origin(self.kind) is Literal else ()

    def tags(self, key: str) -> tuple[Any, ...]:
        """Of a member of a discriminated union: the values of `key` that choose it."""
        if self.model is None:
            return ()
        return next((shape.choices for name, shape in fields(self.model) if name == key), ())

    def _argument(self, container: type, index: int) -> "Shape | None":
        origin = get_origin(self.kind)
        if isinstance(origin, type) and issubclass(origin, container):
            return Shape.of(get_args(self.kind)[index])
        return None


def fields(model: type[BaseModel]) -> Iterator[tuple[str, Shape]]:
    """The keys that a model allows, as a file spells them, with their shapes."""
    for name, field in model.model_fields.items():
        yield field.alias or name, Shape.of_field(field)


def walk(value: object, path: str = "") -> Iterator[tuple[str, object, tuple[Any, ...]]]:
    """Everything in a tree of models, mappings and lists: its path, itself, and its field's marks."""
    if isinstance(value, BaseModel):
        for name, field in type(value).model_fields.items():
            below = join(path, field.alias or name)
            marks = tuple(mark for member in Shape.of_field(field).members for mark in member.marks)
            yield below, getattr(value, name), marks
            yield from walk(getattr(value, name), below)
    elif isinstance(value, Mapping | list | tuple):
        pairs = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, each in pairs:
            below = join(path, key)
            yield below, each, ()
            yield from walk(each, below)


def join(path: str, key: object) -> str:
    """`path` with one more step: `queues` and 0 and `name` give `queues[0].name`."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    text = str(key)
    if not text or any(character in text for character in ".[] \n"):
        return f"{path}[{text!r}]"
    return f"{path}.{text}" if path else text
