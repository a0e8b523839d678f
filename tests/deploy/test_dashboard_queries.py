"""What the dashboards ask Prometheus: filtered as the variables say, over windows that fit, of real labels."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import promql_parser
import pytest

from tests.deploy.dashboards import RECORDS, Board, Query, boards, counters, labels_of_metrics
from tests.deploy.rules import rules

LABELS = labels_of_metrics()
COUNTERS = counters()
# All that is said in the rules of a name.
RULES = {name: " ".join(str(rule.body) for rule in rules() if rule.name == name) for name in RECORDS}
# The alerter's own job is one, whatever exporter is chosen; alerts are of all.
UNFILTERED = {"ALERTS", "ALERTS_FOR_STATE"}
# A sampler's source may be a store, or none; what cannot be read is told whatever is chosen.
OF_ALL = {"postwatch_sampler_up"}
# What label_join and label_replace write.
MADE = {"subject", "objective"}
# A window that is not the picture's own is named where a person reads it.
NAMED = {"1m": "last minute", "5m": "5 minutes", "1h": "hour"}

each_board = pytest.mark.parametrize("board", boards(), ids=str)


def nodes(node: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Each node of an expression, with those above it, the nearest last."""
    yield node, above
    inside = [getattr(node, name, None) for name in ("expr", "lhs", "rhs", "param", "vector_selector")]
    for child in (*inside, *getattr(node, "args", ())):
        if child is not None:
            yield from nodes(child, (*above, node))


@cache
def parsed(text: str) -> list[tuple[Any, tuple[Any, ...]]]:
    return list(nodes(promql_parser.parse(text)))


def vectors(query: Query) -> list[tuple[promql_parser.VectorSelector, tuple[Any, ...]]]:
    return [(node, above) for node, above in parsed(query.plain) if isinstance(node, promql_parser.VectorSelector)]


@each_board
def test_a_query_reads_what_there_is(board: Board) -> None:
    for query in board.queries:
        for vector, _above in vectors(query):
            assert vector.name in {"up", *UNFILTERED, *LABELS, *RECORDS}, f"{query}"
            allowed = LABELS.get(str(vector.name))
            if allowed:
                assert {matcher.name for matcher in vector.matchers.matchers} <= allowed, f"{query}"


@each_board
def test_a_query_asks_the_chosen_job_alone(board: Board) -> None:
    for query in board.queries:
        for vector, _above in vectors(query):
            name = str(vector.name)
            if name in UNFILTERED or name.startswith("postwatch_alerter_"):
                continue
            chosen, *ours = [matcher.value for matcher in vector.matchers.matchers if matcher.name == "job"]
            assert chosen in {".*", ".*|postwatch-alerter", "postwatch-alerter"}, f"{query} {name}"
            # What every job has is asked of ours alone: another's trouble in the same Prometheus is not shown as ours.
            if name == "up" or name.startswith("process_"):
                assert any(job.startswith("postwatch-") for job in (chosen, *ours)), f"{query} {name}"


@each_board
def test_a_query_uses_each_choice_that_its_metric_has(board: Board) -> None:
    """A choice that changes some panels and not others misleads: a label that can be chosen by is chosen by."""
    for query in board.queries:
        chosen = set(query.panel.board.variables) - {"datasource", "job", "instance"}
        for vector, _above in vectors(query):
            has = LABELS.get(str(vector.name), set()) & chosen
            filtered = {matcher.name for matcher in vector.matchers.matchers}
            assert has <= filtered or (board.uid == "postwatch-overview" and vector.name in OF_ALL), (
                f"{query} {vector.name}"
            )


@each_board
def test_counters_are_shown_as_what_they_gain(board: Board) -> None:
    for query in board.queries:
        for vector, above in vectors(query):
            calls = [one.func.name for one in above if isinstance(one, promql_parser.Call)]
            gained = bool({"rate", "increase"} & set(calls))
            assert gained == (vector.name in COUNTERS), f"{query} {vector.name}"


@each_board
def test_windows_are_the_pictures_or_named(board: Board) -> None:
    for query in board.queries:
        said = f"{query.panel.title} {query.panel.body['description']} {query.target['legendFormat']}".lower()
        for window in re.findall(r"\[([^\]]+)\]", query.expr):
            if not window.startswith("$__"):
                assert NAMED[window] in said or f"{window[:-1]} {window[-1]}" in said, f"{query} {window}"
        kind = query.panel.body["type"]
        assert query.target.get("instant", False) == (kind in {"table", "bargauge"}) or kind == "stat", f"{query}"
        if kind in {"timeseries", "state-timeline"}:
            assert not re.search(r"\[\d", query.expr), f"{query}"


@each_board
def test_labels_to_group_by_are_there(board: Board) -> None:
    for query in board.queries:
        for node, _above in parsed(query.plain):
            if isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None:
                inside = [found for found, _ in nodes(node) if isinstance(found, promql_parser.VectorSelector)]
                if any(found.name in {*RECORDS, *UNFILTERED} for found in inside):
                    continue
                there = set().union(*(LABELS.get(str(found.name), {"job", "instance"}) for found in inside)) | MADE
                assert set(node.modifier.labels) <= there, f"{query}"


@each_board
def test_a_legend_names_labels_that_the_answers_have(board: Board) -> None:
    for query in board.queries:
        if query.target.get("format") == "table":
            continue
        for label in re.findall(r"{{(\w+)}}", query.target["legendFormat"]):
            read = [str(vector.name) for vector, _above in vectors(query)]
            by = {
                name
                for node, _above in parsed(query.plain)
                if isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None
                for name in node.modifier.labels
            }
            raw = set().union(*(LABELS.get(name, set()) for name in read)) if not by else set()
            ruled = {label for name in read if re.search(rf"\b{label}\b", RULES.get(name, ""))}
            assert label in by | raw | ruled, f"{query} {label}"


def test_variables_ask_for_labels_of_metrics_that_there_are() -> None:
    for board in boards():
        for variable in list(board.variables.values())[1:]:
            match = re.fullmatch(r"label_values\((\w+)(\{.*\})?, (\w+)\)", variable["definition"])
            assert match, variable["definition"]
            assert variable["query"]["query"] == variable["definition"]
            metric, matchers, label = match.groups()
            assert label == variable["name"]
            assert {label, *re.findall(r"(\w+)=", matchers or "")} <= LABELS[metric]
            assert set(re.findall(r"\$(\w+)", matchers or "")) < set(board.variables)
