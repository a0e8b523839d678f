"""The shipped dashboards, as data: panels, queries, and what is known of metrics."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from alerter.catalogue import CATALOGUE as OF_THE_ALERTER
from chassis.exposition import Kind
from exporter.catalogue import CATALOGUE as OF_THE_EXPORTER
from tests.deploy.promql import plain
from tests.deploy.rules import rules
from tests.support.documents import REPOSITORY

GRAFANA = REPOSITORY / "deploy" / "grafana"
FILES = sorted((GRAFANA / "dashboards").glob("*.json"))
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
RECORDS = {rule.name for rule in rules() if not rule.alert}
ALERTS = {rule.name for rule in rules() if rule.alert}
TARGET_LABELS = {"job", "instance"}


@dataclass(frozen=True)
class Panel:
    """A panel that shows something: no heading."""

    board: Board
    body: dict[str, Any]

    @property
    def title(self) -> str:
        return str(self.body["title"])

    @property
    def queries(self) -> list[Query]:
        return [Query(self, target) for target in self.body["targets"]]

    @property
    def defaults(self) -> dict[str, Any]:
        found: dict[str, Any] = self.body["fieldConfig"]["defaults"]
        return found

    def options_of(self, column: str) -> dict[str, Any]:
        """What is set for a field by its name."""
        return {
            item["id"]: item["value"]
            for override in self.body["fieldConfig"]["overrides"]
            if override["matcher"] == {"id": "byName", "options": column}
            for item in override["properties"]
        }

    def __str__(self) -> str:
        return f"{self.board}: {self.title}"


@dataclass(frozen=True)
class Query:
    panel: Panel
    target: dict[str, Any]

    @property
    def expr(self) -> str:
        return str(self.target["expr"])

    @property
    def plain(self) -> str:
        """As Prometheus gets it: all of everything, over windows of some length."""
        return plain(self.expr)

    def __str__(self) -> str:
        return f"{self.panel}: {self.target['refId']}"


@dataclass(frozen=True)
class Board:
    uid: str
    body: dict[str, Any]

    @property
    def panels(self) -> list[Panel]:
        return [Panel(self, body) for body in self.body["panels"] if body["type"] != "row"]

    @property
    def queries(self) -> list[Query]:
        return [query for panel in self.panels for query in panel.queries]

    @property
    def variables(self) -> dict[str, dict[str, Any]]:
        return {variable["name"]: variable for variable in self.body["templating"]["list"]}

    def __str__(self) -> str:
        return self.uid.removeprefix("postwatch-")


@cache
def boards() -> tuple[Board, ...]:
    """As the committed files say."""
    found = [json.loads(path.read_text()) for path in FILES]
    return tuple(Board(body["uid"], body) for body in found)


def panels() -> list[Panel]:
    return [panel for board in boards() for panel in board.panels]


def _declared() -> Iterator[tuple[str, Kind, set[str]]]:
    yield from ((metric.name, metric.kind, set(metric.labels)) for metric in OF_THE_EXPORTER)
    yield from ((metric.name, metric.kind, set(metric.labels)) for metric in OF_THE_ALERTER)


def labels_of_metrics() -> dict[str, set[str]]:
    """Each series that the daemons serve, with the labels that it has once scraped."""
    found: dict[str, set[str]] = {}
    for name, kind, labels in _declared():
        if kind is Kind.HISTOGRAM:
            found[f"{name}_bucket"] = labels | TARGET_LABELS | {"le"}
            found[f"{name}_sum"] = found[f"{name}_count"] = labels | TARGET_LABELS
        else:
            found[name] = labels | TARGET_LABELS
    return found


def counters() -> set[str]:
    """The series that only rise."""
    found = {name for name, kind, _labels in _declared() if kind is Kind.COUNTER}
    histograms = [name for name, kind, _labels in _declared() if kind is Kind.HISTOGRAM]
    return found | {f"{name}_{part}" for name in histograms for part in ("bucket", "sum", "count")}
