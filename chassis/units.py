"""Quantities as people write them in YAML: durations in seconds, sizes in bytes, ratios from 0 to 1.

A model's field says `interval: Duration`, or with bounds `Annotated[float, duration(min=1)]`. Text is
accepted where YAML would give a number, since a value taken from the environment is always text.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

_SECONDS = {"w": 604800.0, "d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_BYTES = {"B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12} | {
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
# Each unit at most once, the largest first: '1h30m', never '30m1h'.
_DURATION = re.compile("".join(rf"(?:(?P<{unit}>\d+(?:\.\d+)?){unit})?" for unit in _SECONDS), re.ASCII)
_SIZE = re.compile(rf"(\d+(?:\.\d+)?)\s?({'|'.join(_BYTES)})", re.ASCII)
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s?%", re.ASCII)
_NUMBER = re.compile(r"\d+(?:\.\d*)?(?:[eE]-?\d+)?", re.ASCII)


def found(value: object) -> str:
    """How a message shows a value from YAML: scalars as written there, containers by their kind."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case str():
            return repr(value if len(value) <= 60 else value[:57] + "...")
        case int() | float():
            return str(value)
        case list() | tuple():
            return "a list"
        case dict():
            return "a mapping"
        case _:
            return f"a {type(value).__name__}"


def parse_duration(value: object) -> float:
    """Seconds in '500ms', '90s', '1h30m' or the number 0; ValueError says how to write one."""
    if isinstance(value, str) and value and (match := _DURATION.fullmatch(value)):
        return math.fsum(float(n) * _SECONDS[unit] for unit, n in match.groupdict().items() if n)
    if _is_number(value) and float(value) == 0:  # type: ignore[arg-type]  # checked by _is_number
        return 0.0
    raise ValueError(f"{found(value)} is no duration; write e.g. 90s, 5m, 1h")


def parse_size(value: object) -> int:
    """Bytes in '64MiB', '10kB' or a whole number; ValueError says how to write one."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str):
        if value.isascii() and value.isdigit():
            return int(value)
        if match := _SIZE.fullmatch(value):
            return round(float(match[1]) * _BYTES[match[2]])
    raise ValueError(f"{found(value)} is no size; write e.g. 512KiB, 64MiB, 10MB")


def parse_ratio(value: object) -> float:
    """A share from 0 to 1 in '0.5%' or 0.005; ValueError says how to write one."""
    ratio = math.nan
    if isinstance(value, str) and (match := _PERCENT.fullmatch(value)):
        ratio = float(match[1]) / 100
    elif _is_number(value):
        ratio = float(value)  # type: ignore[arg-type]  # checked by _is_number
    if not 0 <= ratio <= 1:
        raise ValueError(f"{found(value)} is no share of a whole; write e.g. 0.5% or 0.005, at most 100%")
    return ratio


def _is_number(value: object) -> bool:
    if isinstance(value, str):
        return _NUMBER.fullmatch(value) is not None
    return isinstance(value, int | float) and not isinstance(value, bool)


def format_duration(seconds: float) -> str:
    """The text that `parse_duration` reads back, to the microsecond: '1h30m', '2.5s', '500ms', '0s'."""
    if seconds < 0:
        return "-" + format_duration(-seconds)
    if 0 < seconds < 0.9999995:
        return f"{_decimal(seconds * 1000, 3)}ms"
    text, rest = "", round(seconds, 6)
    for unit in ("d", "h", "m"):
        count, rest = divmod(rest, _SECONDS[unit])
        text += f"{count:.0f}{unit}" if count else ""
    last = _decimal(rest, 6)
    return text if text and last == "0" else f"{text}{last}s"


def format_age(seconds: float) -> str:
    """An age to the unit that matters: `42s`, `17m`, `5h`, `3d`; what has yet to come is 0s old."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length:.0f}{unit}"
    return f"{max(seconds, 0):.0f}s"


def format_size(size: int) -> str:
    """Bytes with the largest binary unit that divides them: '64MiB', '1000B'."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if size and size % _BYTES[unit] == 0:
            return f"{size // _BYTES[unit]}{unit}"
    return f"{size}B"


def format_ratio(ratio: float) -> str:
    """A share as a percentage: '0.5%'."""
    return f"{_decimal(ratio * 100, 6)}%"


def _decimal(number: float, digits: int) -> str:
    return f"{number:.{digits}f}".rstrip("0").rstrip(".")


@dataclass(frozen=True)
class Unit:
    """Marks a field's annotation: how its text is read, shown in messages, and which bounds it has."""

    name: str
    parse: Callable[[object], float]
    show: Callable[[Any], str]
    min: float | None = None
    max: float | None = None

    def __call__(self, value: object) -> float:
        """The quantity that `value` says; ValueError if it says none, or one out of bounds."""
        parsed = self.parse(value)
        if (self.min is not None and parsed < self.min) or (self.max is not None and parsed > self.max):
            raise ValueError(f"{found(value)} is out of range; allowed: {self.bounds}")
        return parsed

    @property
    def bounds(self) -> str:
        """The allowed range in words, empty if there is none."""
        if self.min is not None and self.max is not None:
            return f"{self.show(self.min)} to {self.show(self.max)}"
        if self.min is not None:
            return f"{self.show(self.min)} or more"
        return f"at most {self.show(self.max)}" if self.max is not None else ""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self)


def duration(*, min: float | None = None, max: float | None = None) -> Unit:
    """Bounds in seconds for `Annotated[float, duration(min=1)]`."""
    return Unit("duration", parse_duration, format_duration, min, max)


def size(*, min: int | None = None, max: int | None = None) -> Unit:
    """Bounds in bytes for `Annotated[int, size(max=2**20)]`."""
    return Unit("size", parse_size, format_size, min, max)


def ratio(*, min: float | None = None, max: float | None = None) -> Unit:
    """Bounds between 0 and 1 for `Annotated[float, ratio(min=0.0001)]`."""
    return Unit("percentage", parse_ratio, format_ratio, min, max)


Duration = Annotated[float, duration()]
"""Seconds."""
Size = Annotated[int, size()]
"""Bytes."""
Ratio = Annotated[float, ratio()]
"""From 0 to 1."""
