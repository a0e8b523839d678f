"""Kinds of values that options of all sections share."""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints

from chassis.units import duration, ratio

Interval = Annotated[float, duration(min=1)]
Budget = Annotated[float, ratio(min=0.0001, max=1)]
Timeout = Annotated[float, duration(min=0.05, max=600)]
# As a label's value and in file names: what a person would type.
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]
