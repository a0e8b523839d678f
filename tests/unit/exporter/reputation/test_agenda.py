"""Whose turn it is: spacing for all and for each, slow lists in nobody's way."""

from ipaddress import IPv4Address

from chassis.clock import ManualClock, SystemClock
from exporter.reputation.agenda import Agenda, Task

IP = IPv4Address("192.0.2.1")


def look(blocklist: str, last: int = 1) -> Task:
    return Task("look", blocklist, IPv4Address(f"192.0.2.{last}"))


def taken(agenda: Agenda, clock: ManualClock, seconds: float, step: float = 0.125) -> list[tuple[float, str]]:
    """What a thread would take within that time, each answered at once."""
    got = []
    until = clock.monotonic() + seconds
    while clock.monotonic() < until:
        agenda.end_when_done(clock.monotonic() + 1e-9)
        while (moment := agenda.ready()) is not None and moment <= clock.monotonic():
            task = agenda.take()
            assert task is not None
            got.append((clock.monotonic(), task.blocklist))
            agenda.done(task)
        clock.advance(step)
    return got


def test_questions_are_spaced_and_lists_take_turns() -> None:
    clock = ManualClock()
    agenda = Agenda(0.5, {"a": 0.5, "b": 0.5}, 2, clock)
    for number in range(3):
        agenda.add(look("a", number), 0)
    for number in range(3):
        agenda.add(look("b", number), 0)
    assert taken(agenda, clock, 4) == [(0.0, "a"), (0.5, "b"), (1.0, "a"), (1.5, "b"), (2.0, "a"), (2.5, "b")]


def test_a_lists_own_limit_holds_nobody_else_up() -> None:
    clock = ManualClock()
    agenda = Agenda(0.25, {"a": 2.0, "b": 0.25}, 2, clock)
    for number in range(2):
        agenda.add(look("a", number), 0)
        agenda.add(look("b", number), 0)
        agenda.add(look("b", number + 5), 0)
    assert taken(agenda, clock, 4) == [
        (0.0, "a"), (0.25, "b"), (0.5, "b"), (0.75, "b"), (1.0, "b"), (2.0, "a"),
    ]  # fmt: skip


def test_nothing_is_asked_before_it_is_due() -> None:
    clock = ManualClock()
    agenda = Agenda(0.1, {"a": 0.1}, 2, clock)
    agenda.add(look("a"), 3.0)
    assert taken(agenda, clock, 5) == [(3.0, "a")]


def test_a_list_that_does_not_answer_gets_no_more_than_its_share() -> None:
    clock = ManualClock()
    agenda = Agenda(0.0, {"a": 0.0, "b": 0.0}, 2, clock)
    for number in range(5):
        agenda.add(look("a", number), 0)
    agenda.add(look("b"), 0)
    first = [agenda.take() for _ in range(3)]
    assert [task.blocklist for task in first if task] == ["a", "b", "a"]
    agenda.end_when_done(clock.monotonic())
    assert agenda.take() is None  # two of `a` are open, and nothing else is left
    assert first[0] is not None
    agenda.end_when_done(clock.monotonic() + 60)
    agenda.done(first[0])
    again = agenda.take()
    assert again is not None
    assert again.blocklist == "a"


def test_tests_of_lists_come_first() -> None:
    clock = ManualClock()
    agenda = Agenda(0.0, {"a": 0.0}, 2, clock)
    agenda.add(look("a"), 0)
    agenda.add(Task("test", "a", IP), 0, first=True)
    task = agenda.take()
    assert task is not None
    assert task.kind == "test"


def test_what_is_taken_back_is_not_asked() -> None:
    clock = ManualClock()
    agenda = Agenda(0.0, {"a": 0.0}, 2, clock)
    agenda.add(look("a"), 0)
    agenda.add(Task("test", "a", IP), 0)
    assert agenda.withdraw("a", "look", 6) == []
    assert agenda.withdraw("a", "look", 4) == [look("a")]
    task = agenda.take()
    assert task is not None
    assert task.kind == "test"


def test_it_ends_when_all_is_done_or_at_a_word() -> None:
    agenda = Agenda(0.0, {"a": 0.0}, 2, SystemClock())
    agenda.end_when_done(SystemClock().monotonic() + 60)
    assert agenda.take() is None
    other = Agenda(0.0, {"a": 0.0}, 2, SystemClock())
    other.add(look("a"), SystemClock().monotonic() + 3600)
    other.stop()
    assert other.take() is None
