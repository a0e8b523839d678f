"""What rows that changed tell of their jobs, each event once."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from exporter.jobs.book import Book
from exporter.jobs.horizon import Horizon, Moment, OpenTransaction
from exporter.jobs.journal import SKEW, Change, Journal
from exporter.jobs.ledger import Ledger, Roster, Targets
from exporter.model import OTHER, QueueKey, Target

T = 1_700_000_000.0
KEY = QueueKey("mail", "high")


class Crew:
    """Whoever wants to know which worker ended a job."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, float | None, float | None]] = []

    def ended(self, worker: str, outcome: str, started: float | None, ended: float | None) -> None:
        self.told.append((worker, outcome, started, ended))


class Desk:
    """A journal and all it writes to. Times are seconds since its first look."""

    def __init__(self, target: float | None = 60.0) -> None:
        self.ledger = Ledger(Roster((), 10), Targets({}, Target(target)), (1.0, 10.0, 100.0))
        self.book = Book()
        self.crew = Crew()
        self.journal = Journal(self.ledger, self.book, self.crew)
        self.horizon = Horizon()
        self.now = 0.0

    def look(self, at: float, *rows: Change, open_: tuple[OpenTransaction, ...] = ()) -> None:
        self.now = at
        plan = self.horizon.plan(Moment(T + at, at, open_))
        self.journal.look(plan, T + at, at)
        for row in rows:
            self.journal.enter(row)
        self.horizon.done(plan, 1)
        self.journal.looked(self.horizon.reach)

    @property
    def tally(self) -> Any:
        return self.ledger.tally(KEY)


def row(state: str, *, job: int = 1, attempts: int = 0, error: str | None = None, **times: float | None) -> Change:
    """Times are seconds since the first look; those not given are None, `created` 1."""
    given = {"created": 1.0, "run_at": None, "started": None, "ended": None, "changed": None, **times}
    found = {name: None if time is None else T + time for name, time in given.items()}
    return Change(job, KEY, state, attempts, **found, worker="w1", error=error)


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    desk.look(0)
    return desk


def test_the_first_look_counts_nothing() -> None:
    desk = Desk()
    desk.look(0, row("waiting", created=-0.5), row("completed", job=2, created=-0.6, ended=-0.2))
    desk.look(5, row("waiting", created=-0.5), row("completed", job=2, created=-0.6, ended=-0.2))
    assert desk.tally.enqueued == 0
    assert not any(desk.tally.finished.values())
    assert desk.crew.told == []


def test_history_marked_at_the_first_look_is_not_news_later() -> None:
    desk = Desk()
    old = OpenTransaction("a", T - 60, wrote=True)
    ended = row("completed", created=-100.0, ended=-50.0)
    desk.look(0, ended, open_=(old,))
    desk.look(5, ended, row("completed", job=2, created=-100.0, ended=-40.0))
    assert desk.tally.finished["completed"] == 1, "what the old transaction ended is"


def test_a_job_from_creation_to_end(desk: Desk) -> None:
    desk.look(5, row("waiting"))
    desk.look(10, row("active", attempts=1, started=7.0))
    desk.look(15, row("completed", attempts=1, started=7.0, ended=12.0))
    tally = desk.tally
    assert (tally.enqueued, tally.finished["completed"], tally.within_target) == (1, 1, 1)
    assert (tally.durations.total, tally.waits.total) == (5.0, 6.0)
    assert (tally.retries, tally.errors) == (0, {OTHER: 0})
    assert tally.last_finished == T + 12
    assert desk.crew.told == [("w1", "completed", T + 7, T + 12)]


def test_looks_that_overlap_and_touches_count_nothing_twice(desk: Desk) -> None:
    ended = row("completed", attempts=1, started=2.0, ended=3.0)
    for at in (5, 10, 100, 800):
        desk.look(at, ended)
        assert (desk.tally.enqueued, desk.tally.finished["completed"]) == (1, 1)


def test_jobs_that_share_a_timestamp_are_told_apart(desk: Desk) -> None:
    desk.look(5, *(row("completed", job=job, created=2.0, ended=3.0) for job in range(3000)))
    assert (desk.tally.enqueued, desk.tally.finished["completed"]) == (3000, 3000)


def test_one_that_failed_for_good_and_is_put_back_counts_again(desk: Desk) -> None:
    desk.look(5, row("failed", attempts=3, ended=3.0, error="ValueError: x"))
    desk.look(10, row("waiting", attempts=0))
    desk.look(15, row("failed", attempts=1, ended=12.0, error="ValueError: x"))
    assert desk.tally.finished["failed"] == 2
    assert desk.tally.enqueued == 1
    assert desk.tally.errors["ValueError"] == 4, "three attempts, then one"


def test_a_worker_s_clock_may_be_behind(desk: Desk) -> None:
    desk.look(100)
    desk.look(105, row("completed", created=2.0, ended=104 - SKEW + 2))
    assert desk.tally.finished["completed"] == 1


def test_within_target_are_completed_jobs_alone() -> None:
    desk = Desk(target=10.0)
    desk.look(0)
    desk.look(
        30,
        row("completed", job=1, created=5.0, started=10.0, ended=15.0),
        row("completed", job=2, created=5.0, started=10.0, ended=15.1),
        row("failed", job=3, created=5.0, started=6.0, ended=7.0),
        row("completed", job=4, created=1.0, run_at=20.0, started=21.0, ended=25.0),
    )
    assert desk.tally.within_target == 2


STARTED = "counted when an attempt starts"
FAILED = "counted when an attempt fails"


@pytest.mark.parametrize("convention", [STARTED, FAILED])
@pytest.mark.parametrize("missed", ["nothing", "active", "waiting", "all"])
def test_retries_by_either_meaning_of_attempts(desk: Desk, convention: str, missed: str) -> None:
    """Three attempts fail, the fourth completes. What falls between two looks is made up for at the next row."""
    ahead = 1 if convention is STARTED else 0
    at = 0
    for failed in range(4):
        if failed and missed not in ("waiting", "all"):
            desk.look(at := at + 5, row("waiting", attempts=failed, error="TypeError: x"))
        if missed not in ("active", "all"):
            desk.look(at := at + 5, row("active", attempts=failed + ahead, started=at))
    desk.look(at + 5, row("completed", attempts=3 + ahead, started=at, ended=at + 1.0))
    unseen = convention is FAILED and missed in ("waiting", "all")
    assert desk.tally.retries == (2 if unseen else 3)
    assert sum(desk.tally.errors.values()) == desk.tally.retries
    assert desk.tally.errors.get("TypeError", 0) == (0 if missed in ("waiting", "all") else 3)


@pytest.mark.parametrize("attempts", [1, 2])
def test_ready_is_that_of_the_first_attempt(desk: Desk, attempts: int) -> None:
    """Whether or not `attempts` holds the running one, a retry that put `run_at` off does not shorten the wait."""
    desk.look(5, row("waiting", created=4.0, run_at=4.0))
    desk.look(10, row("waiting", created=4.0, run_at=40.0, attempts=1))
    desk.look(50, row("completed", created=4.0, run_at=40.0, attempts=attempts, started=45.0, ended=46.0))
    assert desk.tally.waits.total == 41.0


def test_ready_of_a_scheduled_job_is_its_run_time(desk: Desk) -> None:
    desk.look(5, row("waiting", created=4.0, run_at=30.0))
    desk.look(35, row("waiting", created=4.0, run_at=60.0, attempts=1))
    desk.look(70, row("completed", created=4.0, run_at=60.0, attempts=2, started=61.0, ended=62.0))
    assert desk.tally.waits.total == 31.0


def test_a_job_that_failed_before_we_came_tells_of_what_failed_since(desk: Desk) -> None:
    desk.look(5, row("waiting", created=-500.0, attempts=4, error="KeyError: x"))
    assert (desk.tally.retries, desk.tally.errors["KeyError"]) == (1, 1)
    desk.look(10, row("failed", created=-500.0, attempts=5, ended=8.0, error="KeyError: x"))
    assert (desk.tally.retries, desk.tally.errors["KeyError"]) == (1, 2)


def test_errors_and_timeouts_are_counted_by_class(desk: Desk) -> None:
    desk.look(
        5,
        row("failed", job=1, attempts=1, ended=2.0, error="smtplib.SMTPServerDisconnected: bob@example.com"),
        row("failed", job=2, attempts=1, ended=2.0, error="TimeoutError: 30 s"),
        row("failed", job=3, attempts=1, ended=2.0, error="something went wrong"),
        row("waiting", job=4, attempts=1, error="JobTimeout"),
    )
    expected = {"SMTPServerDisconnected": 1, "TimeoutError": 1, "JobTimeout": 1, OTHER: 1}
    assert desk.tally.errors == expected
    assert (desk.tally.timeouts, desk.tally.retries) == (2, 1)


@pytest.mark.parametrize("outcome", ["cancelled", "expired"])
def test_an_end_without_a_time_is_known_by_its_attempt(desk: Desk, outcome: str) -> None:
    ended = row(outcome, attempts=1, started=2.0, changed=3.0)
    desk.look(5, ended)
    for at in (10, 400, 1200):
        desk.look(at, ended._replace(changed=T + at - 1))
    assert desk.tally.finished == {**Counter(), "completed": 0, "failed": 0, "cancelled": 0, "expired": 0, outcome: 1}
    assert desk.tally.last_finished == T + 3


def test_an_end_without_a_time_counts_again_after_another_life(desk: Desk) -> None:
    ended = row("failed", attempts=0, changed=3.0)
    desk.look(5, ended)
    desk.look(10, row("waiting", changed=8.0))
    desk.look(15, ended._replace(changed=T + 12))
    assert desk.tally.finished["failed"] == 2


def test_the_book_follows(desk: Desk) -> None:
    desk.look(5, row("waiting", job=1), row("waiting", job=2, run_at=100.0), row("active", job=3, attempts=1))
    desk.book.counted(desk.book.mark(T + 5), {})
    desk.look(10, row("waiting", job=4, created=8.0), row("waiting", job=5, created=8.0, run_at=200.0))
    assert desk.book.split(T + 10)[KEY] == (1, 1, 0 + 1)
    desk.look(15, row("completed", job=3, attempts=1, ended=14.0), row("active", job=4, created=8.0, attempts=1))
    assert desk.book.split(T + 15)[KEY] == (1, 0, 1)
    assert desk.book.split(T + 300)[KEY] == (0, 1, 1), "its time has come"


def test_identities_that_only_grow_need_no_memory(desk: Desk) -> None:
    desk.journal.enter_new_job(row("waiting"))
    desk.journal.enter_attempt(row("active", attempts=1, started=2.0))
    assert [active.started for active in desk.book.active()] == [T + 2]
    desk.journal.enter_attempt(row("waiting", attempts=1, error="OSError: x"))
    assert not list(desk.book.active())
    desk.journal.enter_attempt(row("completed", attempts=1, started=4.0, ended=5.0))
    assert (desk.tally.enqueued, desk.tally.retries, desk.tally.finished["completed"]) == (1, 1, 1)
