"""Kinds of values that options of all sections share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar

from pydantic import AfterValidator, StringConstraints

from chassis.secrets import Secret
from chassis.units import duration, ratio

Interval = Annotated[float, duration(min=1)]
Budget = Annotated[float, ratio(min=0.0001, max=1)]
Timeout = Annotated[float, duration(min=0.05, max=600)]
# As a label's value and in file names: what a person would type.
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]

S = TypeVar("S", bound=Secret)


def checked(problem_of: Callable[[str], str]) -> AfterValidator:
    """Refuses a secret by what `problem_of` says is wrong with it, in words that hold no part of it.

    What stands in a file is looked at when it is used: it may be mounted later, and rotate.
    """

    def check(secret: S) -> S:
        if secret.path is None and (problem := problem_of(secret.reveal())):
            raise ValueError(problem)
        return secret

    return AfterValidator(check)
