"""What is served of what was published: by whom, for how long, and which of it somebody asked for."""

from __future__ import annotations

import gzip
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families as read_text

from chassis.board import Board
from chassis.exposition import Distribution, Format, Reading
from tests.unit.chassis.boards import board, both, depth, read_openmetrics, samples


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
