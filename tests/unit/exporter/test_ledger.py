"""What is counted of each queue: only ever more, within bounds, and there from the start."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.exposition import Distribution, Reading
from exporter.jobs.ledger import ERROR_CLASSES, FORGET_AFTER, Ledger, Roster, Tally, Targets
from exporter.model import OTHER, OTHER_QUEUE, OUTCOMES, QueueKey, Target

BOUNDS = (1.0, 60.0)
A, B, C, D = (QueueKey(name, "normal") for name in "abcd")
MINUTE = Target(60.0)


def ledger(*configured: QueueKey, most: int = 10) -> Ledger:
    return Ledger(Roster(configured, most), Targets({}, MINUTE), BOUNDS)


def series(readings: object) -> dict[tuple[str, str, str], float]:
    """Values by metric, queue, and outcome or error."""
    found: dict[tuple[str, str, str], float] = {}
    for reading in readings:  # type: ignore[attr-defined]  # any iterable of readings
        assert isinstance(reading, Reading)
        labels = reading.labels
        value = reading.value
        key = (
            reading.metric.removeprefix("postwatch_queue_"),
            labels.get("queue", ""),
            labels.get("outcome", "") + labels.get("error", ""),
        )
        assert key not in found
        found[key] = sum(value.counts) if isinstance(value, Distribution) else value
    return found


class TestRoster:
    def test_configured_names_come_first_whoever_comes_first(self) -> None:
        roster = Roster([C, D], 3)
        assert [roster.admit(key) for key in (A, B, C, D, A)] == [A, OTHER_QUEUE, C, D, A]
        assert list(roster) == [C, D, A]
        assert roster.turned_away == 1

    def test_all_that_are_configured_have_series_however_many(self) -> None:
        roster = Roster([A, B, C], 1)
        assert [roster.admit(key) for key in (A, B, C, D)] == [A, B, C, OTHER_QUEUE]

    def test_who_was_admitted_stays(self) -> None:
        roster = Roster([], 2)
        for number in range(100):
            roster.admit(QueueKey(f"q{number}", "normal"))
        assert [key.queue for key in roster] == ["q0", "q1"]
        assert roster.turned_away == 98

    def test_one_that_is_gone_makes_room_but_a_configured_one_is_never_gone(self) -> None:
        roster = Roster([A], 2)
        roster.admit(B)
        roster.dismiss(B)
        roster.dismiss(A)
        assert [roster.admit(key) for key in (C, D, A)] == [C, OTHER_QUEUE, A]
        assert roster.is_configured(A)
        assert not roster.is_configured(C)

    def test_a_new_configuration_keeps_who_is_there(self) -> None:
        roster = Roster([A], 2)
        roster.admit(B)
        roster.adopt(Roster([C], 3))
        assert [roster.admit(key) for key in (A, B, C, D)] == [A, B, C, OTHER_QUEUE]
        assert [roster.is_configured(key) for key in (A, B, C)] == [False, False, True]


def test_a_target_of_its_own_or_that_of_the_others() -> None:
    targets = Targets({A: Target(5.0)}, Target(900.0))
    assert targets.of(A).seconds == 5
    assert targets.of(B).seconds == 900
    assert targets.of(QueueKey("a", "high")).seconds == 900
    assert targets.named == (A,)


class TestTally:
    def test_an_end_is_observed(self) -> None:
        tally = Tally(BOUNDS)
        tally.ended("completed", 100.0, 130.0, 160.0, MINUTE)  # 60 s: just within
        tally.ended("completed", 100.0, 130.0, 160.5, MINUTE)
        tally.ended("failed", 100.0, 100.5, 101.0, MINUTE)
        tally.ended("cancelled", 100.0, None, 90.0, MINUTE)
        assert tally.finished == {"completed": 2, "failed": 1, "cancelled": 1, "expired": 0}
        assert tally.within_target == 1
        assert tally.last_finished == 160.5
        assert tally.durations.snapshot() == (BOUNDS, (1, 2, 0), 61.0)
        assert tally.waits.snapshot() == (BOUNDS, (1, 2, 0), 60.5)

    def test_what_a_row_does_not_tell_is_not_observed(self) -> None:
        tally = Tally(BOUNDS)
        tally.ended("completed", 1.0, 2.0, None, MINUTE)
        tally.ended("completed", None, 2.0, 3.0, MINUTE)
        tally.ended("completed", 1.0, None, 3.0, Target())
        assert tally.finished["completed"] == 3
        assert tally.durations.count == 1
        assert (tally.waits.count, tally.within_target) == (0, 0)

    def test_twenty_classes_and_the_rest_together(self) -> None:
        tally = Tally(BOUNDS)
        assert tally.errors == {OTHER: 0}
        for number in range(30):
            tally.attempt_failed(f"E{number}Error", 2, retried=True)
        tally.attempt_failed("E0Error", retried=False)
        assert tally.errors == {"E0Error": 3, OTHER: 20, **{f"E{n}Error": 2 for n in range(1, ERROR_CLASSES)}}
        assert tally.retries == 60

    def test_a_timeout_is_one_even_if_its_class_came_too_late(self) -> None:
        tally = Tally(BOUNDS)
        for number in range(ERROR_CLASSES):
            tally.attempt_failed(f"E{number}Error", retried=False)
        tally.attempt_failed("ReadTimeout", 3, retried=True)
        assert (tally.timeouts, tally.errors[OTHER]) == (3, 3)

    @given(st.lists(st.sampled_from([f"E{n}Error" for n in range(40)])))
    def test_no_failure_is_lost(self, errors: list[str]) -> None:
        tally = Tally(BOUNDS)
        for error in errors:
            tally.attempt_failed(error, retried=False)
        first = list(dict.fromkeys(errors))[:ERROR_CLASSES]
        truth = Counter(error if error in first else OTHER for error in errors)
        assert tally.errors == {OTHER: 0, **truth}


class TestLedger:
    def test_everything_is_there_at_zero(self) -> None:
        told = series(ledger(A).readings({"source": "mail"}))
        assert set(told.values()) == {0}
        names = ("jobs_enqueued_total", "jobs_within_target_total", "job_retries_total", "job_timeouts_total")
        histograms = ("job_duration_seconds", "job_wait_seconds")
        assert told.keys() == {
            ("long_transactions_total", "", ""),
            *((name, "a", "") for name in (*names, *histograms)),
            *(("jobs_finished_total", "a", outcome) for outcome in OUTCOMES),
            ("job_errors_total", "a", OTHER),
        }

    def test_what_came_too_late_adds_up_in_one(self) -> None:
        books = ledger(A, most=2)
        for key in (B, C, D, C, A):
            books.tally(books.roster.admit(key)).enqueued += 1
        told = series(books.readings({}))
        assert {q: n for (name, q, _), n in told.items() if name == "jobs_enqueued_total"} == {"a": 1, "b": 1, OTHER: 3}

    def test_what_the_source_cannot_tell_is_absent(self) -> None:
        books = ledger(A)
        books.absent = frozenset(["postwatch_queue_job_wait_seconds"])
        assert ("job_wait_seconds", "a", "") not in series(books.readings({}))
        assert ("job_duration_seconds", "a", "") in series(books.readings({}))

    def test_a_queue_that_is_gone_for_a_day_is_forgotten(self) -> None:
        books = ledger(A, most=2)
        books.tally(books.roster.admit(B)).enqueued = 7
        books.attend(frozenset([B]), 0.0)
        books.attend(frozenset(), 100.0)
        books.attend(frozenset(), 100.0 + FORGET_AFTER)
        assert series(books.readings({}))["jobs_enqueued_total", "b", ""] == 7
        assert books.roster.admit(C) == OTHER_QUEUE
        books.attend(frozenset(), 101.0 + FORGET_AFTER)
        told = series(books.readings({}))
        assert ("jobs_enqueued_total", "b", "") not in told
        assert ("jobs_enqueued_total", "a", "") in told  # named in the configuration, so never gone
        assert books.roster.admit(C) == C

    def test_a_queue_that_comes_back_goes_on_counting(self) -> None:
        books = ledger()
        books.tally(B).enqueued = 7
        books.attend(frozenset(), 0.0)
        books.attend(frozenset([B]), FORGET_AFTER)
        books.attend(frozenset(), FORGET_AFTER + 10)
        books.attend(frozenset(), 2 * FORGET_AFTER)
        assert series(books.readings({}))["jobs_enqueued_total", "b", ""] == 7

    def test_the_rest_is_never_forgotten(self) -> None:
        books = ledger()
        books.tally(OTHER_QUEUE).enqueued = 7
        for day in range(4):
            books.attend(frozenset(), day * 2 * FORGET_AFTER)
        assert series(books.readings({}))["jobs_enqueued_total", OTHER, ""] == 7

    def test_when_a_job_last_ended_is_told_of_single_queues(self) -> None:
        books = ledger()
        for key in (A, OTHER_QUEUE):
            books.tally(key).ended("completed", None, None, 500.0, MINUTE)
        assert series(books.finish_times({}, [A, B, OTHER_QUEUE])) == {
            ("last_finished_timestamp_seconds", "a", ""): 500
        }


def test_an_unknown_outcome_is_a_defect() -> None:
    with pytest.raises(KeyError):
        Tally(BOUNDS).ended("exploded", None, None, None, MINUTE)
