"""The catalogue's example queries: about declared metrics alone, and answered by a Prometheus that has the data."""

import re
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families as read_text

from exporter.catalogue import CATALOGUE, Metric
from tests.integration.catalogue.names import BY_NAME, family_of
from tests.support.exporter import Daemon
from tests.support.prometheus import Prometheus, scraping
from tests.support.wait import eventually


def identifiers(query: str) -> set[str]:
    """Names of series in a query: what stands before a selector, a range or nothing at all."""
    text = re.sub(r'"[^"]*"', "", query)
    text = re.sub(r"\b(?:by|on|ignoring|without|group_left|group_right)\s*\([^)]*\)", "", text)
    text = re.sub(r"\{[^}]*\}|\[[^\]]*\]", "", text)
    words = re.findall(r"\b[a-z_][a-z0-9_:]*\b(?!\s*\()", text)
    return {word for word in words if word not in {"and", "or", "unless", "bool", "offset", "sum", "topk"}}


@pytest.mark.parametrize("metric", CATALOGUE, ids=lambda metric: metric.name)
def test_an_example_is_about_its_metric_and_names_declared_ones_alone(metric: Metric) -> None:
    named = {family_of(name) for name in identifiers(metric.query)}
    assert metric.name in named
    assert named <= set(BY_NAME)
    grouped = re.findall(r"\b(?:by|on) \(([^)]*)\)", metric.query)
    labels = {label for name in named for label in BY_NAME[name].labels}
    assert {label.strip() for inside in grouped for label in inside.split(",")} <= {*labels, "le"}


@pytest.fixture(scope="module")
def prometheus(daemon: Daemon) -> Iterator[Prometheus]:
    """A Prometheus that has scraped the daemon."""
    with Prometheus(scraping({"postwatch": daemon.url.removeprefix("http://")})) as running:
        # Twice, so that rates have something to go by.
        eventually(lambda: (running.value("count_over_time(postwatch_build_info[1m])") or 0.0) >= 2, within=40)
        yield running


def test_prometheus_takes_everything_in(prometheus: Prometheus, daemon: Daemon) -> None:
    assert prometheus.value("up") == 1
    served = {sample.name for family in read_text(daemon.get().text) for sample in family.samples}
    stored = {labels["__name__"] for labels, _ in prometheus.query('{job="postwatch"}')}
    assert served <= stored


def test_every_example_is_answered(prometheus: Prometheus) -> None:
    """By a Prometheus that has the data, so that joins that do not match would show."""
    compares = re.compile(r"[<>=]=? ?[\w.]+$|[<>] on")
    empty = {metric.name for metric in CATALOGUE if not prometheus.query(metric.query)}
    assert {name for name in empty if not compares.search(BY_NAME[name].query)} == set()
