"""A configuration with something of each kind, and what is told of a file that does not fit it."""

from typing import Annotated, Literal

import pytest
from pydantic import Field, model_validator

from chassis.secrets import Secret, SecretUrl
from chassis.settings import InputFile, LocalPath, Settings, SettingsError, parse
from chassis.units import Duration, Ratio, Size


class Goal(Settings):
    target: Duration
    share: Ratio | None = None


class Apple(Settings):
    kind: Literal["apple"]
    url: SecretUrl
    goals: dict[str, Goal] = Field(default_factory=dict)
    layout: Literal["plain", "fancy"] | Goal = Field(default="plain", alias="schema")


class Pear(Settings):
    kind: Literal["pear", "quince"]
    count: int = Field(default=3, ge=1, le=10)
    ratio: float = 1.0


Fruit = Annotated[Apple | Pear, Field(discriminator="kind")]


class Basket(Settings):
    fruits: list[Fruit] = Field(default_factory=list)
    size: Size = 0
    ripe: bool = True
    name: str = ""
    codes: int | list[int] = 200
    users: dict[str, Secret] = Field(default_factory=dict)
    goal: Goal | None = None
    cert: InputFile | None = None
    state: LocalPath | None = None

    @model_validator(mode="after")
    def _no_more_than_three(self) -> "Basket":
        if len(self.fruits) > 3:
            raise ValueError("at most three fruits fit")
        return self


ALLOWED = "allowed: fruits, size, ripe, name, codes, users, goal, cert, state"
NO_DURATION = "is no duration; write e.g. 90s, 5m, 1h"


def mistakes(text: str, **environ: str) -> list[str]:
    with pytest.raises(SettingsError) as error:
        parse(text, Basket, environ)
    assert str(error.value) == "\n".join(map(str, error.value.mistakes))
    return [str(mistake) for mistake in error.value.mistakes]
