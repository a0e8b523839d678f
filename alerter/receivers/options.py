"""Options that every receiver shares."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Self

from pydantic import Field, GetCoreSchemaHandler, StringConstraints
from pydantic_core import CoreSchema, core_schema

from chassis.settings import Settings
from chassis.units import duration, found

_RATE = re.compile(r"(\d{1,6})\s*/\s*(s|sec|min|m|h)", re.ASCII)
_SECONDS = {"s": 1.0, "sec": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0}

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]
Timeout = Annotated[float, duration(min=0.1, max=25)]  # shorter than a lease of the outbox


@dataclass(frozen=True)
class Rate:
    """So many messages in so many seconds."""

    count: int
    seconds: float

    @classmethod
    def parse(cls, value: object) -> Self:
        """The rate in '120/min', '1/s', '10/h'; ValueError says how to write one."""
        if isinstance(value, cls):
            return value
        match = _RATE.fullmatch(value.strip()) if isinstance(value, str) else None
        if match is None or int(match[1]) == 0:
            raise ValueError(f"{found(value)} is no rate; write e.g. 120/min, 1/s, 10/h")
        return cls(int(match[1]), _SECONDS[match[2]])

    @property
    def per_second(self) -> float:
        """Messages a second."""
        return self.count / self.seconds

    def __str__(self) -> str:
        return f"{self.count}/{'s' if self.seconds == 1 else 'min' if self.seconds == 60 else 'h'}"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(cls.parse, serialization=core_schema.to_string_ser_schema())


class ReceiverOptions(Settings):
    """Options of any receiver; a kind adds its own, and its provider's limit as the default of `rate`."""

    name: Name = Field(description="What routes call it, and label `receiver`: letters, digits, `_`, `.`, `-`.")
    rate: Rate = Field(Rate(60, 60), description="Messages at most; above it they are told as one that counts them.")
    timeout: Timeout = Field(10.0, description="Time limit for each step of a delivery.")

    @property
    def needs(self) -> str:
        """The host without which it reaches nobody, if it may be one of those that are watched; else empty."""
        return ""
