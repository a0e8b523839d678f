"""waiting = counted + created - ended - active - scheduled, whatever happens while an exact count is under way."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from exporter.jobs.book import Active, Book, Exact, Mark
from exporter.model import OTHER_QUEUE, QueueKey

A, B = QueueKey("a", "normal"), QueueKey("b", "high")
NOW = 1000.0


def counted(book: Book, now: float = NOW, **queues: int) -> None:
    book.counted(book.mark(now), {QueueKey(name, "normal"): Exact(waiting) for name, waiting in queues.items()})


def test_nothing_is_told_before_the_first_count() -> None:
    book = Book()
    book.created(A)
    assert book.depth(NOW) is None
    assert list(book.readings([A], {}, NOW)) == []


def test_a_count_is_carried_forward() -> None:
    book = Book()
    counted(book, a=100)
    for _ in range(30):
        book.created(A)
    for job in range(10):
        book.is_active(job, Active(A, NOW, "w"))
    for job in range(4):
        book.ended(job, A)
    assert book.split(NOW) == {A: (0, 120, 6)}
    assert book.living() == {A: 126}


def test_a_job_that_never_was_active_between_looks_ends_all_the_same() -> None:
    book = Book()
    counted(book, a=5)
    book.ended(1, A)
    assert book.depth(NOW) == {A: 4}


def test_a_job_that_is_sent_back_waits_again() -> None:
    book = Book()
    counted(book, a=5)
    book.is_active(1, Active(A, NOW, None))
    assert book.depth(NOW) == {A: 4}
    book.is_not_active(1)
    assert book.depth(NOW) == {A: 5}


def test_what_the_system_says_of_an_attempt_holds_for_that_attempt() -> None:
    book = Book()
    book.set_active({1: Active(A, NOW, "w", late_at=NOW + 60), 2: Active(A, NOW, "w")}, NOW)
    for started, late_at in ((NOW, NOW + 60), (NOW + 5, None)):
        book.is_active(1, Active(A, started, "w"))
        assert {one.late_at for one in book.active() if one.started == started} == {late_at, None}


def test_what_is_scheduled_turns_ready_as_time_passes() -> None:
    book = Book()
    exact = Exact(waiting=10, scheduled=Counter({NOW + 10: 3, NOW + 20: 2}))
    book.counted(book.mark(NOW), {A: exact})
    book.next_look()
    book.created(A)
    book.put_off(7, A, NOW + 15)
    assert [book.split(NOW + s)[A][:2] for s in (0, 9.9, 10, 15, 20, 99)] == [
        (6, 10),
        (6, 10),
        (3, 13),
        (2, 14),
        (0, 16),
        (0, 16),
    ]


def test_one_that_was_put_off_and_runs_or_ends_is_not_scheduled() -> None:
    book = Book()
    counted(book, a=0)
    book.next_look()
    for job in (1, 2):
        book.created(A)
        book.put_off(job, A, NOW + 50)
    assert book.split(NOW) == {A: (2, 0, 0)}
    book.is_active(1, Active(A, NOW, None))
    book.ended(2, A)
    assert book.split(NOW) == {A: (0, 0, 1)}


def test_what_was_put_off_before_a_count_is_in_it_and_after_it_is_not() -> None:
    book = Book()
    book.next_look()
    book.created(A)
    book.put_off(1, A, NOW + 50)
    mark = book.mark(NOW)
    book.next_look()
    book.created(A)
    book.put_off(2, A, NOW + 50)
    book.counted(mark, {A: Exact(scheduled=Counter({NOW + 50: 1}))})
    assert book.split(NOW) == {A: (2, 0, 0)}
    assert book.split(NOW + 50) == {A: (0, 2, 0)}


def test_a_queue_that_a_count_does_not_name_is_empty() -> None:
    book = Book()
    counted(book, a=50)
    for _ in range(5):
        book.created(B)
    counted(book)
    assert {*(book.depth(NOW) or {A: 1}).values()} == {0}


def test_a_depth_is_never_negative() -> None:
    book = Book()
    counted(book, a=1)
    for job in range(3):  # put back by hand, and ended again
        book.ended(job, A)
    assert book.depth(NOW) == {A: 0}


def test_handed_over_are_those_of_the_count_and_what_came_since() -> None:
    book = Book()
    book.counted(book.mark(NOW), {A: Exact(waiting=10, handed_over=7), B: Exact(waiting=4)})
    for key in (A, B):
        book.created(key)
    assert book.handed_over(NOW) == {A: 8, B: 0}  # of a queue that hands nothing over, nothing new is either
    for job in range(9):
        book.ended(job, A)
    assert book.handed_over(NOW)[A] == 0


def test_gauges_of_known_queues_include_zeros() -> None:
    book = Book()
    book.counted(book.mark(NOW), {A: Exact(waiting=2, oldest_ready=900.0)})
    book.set_active({1: Active(A, 950.0, "w"), 2: Active(A, 940.0, "w"), 3: Active(A, None, "w")}, NOW + 5)
    told = {
        (r.metric.removeprefix("postwatch_queue_"), r.labels["queue"], r.labels.get("state")): r.value
        for r in book.readings([A, B, OTHER_QUEUE], {"source": "mail"}, NOW)
    }
    # The two that wait and the three that were found to run are of different snapshots: never less than none.
    assert told["depth", "a", None] == told["jobs", "a", "waiting"] == 0
    assert told["jobs", "a", "active"] == 3
    assert told["oldest_active_timestamp_seconds", "a", None] == 940
    assert told["counted_timestamp_seconds", "a", "active"] == NOW + 5
    assert told["counted_timestamp_seconds", "a", "waiting"] == NOW
    assert told["depth", "b", None] == told["jobs", "b", "scheduled"] == told["depth", "_other", None] == 0
    assert ("oldest_active_timestamp_seconds", "b", None) not in told
    assert ("oldest_waiting_timestamp_seconds", "a", None) not in told  # none waits


def test_since_when_the_oldest_waits() -> None:
    book = Book()
    book.counted(book.mark(NOW), {key: Exact(waiting=2, oldest_ready=900.0) for key in (A, OTHER_QUEUE)})
    told = [r for r in book.readings([A, OTHER_QUEUE], {}, NOW) if "oldest" in r.metric]
    assert [(r.metric, r.labels["queue"], r.value) for r in told] == [
        ("postwatch_queue_oldest_waiting_timestamp_seconds", "a", 900.0)
    ]
    assert book.oldest_waiting(A) == 900
    assert book.oldest_waiting(B) is None


@dataclass
class Truth:
    """Jobs as they are, and a book that is told of them."""

    book: Book = field(default_factory=Book)
    jobs: dict[int, tuple[str, float]] = field(default_factory=dict)  # state, ready at
    now: float = NOW
    next_job: int = 1
    underway: tuple[Mark, Exact] | None = None

    def act(self, action: str, choice: int) -> None:
        self.book.next_look()
        of_state = {"start": ("waiting",), "end": ("active", "waiting"), "send back": ("active",)}
        candidates = [j for j, (state, at) in self.jobs.items() if state in of_state.get(action, ()) and at <= self.now]
        if action in of_state and not candidates:
            return
        job = candidates[choice % len(candidates)] if candidates else self.next_job
        match action:
            case "create" | "schedule":
                self.next_job += 1
                at = self.now + (1 + choice % 40 if action == "schedule" else -1)
                self.jobs[job] = ("waiting", at)
                self.book.created(A)
                if at > self.now:
                    self.book.put_off(job, A, at)
            case "start":
                self.jobs[job] = ("active", self.now)
                self.book.is_active(job, Active(A, self.now, None))
            case "end":
                del self.jobs[job]
                self.book.ended(job, A)
            case "send back":
                self.jobs[job] = ("waiting", self.now + choice % 3)
                self.book.is_not_active(job)
                if choice % 3:
                    self.book.put_off(job, A, self.now + choice % 3)
            case "wait":
                self.now += choice % 20
            case "mark":
                ready = [at for state, at in self.jobs.values() if state == "waiting"]
                later = Counter(at for at in ready if at > self.now)
                self.underway = (self.book.mark(self.now), Exact(len(ready) - later.total(), scheduled=later))
            case "counted" if self.underway:
                mark, exact = self.underway
                self.book.counted(mark, {A: exact})
                self.underway = None

    def check(self) -> None:
        depth = self.book.split(self.now).get(A, (0, 0, 0))
        scheduled = sum(state == "waiting" and at > self.now for state, at in self.jobs.values())
        active = sum(state == "active" for state, _ in self.jobs.values())
        assert depth == (scheduled, len(self.jobs) - scheduled - active, active)


ACTIONS = ("create", "create", "schedule", "start", "end", "send back", "wait", "mark", "counted")


@given(st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 1000)), min_size=50, max_size=80))
def test_the_book_is_right_at_every_moment(story: list[tuple[str, int]]) -> None:
    truth = Truth()
    truth.act("mark", 0)
    truth.act("counted", 0)
    for action, choice in story:
        truth.act(action, choice)
        truth.check()
