"""What the demo's table makes of two looks at /metrics."""

import io
import re

import pytest
from rich.console import Console

from demo.people import Line
from demo.queues import HIGH, NORMAL
from demo.scrape import Scrape, parse
from demo.story import Beat, Scene, Story
from demo.table import COLUMNS, Board, make_rows


def look(at: float, depth: int, ended: int) -> Scrape:
    labels = 'source="mail",queue="email-sending",priority="normal",team="delivery"'
    return parse(
        f"""\
# TYPE postwatch_queue_depth gauge
postwatch_queue_depth{{{labels}}} {depth}
# TYPE postwatch_queue_depth_threshold gauge
postwatch_queue_depth_threshold{{{labels},level="warning"}} 100
postwatch_queue_depth_threshold{{{labels},level="critical"}} 1000
# TYPE postwatch_queue_oldest_waiting_timestamp_seconds gauge
postwatch_queue_oldest_waiting_timestamp_seconds{{{labels}}} 1000
# TYPE postwatch_queue_jobs_finished_total counter
postwatch_queue_jobs_finished_total{{{labels},outcome="completed"}} {ended}
postwatch_queue_jobs_finished_total{{{labels},outcome="failed"}} 7
# TYPE postwatch_queue_drift_jobs gauge
postwatch_queue_drift_jobs{{{labels},kind="expired"}} 2
postwatch_queue_drift_jobs{{{labels},kind="missing_in_redis"}} 3
# TYPE postwatch_workers gauge
postwatch_workers{{source="mail",state="active"}} 2
postwatch_workers{{source="mail",state="dead"}} 1
# TYPE postwatch_workers_healthy gauge
postwatch_workers_healthy{{source="mail"}} 2
# TYPE postwatch_workers_expected gauge
postwatch_workers_expected{{source="mail"}} 3
""",
        at,
    )


def test_rates_and_drain_time_come_from_the_window() -> None:
    row = {row.queue: row for row in make_rows([look(1010, 300, 50), look(1020, 200, 150)])}[NORMAL]
    assert (row.depth, row.oldest, row.per_second, row.drain) == (200, 20, 10, 20)
    assert (row.failed, row.drift) == (7, 5)


@pytest.mark.parametrize(("depth", "level"), [(99, "ok"), (100, "warning"), (999, "warning"), (1000, "critical")])
def test_depth_is_judged_by_the_exported_thresholds(depth: int, level: str) -> None:
    row = {row.queue: row for row in make_rows([look(1010, depth, 0)])}[NORMAL]
    assert row.level == level


def test_what_the_exporter_does_not_say_is_not_made_up() -> None:
    row = {row.queue: row for row in make_rows([look(1010, 1, 0)])}[HIGH]
    assert row.depth is row.oldest is row.per_second is row.drain is row.drift is None


def test_a_queue_that_moves_no_more_is_never_drained() -> None:
    row = {row.queue: row for row in make_rows([look(1010, 5, 3), look(1020, 5, 3)])}[NORMAL]
    assert row.drain == float("inf")


def test_plain_and_drawn_show_the_same_figures() -> None:
    board = Board()
    board.add(look(1010, 1300, 50))
    board.add(look(1020, 1200, 150))
    plain = "\n".join(board.plain())
    story = Story(None, [Scene("x", "X", lambda _: (beat for beat in [Beat(9, "look", "metric")]))])  # type: ignore[arg-type]
    console = Console(file=io.StringIO(), width=140, record=True)
    board.tell([Line(float(number), "Slack", f"message {number}") for number in range(9)])
    console.print(board.drawn(story, "links"))
    drawn = console.export_text()
    assert re.findall(r"Slack +message (\d)", drawn) == ["8", "7", "6", "5", "4", "3"]  # the latest first
    for text in (*COLUMNS, "email-sending", "1,200", "10.0", "2 min", "2 active, 1 dead; 2 healthy of 3"):
        assert text in plain
        assert text in drawn


def test_old_looks_are_forgotten() -> None:
    board = Board()
    for at in range(1000, 1100, 5):
        board.add(look(at, 0, at))
    assert "1.0" in "\n".join(board.plain())
    assert len(board._history) == 4
