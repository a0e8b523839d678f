"""Every key of a model, for a reference page."""

from typing import Annotated

import pytest
from pydantic import Field

from chassis.settings import Setting, Settings, describe
from chassis.units import duration
from tests.unit.chassis.basket import Basket

SETTINGS = {setting.path: setting for setting in describe(Basket)}


class Documented(Settings):
    wait: Annotated[float, duration(min=1)] = Field(default=5.0, description="How long.")
    mounts: list[str] = Field(default=["/", "/data"])


@pytest.mark.parametrize(
    ("path", "type", "default"),
    [
        ("fruits", "list of mapping", "[]"),
        ("fruits[kind: apple].url", "secret (here or in a file, with _file)", None),
        ("fruits[kind: apple].goals.<key>.target", "duration", None),
        ("fruits[kind: apple].goals.<key>.share", "percentage", ""),
        ("fruits[kind: apple].schema", "plain or fancy or mapping", "plain"),
        ("fruits[kind: apple].schema.target", "duration", None),
        ("fruits[kind: pear or quince].count", "whole number, 1 to 10", "3"),
        ("size", "size", "0B"),
        ("ripe", "true or false", "true"),
        ("codes", "whole number or list of whole number", "200"),
        ("goal", "mapping", ""),
        ("goal.target", "duration", None),
        ("cert", "path", ""),
    ],
)
def test_a_key_is_described(path: str, type: str, default: str | None) -> None:
    assert (SETTINGS[path].type, SETTINGS[path].default) == (type, default)


def test_descriptions_bounds_and_units_come_along() -> None:
    assert describe(Documented) == [
        Setting("wait", "duration, 1s or more", "5s", "How long."),
        Setting("mounts", "list of text", "[/, /data]", ""),
    ]
