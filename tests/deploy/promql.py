"""Every PromQL expression that is shipped, and what can be said of one without running it."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import promql_parser
import yaml

from alerter.catalogue import CATALOGUE as OF_THE_ALERTER
from chassis.exposition import Kind
from demo import story
from exporter.catalogue import CATALOGUE as OF_THE_EXPORTER
from tests.deploy.rules import rules
from tests.support.documents import DOCUMENTS, REPOSITORY, blocks

DASHBOARDS = sorted((REPOSITORY / "deploy" / "grafana" / "dashboards").glob("*.json"))
QUERIES = REPOSITORY / "docs" / "queries.md"
EXAMPLES = sorted((REPOSITORY / "helm" / "postwatch" / "examples").glob("*.yaml"))
WRITTEN = [*DOCUMENTS, *sorted((REPOSITORY / "deploy").rglob("*.md"))]
# The six common queries of the task-queue guide, word by word.
GUIDE = (
    "rate(task_queue:completion_rate[1h]) / (rate(task_queue:submission_rate[1h]) + 0.001)",
    "avg(task_queue:processing_time_seconds)",
    "sum(task_queue:queue_depth)",
    "worker:utilization_percent",
    "rate(task_queue:failure_rate[1h])",
    "histogram_quantile(0.99, task_queue:processing_time_seconds_bucket)",
)
# What Prometheus and Alertmanager tell of themselves.
FOREIGN = {"up", "ALERTS", "ALERTS_FOR_STATE", "alertmanager_notifications_failed_total"}
# What Grafana puts in before it asks. A matcher by a variable takes everything, as "All" does.
WINDOWS = {"__rate_interval": "1m", "__interval": "15s", "__range": "1h", "__range_s": "3600", "__interval_ms": "15000"}
_VARIABLE = re.compile(r"\$\{(\w+)(?::\w+)?\}|\$(\w+)|\[\[(\w+)\]\]")
_STRING = r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\''
# Strings and selectors' braces are passed over; conditions outside of them are found.
_CONDITION = re.compile(
    rf"(?P<other>{_STRING}|\{{(?:{_STRING}|[^}}\"'])*\}}|#[^\n]*)"
    r"|(?P<compared>(?:==|!=|>=|<=|[<>](?!=))(?!\s*bool\b))|(?P<unless>\bunless\b)|(?P<absent>\babsent(?=\s*\())"
    r"|(?P<offset>\boffset\s+-?\w+)"
)


@dataclass(frozen=True)
class Expression:
    """PromQL, and where it stands."""

    where: str
    text: str

    def __str__(self) -> str:
        return self.where


def expressions() -> list[Expression]:
    """All of them: rules, dashboards, documents, the demo's story, examples of scaling, and the guide's own."""
    found = [Expression(f"rule {rule}", rule.expr) for rule in rules()]
    found += [each for path in DASHBOARDS for each in _of_dashboard(path)]
    found += [Expression(str(block), block.text.strip()) for path in WRITTEN for block in blocks(path, "promql")]
    found += [Expression(f"story {line}", text) for line, text in _of_the_story()]
    found += [Expression(f"example {path.stem}", text) for path in EXAMPLES for text in _of_example(path)]
    return found + [Expression(f"guide {number}", text) for number, text in enumerate(GUIDE, 1)]


def _of_the_story() -> Iterator[tuple[int, str]]:
    """The last word of each beat, by its line."""
    for node in ast.walk(ast.parse(Path(story.__file__).read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Beat":
            yield node.lineno, str(ast.literal_eval(node.args[2]))


def _of_example(path: Path) -> Iterator[str]:
    """What workers are scaled by: of KEDA the queries; of an autoscaler its metric, as the adapter asks for it."""
    spec = yaml.safe_load(path.read_text())["spec"]
    for trigger in spec.get("triggers", []):
        yield trigger["metadata"]["query"]
    for each in spec.get("metrics", []):
        metric = each["external"]["metric"]
        labels = ",".join(f'{key}="{value}"' for key, value in metric["selector"]["matchLabels"].items())
        (query,) = re.findall(r"metricsQuery: '(.+)'", path.read_text())
        yield query.replace("<<.Series>>", metric["name"]).replace("<<.LabelMatchers>>", labels)


def _of_dashboard(path: Path) -> Iterator[Expression]:
    """Targets of panels, in rows too; variables that ask for labels; annotations."""
    board = json.loads(path.read_text())
    for panel in _panels(board):
        for target in panel.get("targets", []):
            yield Expression(f"{path.stem}: {panel['title']} {target.get('refId', '')}".strip(), target["expr"])
    for variable in board.get("templating", {}).get("list", []):
        asked = variable.get("query", "")
        asked = asked.get("query", "") if isinstance(asked, dict) else asked
        if match := re.fullmatch(r"label_values\((.+),\s*\w+\)|query_result\((.+)\)", asked):
            yield Expression(f"{path.stem}: ${variable['name']}", match[1] or match[2])
    for annotation in board.get("annotations", {}).get("list", []):
        text = annotation.get("expr") or annotation.get("target", {}).get("expr")
        if text:
            yield Expression(f"{path.stem}: annotation {annotation['name']}", text)


def _panels(holder: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for panel in holder.get("panels", []):
        yield panel
        yield from _panels(panel)


def plain(text: str) -> str:
    """As Prometheus is asked: variables of Grafana are put in, those too that are compared and not matched."""
    text = re.sub(r'(?<=\w)="(?=\$)', '=~"', text)
    return _VARIABLE.sub(lambda match: WINDOWS.get(match[1] or match[2] or match[3], ".*"), text)


def relaxed(text: str) -> str:
    """The same without its conditions, of which an expression that is empty while all is well consists.

    A comparison says 0 or 1 instead of leaving series out, `unless` asks for its right side to be there, `absent` for
    what must not be absent, and now is looked at instead of then. What is empty still has no data, or labels on two
    sides that never match.
    """

    def without(match: re.Match[str]) -> str:
        if match["compared"]:
            return f"{match['compared']} bool"
        return match["other"] or ("and" if match["unless"] else "count" if match["absent"] else "")

    return _CONDITION.sub(without, text)


def selectors(text: str) -> set[str]:
    """The instant selectors inside, without windows and offsets. ValueError if it is no PromQL."""
    return {_written(found) for found in _vectors(promql_parser.parse(text))}


def read(text: str) -> set[str]:
    """The names of the metrics that it reads. ValueError if it is no PromQL."""
    return {str(found.name) for found in _vectors(promql_parser.parse(text))}


def _vectors(node: Any) -> Iterator[promql_parser.VectorSelector]:
    if isinstance(node, promql_parser.VectorSelector):
        yield node
    inside = [getattr(node, name, None) for name in ("expr", "lhs", "rhs", "param", "vector_selector")]
    for child in (*inside, *getattr(node, "args", ())):
        if child is not None:
            yield from _vectors(child)


def _written(selector: promql_parser.VectorSelector) -> str:
    return re.sub(r" offset -?\w+$", "", selector.prettify())


def _served() -> set[str]:
    """Every name of a series that the catalogues lead to."""
    found = set()
    declared = [(metric.name, metric.kind) for metric in OF_THE_EXPORTER]
    declared += [(metric.name, metric.kind) for metric in OF_THE_ALERTER]
    for name, kind in declared:
        found |= {f"{name}_{part}" for part in ("bucket", "sum", "count")} if kind is Kind.HISTOGRAM else {name}
    return found


KNOWN = _served() | {rule.name for rule in rules() if not rule.alert} | FOREIGN
