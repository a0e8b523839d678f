"""Configuration files as typed, frozen models that refuse surprises.

`load` reads YAML, fills in `${NAME}` and validates; it raises SettingsError with all mistakes at once. A
field that holds a Secret may be given as `NAME_file: PATH` instead. Relative paths count from the folder of
the file.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, ValidationInfo, model_validator

from chassis.document import Mistake, read
from chassis.mistakes import explain
from chassis.reference import Setting, describe
from chassis.secrets import Refusal, Secret, SecretUnavailable
from chassis.shape import fields, walk

__all__ = [
    "InputFile",
    "LocalPath",
    "Mistake",
    "OutputFile",
    "Setting",
    "Settings",
    "SettingsError",
    "describe",
    "load",
    "parse",
    "secrets_in",
    "warnings",
]

M = TypeVar("M", bound="Settings")


class SettingsError(Exception):
    """A configuration was refused; `mistakes` holds every reason, the text one on each line."""

    def __init__(self, mistakes: tuple[Mistake, ...]) -> None:
        super().__init__("\n".join(str(mistake) for mistake in mistakes))
        self.mistakes = mistakes


def _beside_file(path: Path, info: ValidationInfo) -> Path:
    return _folder(info) / path.expanduser()


def _folder(info: ValidationInfo) -> Path:
    folder = (info.context or {}).get("folder", "")
    return Path(folder)


class _MustBeReadable:
    """Marks a path whose file is read at the start, so that `warnings` looks at it."""


LocalPath = Annotated[Path, AfterValidator(_beside_file)]
"""A path; a relative one counts from the configuration file's folder."""
InputFile = Annotated[Path, AfterValidator(_beside_file), _MustBeReadable()]
"""A LocalPath whose file has to be there; `warnings` tells if it is not."""


class _MustBeWritable:
    """Marks a path that is written to while the daemon runs, so that `warnings` looks at it."""


OutputFile = Annotated[Path, AfterValidator(_beside_file), _MustBeWritable()]
"""A LocalPath that is written, as a new file that takes the old one's place; `warnings` tells if it cannot be."""


class Settings(BaseModel):
    """Base of all configuration models: frozen, closed to unknown keys, never showing an input in errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _read_secret_files(cls, data: Any, info: ValidationInfo) -> Any:
        if not isinstance(data, Mapping):
            return data
        given = dict(data)
        for name, shape in fields(cls):
            if shape.secret:
                _take_file(given, name, shape.secret, _folder(info))
            for member in shape.members:
                mapping = given.get(name)
                if member.value and member.value.secret and isinstance(mapping, Mapping):
                    given[name] = entries = dict(mapping)
                    for key in [key for key in mapping if isinstance(key, str) and key.endswith("_file")]:
                        _take_file(entries, key.removesuffix("_file"), member.value.secret, _folder(info))
        return given


def _take_file(given: dict[Any, Any], name: str, kind: type[Secret], folder: Path) -> None:
    key = f"{name}_file"
    if key not in given:
        return
    path = given.pop(key)
    if name in given:
        given[name] = Refusal(f"given twice, as {name} and as {key}; keep one")
    elif not isinstance(path, str) or not path:
        given[name] = Refusal(f"{key} has to be the path of a file")
    else:
        given[name] = kind.from_file(folder / Path(path).expanduser())


def load(path: Path, model: type[M], environ: Mapping[str, str] = os.environ) -> M:
    """The settings in the file at `path`; SettingsError if it cannot be read or has mistakes."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError((Mistake(str(path), error.strerror or type(error).__name__),)) from None
    except UnicodeDecodeError as error:
        raise SettingsError((Mistake(str(path), f"not UTF-8 text, at byte {error.start}"),)) from None
    return parse(text, model, environ, origin=str(path))


def parse(text: str, model: type[M], environ: Mapping[str, str], origin: str = "") -> M:
    """The settings in `text`; `origin` is the path it was read from, whose folder relative paths count from.

    Raises SettingsError with all mistakes, in the order of the document's reading, then of the model's.
    """
    document = read(text, environ)
    if any(mistake.path.startswith("line ") or not mistake.path for mistake in document.mistakes):
        raise SettingsError(tuple(document.mistakes))  # no YAML, so nothing to validate
    data = {} if document.data is None else document.data
    mistakes = list(document.mistakes)
    try:
        settings = model.model_validate(data, context={"folder": Path(origin).parent})
    except ValidationError as error:
        told = {mistake.path for mistake in mistakes}
        mistakes += [mistake for mistake in explain(error, model) if mistake.path not in told]
        raise SettingsError(tuple(mistakes)) from None
    if mistakes:
        raise SettingsError(tuple(mistakes))
    return settings


def secrets_in(settings: Settings) -> Iterator[tuple[str, Secret]]:
    """Every secret anywhere in `settings`, with its path."""
    return ((path, value) for path, value, _ in walk(settings) if isinstance(value, Secret))


def warnings(settings: Settings) -> list[Mistake]:
    """Files that `settings` name and that cannot be read or written now; that may change, so it may start."""
    unusable: list[Mistake] = []
    for path, value, marks in walk(settings):
        if isinstance(value, Secret) and value.path is not None:
            try:
                value.reveal()
            except SecretUnavailable as error:
                unusable.append(Mistake(f"{path}_file", str(error)))
        elif isinstance(value, Path) and any(isinstance(mark, _MustBeReadable) for mark in marks):
            try:
                value.open("rb").close()
            except OSError as error:
                unusable.append(Mistake(path, f"{value}: {error.strerror}"))
        elif (
            isinstance(value, Path)
            and any(isinstance(mark, _MustBeWritable) for mark in marks)
            and (problem := _write_problem(value))
        ):
            unusable.append(Mistake(path, f"{value}: {problem}"))
    return unusable


def _write_problem(path: Path) -> str:
    """Why a new file cannot take the place of `path`; or nothing. Writes nothing."""
    if not path.parent.is_dir():
        return f"there is no folder {path.parent}"
    if path.is_dir():
        return "is a folder"
    return "" if os.access(path.parent, os.W_OK | os.X_OK) else f"no right to write into {path.parent}"
