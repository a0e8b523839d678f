"""What scrapers are served: valid in both formats, and the same in both."""

from __future__ import annotations

import math
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.board import Board, BoardEndpoint
from chassis.clock import ManualClock
from chassis.exposition import (
    OPENMETRICS_TYPE,
    TEXT_TYPE,
    Distribution,
    Format,
    Kind,
    Reading,
    negotiate,
    number,
)
from exporter.catalogue import CATALOGUE
from tests.unit.chassis.boards import board, both, depth, read_openmetrics, samples

AWKWARD = 'say "hi"\\ to\nbob 📮 ☃ {a="b"} # EOF'


def everything() -> list[Reading]:
    """Two series of each family of the catalogue, one of them with labels that are hard to write."""
    readings = []
    for metric in CATALOGUE:
        for text in ("plain", AWKWARD):
            labels = dict.fromkeys(metric.labels, text)
            value = Distribution((0.1, 60.0), (1, 2, 3), 200.5) if metric.kind is Kind.HISTOGRAM else 1.5
            readings.append(Reading(metric.name, labels, value))
            if not labels:
                break
    return readings


class TestWholeCatalogue:
    @pytest.fixture
    def full(self) -> Board:
        one = Board([metric.family for metric in CATALOGUE], ManualClock())
        one.publish("all", everything())
        return one

    def test_promtool_has_nothing_to_say(self, full: Board) -> None:
        done = subprocess.run(["promtool", "check", "metrics"], input=full.body(Format.TEXT), capture_output=True)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")

    def test_both_formats_tell_the_same(self, full: Board) -> None:
        told = {(name, dict(labels).get("source", "")): value for name, labels, value in both(full)}
        assert told["postwatch_queue_depth", AWKWARD] == 1.5
        assert told["postwatch_queue_job_wait_seconds_count", AWKWARD] == 6
        families = {family.name for family in read_openmetrics(full.body(Format.OPENMETRICS).decode())}
        assert families == {metric.name.removesuffix("_total") for metric in CATALOGUE}

    def test_types_and_help_are_those_declared(self, full: Board) -> None:
        read = {family.name: family for family in read_openmetrics(full.body(Format.OPENMETRICS).decode())}
        for metric in CATALOGUE:
            family = read[metric.name.removesuffix("_total")]
            assert (family.type, family.documentation) == (metric.kind.value, metric.help)


class TestForm:
    def test_a_histogram_is_cumulated(self) -> None:
        one, _ = board()
        one.publish("a", [Reading("wait_seconds", {"queue": "q"}, Distribution((0.1, 60.0), (1, 0, 2), 7.5))])
        assert one.body(Format.TEXT).decode() == (
            "# HELP wait_seconds Waits.\n"
            "# TYPE wait_seconds histogram\n"
            'wait_seconds_bucket{queue="q",le="0.1"} 1.0\n'
            'wait_seconds_bucket{queue="q",le="60.0"} 1.0\n'
            'wait_seconds_bucket{queue="q",le="+Inf"} 3.0\n'
            'wait_seconds_sum{queue="q"} 7.5\n'
            'wait_seconds_count{queue="q"} 3.0\n'
        )

    def test_without_labels(self) -> None:
        one, _ = board()
        one.publish("a", [Reading("jobs_total", {}, 3), Reading("wait_seconds", {}, Distribution((1.0,), (0, 0), 0.0))])
        assert both(one) == [
            ("jobs_total", (), 3.0),
            ("wait_seconds_bucket", (("le", "+Inf"),), 0.0),
            ("wait_seconds_bucket", (("le", "1.0"),), 0.0),
            ("wait_seconds_count", (), 0.0),
            ("wait_seconds_sum", (), 0.0),
        ]

    @given(st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"], include_characters='\n"\\'), min_size=1))
    def test_any_label_is_read_back(self, text: str) -> None:
        one, _ = board()
        one.publish("a", [depth(text)])
        ((_, ((_, read),), _),) = samples(read_openmetrics, one.body(Format.OPENMETRICS))
        assert read == text

    def test_help_is_escaped_as_each_format_asks(self) -> None:
        one, _ = board()
        one.publish("a", [depth("q")])
        assert b'# HELP queue_depth Jobs "waiting".\\nBackslash: \\\\\n' in one.body(Format.TEXT)
        assert b'# HELP queue_depth Jobs \\"waiting\\".\\nBackslash: \\\\\n' in one.body(Format.OPENMETRICS)

    @pytest.mark.parametrize(
        ("value", "text"),
        [(1, "1.0"), (0.1, "0.1"), (1e21, "1e+21"), (math.inf, "+Inf"), (-math.inf, "-Inf"), (math.nan, "NaN")],
    )
    def test_numbers(self, value: float, text: str) -> None:
        assert number(value) == text

    def test_nothing_is_valid_too(self) -> None:
        one, _ = board()
        assert (one.body(Format.TEXT), one.body(Format.OPENMETRICS)) == (b"", b"# EOF\n")


PROMETHEUS_2_42 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_3_PROTOBUF = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7," + PROMETHEUS_3
)


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", Format.TEXT),
        ("*/*", Format.TEXT),
        ("text/plain", Format.TEXT),
        ("text/*;q=0.5", Format.TEXT),
        ("text/html,application/xhtml+xml,*/*;q=0.8", Format.TEXT),
        ("application/json", Format.TEXT),
        ("application/openmetrics-text", Format.OPENMETRICS),
        ("Application/OpenMetrics-Text; version=1.0.0; charset=utf-8", Format.OPENMETRICS),
        ('application/openmetrics-text; version="1.0.0"', Format.OPENMETRICS),
        ("application/openmetrics-text; version=0.0.1", Format.TEXT),
        ("application/openmetrics-text;version=0.0.1;q=0.9,text/plain;q=0.1", Format.TEXT),
        ("application/openmetrics-text;q=0.2,text/plain;q=0.3", Format.TEXT),
        ("text/plain;q=0.2,application/openmetrics-text;q=0.3", Format.OPENMETRICS),
        ("application/openmetrics-text;q=0,*/*", Format.TEXT),
        ("application/openmetrics-text;q=0", Format.TEXT),
        ("application/openmetrics-text;q=high", Format.TEXT),
        (";;,=,;q=", Format.TEXT),
        (PROMETHEUS_2_42, Format.OPENMETRICS),
        (PROMETHEUS_3, Format.OPENMETRICS),
        (PROMETHEUS_3_PROTOBUF, Format.OPENMETRICS),
        ("text/plain;version=0.0.4;q=1,*/*;q=0.1", Format.TEXT),
    ],
)
def test_the_preferred_format_is_served(accept: str, form: Format) -> None:
    assert negotiate(accept) is form
    one, _ = board()
    one.publish("a", [depth("x")])
    endpoint = BoardEndpoint(one)
    content_type = {Format.TEXT: TEXT_TYPE, Format.OPENMETRICS: OPENMETRICS_TYPE}[form]
    assert endpoint.body(accept, ()) == (one.body(form), content_type)
    assert endpoint.gzipped(accept, ()) == (one.gzipped(form), content_type)
    assert endpoint.body(accept, ("jobs",))[0] == one.body(form, frozenset(["jobs"]))
