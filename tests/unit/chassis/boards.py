"""A small board, and what both formats tell of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import Metric
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families as read_text

from chassis.board import Board
from chassis.clock import ManualClock
from chassis.exposition import Family, Format, Kind, Reading

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
