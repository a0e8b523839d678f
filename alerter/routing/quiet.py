"""Quiet periods: hours of the wall clock in a time zone, on some days of the week.

A period whose end is not behind its start ends on the next day; it then belongs to the day on which it begins. What
counts is what a clock on the wall shows: on the day the clocks change a night is an hour longer or shorter.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Self
from zoneinfo import ZoneInfo

from pydantic import Field, GetCoreSchemaHandler, StringConstraints, field_validator
from pydantic_core import CoreSchema, core_schema

from chassis.settings import Settings
from chassis.units import found

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TIME = re.compile(r"([01]?\d|2[0-4]):([0-5]\d)", re.ASCII)


class Days(frozenset[int]):
    """Days of the week, Monday is 0."""

    @classmethod
    def parse(cls, text: object) -> Self:
        """The days in `mon-fri`, `sat,sun` or `fri-mon`; ValueError says how to write them."""
        if isinstance(text, cls):
            return text
        days: set[int] = set()
        try:
            for part in str(text).lower().split(","):
                first, _, last = part.strip().partition("-")
                start, end = DAYS.index(first.strip()), DAYS.index((last or first).strip())
                days |= {day % 7 for day in range(start, end + 1 + 7 * (end < start))}
        except ValueError:
            raise ValueError(f"{found(text)} are no days; write e.g. mon-fri or sat,sun") from None
        return cls(days)

    def __str__(self) -> str:
        return "mon-sun" if len(self) == len(DAYS) else ",".join(DAYS[day] for day in sorted(self))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(cls.parse)


class TimeOfDay(int):
    """Minutes since midnight on the wall clock, 0 to 1440."""

    @classmethod
    def parse(cls, text: object) -> Self:
        """The time in `22:00`; ValueError says how to write one."""
        if isinstance(text, cls):
            return text
        # YAML 1.1 reads 22:00 without quotes as the number 1320, to the base of sixty.
        if isinstance(text, int) and not isinstance(text, bool) and 0 <= text <= 1440:
            return cls(text)
        match = _TIME.fullmatch(text) if isinstance(text, str) else None
        minutes = int(match[1]) * 60 + int(match[2]) if match else 1441
        if minutes > 1440:
            raise ValueError(f"{found(text)} is no time of day; write e.g. '22:00'")
        return cls(minutes)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(cls.parse)


class QuietPeriod(Settings):
    """When a route that names it keeps its alerts in the feed and tells nobody."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=63)] = Field(description="What routes call it.")
    timezone: str = Field("UTC", description="Name of a time zone, such as Europe/Berlin.")
    days: Days = Field(Days(range(7)), description="Days on which it begins: `mon-fri`, `sat,sun`.")
    begins: TimeOfDay = Field(alias="from", description="When it begins.")
    ends: TimeOfDay = Field(alias="to", description="When it ends; not behind `from`, it is on the next day.")

    @field_validator("timezone")
    @classmethod
    def _is_known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError
            raise ValueError(f"{found(name)} is no time zone; write e.g. Europe/Berlin or UTC") from None
        return name

    def holds(self, now: float) -> bool:
        """Whether it is quiet at `now`, seconds since the epoch."""
        local = datetime.fromtimestamp(now, ZoneInfo(self.timezone))
        minute, day = local.hour * 60 + local.minute, local.weekday()
        if self.begins < self.ends:
            return day in self.days and self.begins <= minute < self.ends
        return (day in self.days and minute >= self.begins) or ((day - 1) % 7 in self.days and minute < self.ends)
