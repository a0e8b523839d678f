"""The shipped rules, as data."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.support.documents import REPOSITORY

FOLDER = REPOSITORY / "deploy" / "prometheus"
RULES = sorted((FOLDER / "rules").glob("*.yml"))
UNIT_TESTS = sorted((FOLDER / "tests").glob("*_test.yml"))
RUNBOOKS = REPOSITORY / "docs" / "runbooks"


@dataclass(frozen=True)
class Rule:
    """A rule of one of the files; `name` is the alert's or the record's."""

    name: str
    alert: bool
    expr: str
    body: dict[str, Any]

    @property
    def severity(self) -> str:
        return str(self.body["labels"]["severity"])

    def __str__(self) -> str:
        return f"{self.name} ({self.severity})" if self.alert else self.name


@cache
def rules() -> tuple[Rule, ...]:
    """All rules of all files, in order. Read once: they are asked for when tests are collected, in each worker."""
    return tuple(
        Rule(body.get("alert") or body["record"], "alert" in body, body["expr"], body)
        for path in RULES
        for group in written(path)["groups"]
        for body in group["rules"]
    )


def written(path: Path) -> Any:
    """A YAML file's content."""
    return yaml.load(path.read_text(), Loader=yaml.CSafeLoader)
