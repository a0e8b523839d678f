"""What scrapers are served: valid in both formats, the same in both, and nothing that is too old."""

from __future__ import annotations

import gzip
import math
import subprocess
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import Metric
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families as read_text

from chassis.clock import ManualClock
from chassis.exposition import (
    OPENMETRICS_TYPE,
    TEXT_TYPE,
    Board,
    BoardEndpoint,
    Distribution,
    Family,
    Format,
    Kind,
    Reading,
    negotiate,
    number,
)
from exporter.catalogue import CATALOGUE

AWKWARD = 'say "hi"\\ to\nbob 📮 ☃ {a="b"} # EOF'
FAMILIES = (
    Family("queue_depth", Kind.GAUGE, 'Jobs "waiting".\nBackslash: \\'),
    Family("jobs_total", Kind.COUNTER, "Jobs."),
    Family("wait_seconds", Kind.HISTOGRAM, "Waits."),
)
# It has no types.
read_openmetrics: Callable[[str], Iterable[Metric]] = openmetrics_parser.text_string_to_metric_families
Sample = tuple[str, tuple[tuple[str, str], ...], float]


def board(families: tuple[Family, ...] = FAMILIES) -> tuple[Board, ManualClock]:
    clock = ManualClock()
    return Board(families, clock), clock


def depth(queue: str, value: float = 1.0) -> Reading:
    return Reading("queue_depth", {"queue": queue}, value)


def samples(read: Callable[[str], Iterable[Metric]], body: bytes) -> list[Sample]:
    found = [
        (sample.name, tuple(sorted(sample.labels.items())), sample.value)
        for family in read(body.decode())
        for sample in family.samples
    ]
    assert len(found) == len(set(found))
    return sorted(found)


def both(one: Board) -> list[Sample]:
    """All samples, which both formats have to tell alike."""
    text, openmetrics = (one.body(form) for form in Format)
    told = samples(read_text, text)
    assert told == samples(read_openmetrics, openmetrics)
    assert openmetrics.endswith(b"# EOF\n")
    assert sorted(line for line in text.splitlines() if line[:1] != b"#") == sorted(
        line for line in openmetrics.splitlines() if line[:1] != b"#"
    )
    return told


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


class TestOwners:
    def test_a_family_is_written_once_whoever_feeds_it(self) -> None:
        one, _ = board()
        for owner in "abc":
            one.publish(owner, [depth(owner), Reading("jobs_total", {"queue": owner}, 1)], ttl=5)
        assert len(both(one)) == 6
        text = one.body(Format.TEXT)
        assert (text.count(b"# TYPE queue_depth"), text.count(b"# HELP jobs_total")) == (1, 1)
        assert [line[7:18] for line in text.splitlines() if b"TYPE" in line] == [b"queue_depth", b"jobs_total "]

    def test_an_owner_replaces_all_it_said_and_nothing_else(self) -> None:
        one, _ = board()
        one.publish("a", [depth("x"), depth("y")])
        one.publish("b", [depth("z")])
        one.publish("a", [depth("x", 2)])
        assert both(one) == [("queue_depth", (("queue", "x"),), 2.0), ("queue_depth", (("queue", "z"),), 1.0)]
        one.publish("a", [])
        assert [labels for _, labels, _ in both(one)] == [(("queue", "z"),)]

    def test_gauges_grow_stale_and_counters_stay(self) -> None:
        one, clock = board()
        histogram = Reading("wait_seconds", {}, Distribution((1.0,), (1, 0), 0.5))
        one.publish("a", [depth("x"), Reading("jobs_total", {}, 1), histogram], ttl=30)
        one.publish("b", [depth("configured")])
        clock.advance(29.9)
        clock.step(3600)  # the wall clock says nothing of age
        assert ("queue_depth", (("queue", "x"),), 1.0) in both(one)
        clock.advance(0.1)
        names = [(name, labels) for name, labels, _ in both(one)]
        assert ("queue_depth", (("queue", "x"),)) not in names
        assert ("queue_depth", (("queue", "configured"),)) in names
        assert ("jobs_total", ()) in names
        assert ("wait_seconds_count", ()) in names
        one.publish("a", [depth("x", 3)], ttl=30)
        assert ("queue_depth", (("queue", "x"),), 3.0) in both(one)

    def test_an_undeclared_metric_is_refused_and_changes_nothing(self) -> None:
        one, _ = board()
        one.publish("a", [depth("x")])
        with pytest.raises(KeyError, match="made_up"):
            one.publish("a", [depth("y"), Reading("made_up", {}, 1)])
        assert both(one) == [("queue_depth", (("queue", "x"),), 1.0)]

    def test_what_a_prefix_names_is_withdrawn(self) -> None:
        one, _ = board()
        for owner in ("source mail: living", "source mail: counted", "source mailbox: living"):
            one.publish(owner, [depth(owner), Reading("jobs_total", {"owner": owner}, 1)], ttl=30)
        assert len(both(one)) == 6
        one.withdraw("source mail: ")
        assert {labels[0][1] for _, labels, _ in both(one)} == {"source mailbox: living"}


class TestFilter:
    @pytest.fixture
    def one(self) -> Board:
        made, _ = board()
        histogram = Reading("wait_seconds", {}, Distribution((1.0,), (1, 0), 0.5))
        made.publish("a", [depth("x"), Reading("jobs_total", {}, 1), histogram])
        return made

    @pytest.mark.parametrize(
        ("names", "families"),
        [
            (["queue_depth"], {"queue_depth"}),
            (["jobs_total"], {"jobs_total"}),
            (["jobs"], {"jobs_total"}),
            (["wait_seconds"], {"wait_seconds"}),
            (["wait_seconds_bucket"], {"wait_seconds"}),
            (["wait_seconds_sum"], {"wait_seconds"}),
            (["wait_seconds_count", "queue_depth"], {"wait_seconds", "queue_depth"}),
            (["queue_depth_bucket", "jobs_total_count", "queue"], set()),
        ],
    )
    def test_by_family_and_by_sample(self, one: Board, names: list[str], families: set[str]) -> None:
        chosen = frozenset(names)
        lines = one.body(Format.TEXT, chosen).decode().splitlines()
        assert {line.split()[2] for line in lines if line.startswith("# TYPE")} == families
        openmetrics = one.body(Format.OPENMETRICS, chosen)
        assert samples(read_text, one.body(Format.TEXT, chosen)) == samples(read_openmetrics, openmetrics)
        assert gzip.decompress(one.gzipped(Format.OPENMETRICS, chosen)) == openmetrics

    def test_it_leaves_the_whole_alone(self, one: Board) -> None:
        whole = one.body(Format.TEXT)
        one.body(Format.TEXT, frozenset(["jobs"]))
        assert one.body(Format.TEXT) == whole
        assert gzip.decompress(one.gzipped(Format.TEXT)) == whole


class _Interrupted:
    """A lock at whose next release somebody else gets a turn."""

    def __init__(self, turn: Callable[[], None]) -> None:
        self._turn: Callable[[], None] | None = turn

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        turn, self._turn = self._turn, None
        if turn:
            turn()


class TestCompressed:
    @pytest.mark.parametrize("form", Format)
    def test_it_is_the_same(self, form: Format) -> None:
        one, clock = board()
        for value in range(3):
            one.publish("a", [depth("x", value)], ttl=10)
            assert gzip.decompress(one.gzipped(form)) == one.body(form)
            assert one.gzipped(form) == one.gzipped(form)
        clock.advance(10)
        assert gzip.decompress(one.gzipped(form)) == one.body(form)
        assert b"queue_depth" not in one.body(form)

    def test_what_is_published_meanwhile_is_served_next(self) -> None:
        one, _ = board()
        one.publish("a", [depth("x", 1)])

        def meanwhile() -> None:
            one.publish("a", [depth("x", 2)])
            one.body(Format.TEXT)

        one._lock = _Interrupted(meanwhile)  # type: ignore[assignment]  # as if another thread came between
        one.gzipped(Format.TEXT)
        assert gzip.decompress(one.gzipped(Format.TEXT)) == one.body(Format.TEXT)
        assert b'queue_depth{queue="x"} 2.0\n' in one.body(Format.TEXT)


OWNERS = ("a", "b", "c")
STEPS = st.one_of(
    st.tuples(st.sampled_from(OWNERS), st.sampled_from([None, 2.0, 5.0]), st.dictionaries(
        st.tuples(st.sampled_from(["queue_depth", "jobs_total"]), st.sampled_from("xy")), st.integers(0, 2))),
    st.tuples(st.just("withdraw"), st.sampled_from(OWNERS)),
    st.tuples(st.just("wait"), st.sampled_from([1.0, 3.0])),
)  # fmt: skip


@given(st.lists(STEPS, max_size=25))
def test_each_scrape_shows_what_stands_by_then(steps: list[tuple[Any, ...]]) -> None:
    """The truth is kept beside it: by owner, family and queue the value and until when it stands."""
    one, clock = board()
    truth: dict[tuple[str, str, str], tuple[float, float]] = {}
    for step in steps:
        match step:
            case "withdraw", owner:
                one.withdraw(owner)
                truth = {key: value for key, value in truth.items() if key[0] != owner}
            case "wait", seconds:
                clock.advance(seconds)
            case owner, ttl, values:
                one.publish(owner, [Reading(m, {"queue": q, "by": owner}, v) for (m, q), v in values.items()], ttl)
                truth = {key: value for key, value in truth.items() if key[0] != owner}
                for (metric, queue), value in values.items():
                    until = clock.monotonic() + ttl if ttl and metric == "queue_depth" else math.inf
                    truth[owner, metric, queue] = (value, until)
        truth = {key: value for key, value in truth.items() if value[1] > clock.monotonic()}
        expected = sorted(
            (metric, (("by", owner), ("queue", queue)), value) for (owner, metric, queue), (value, _) in truth.items()
        )
        body = one.body(Format.TEXT)
        assert samples(read_text, body) == expected
        assert gzip.decompress(one.gzipped(Format.TEXT)) == body


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
