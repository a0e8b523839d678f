"""How a queue stands for a person: by its depth, and by the failures of the last hour."""

import pytest

from exporter.jobs.ledger import Tally
from exporter.model import Level, QueueKey, Target, Thresholds
from exporter.queues.base import QueueRow

NOW = 1_800_000_000.0
LIMITS = Thresholds(depth_warning=100, depth_critical=1000, depth_page=10_000, failures_critical=10, failures_page=0.05)


def row(waiting: int | None, failed_lately: int | None) -> QueueRow:
    return QueueRow(QueueKey("email", "normal"), waiting, 0, 0, 0, None, False, None, failed_lately)


@pytest.mark.parametrize(
    ("waiting", "failed_lately", "word", "level"),
    [
        (None, 50, "unknown", Level.UNKNOWN),
        (0, None, "healthy", Level.GOOD),
        (100, 10, "healthy", Level.GOOD),
        (101, 0, "warning", Level.WARNING),
        (1000, 0, "warning", Level.WARNING),
        (1001, 0, "critical", Level.BAD),
        (0, 11, "critical", Level.BAD),
    ],
)
def test_a_row(waiting: int | None, failed_lately: int | None, word: str, level: Level) -> None:
    assert row(waiting, failed_lately).standing(LIMITS) == (word, level)


def test_failures_of_the_last_hour() -> None:
    tally = Tally((1.0,))
    for minutes_ago, outcome in [
        (0, "failed"),
        (1, "failed"),
        (30, "failed"),
        (30, "completed"),
        (59, "failed"),
        (61, "failed"),
        (500, "failed"),
    ]:
        tally.ended(outcome, None, None, NOW - 60 * minutes_ago, Target())
    assert tally.failed_in_the_hour_before(NOW) == 4
    assert tally.failed_in_the_hour_before(NOW + 1800) == 2
    assert tally.failed_in_the_hour_before(NOW + 7200) == 0


def test_memory_of_failures_is_bounded() -> None:
    tally = Tally((1.0,))
    for minute in range(10_000):
        tally.ended("failed", None, None, NOW + 60 * minute, Target())
    assert tally.finished["failed"] == 10_000
    assert len(tally.failed_by_minute) <= 120
    assert tally.failed_in_the_hour_before(NOW + 60 * 9_999) == 60
