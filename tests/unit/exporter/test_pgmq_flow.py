"""Numbers that came and went, by tables and against a simulated queue."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.queues.pgmq.flow import Flow

NOBODY: frozenset[str] = frozenset()


def flow_of(allocated: int = 100, live: int = 10) -> Flow:
    """A queue that was met with so many numbers given out and messages in it."""
    flow = Flow(allocated, born=False)
    look(flow, allocated, live)
    return flow


def look(flow: Flow, allocated: int, live: int, unsettled: int = 0, writers: frozenset[str] = NOBODY) -> None:
    flow.allocate(allocated, writers)
    flow.count(flow.settled, live, unsettled)


def counts(flow: Flow) -> tuple[int, int]:
    return flow.enqueued, flow.gone


def test_what_was_there_before_is_history() -> None:
    assert counts(flow_of()) == (0, 0)


def test_a_queue_made_under_watch_counts_from_its_first_number() -> None:
    flow = Flow(7, born=True)
    look(flow, 7, 4)
    assert counts(flow) == (7, 3)


def test_numbers_given_out_less_what_is_there() -> None:
    flow = flow_of()
    look(flow, 105, 12)
    assert counts(flow) == (5, 3)
    look(flow, 105, 0)
    assert counts(flow) == (5, 15)


def test_a_number_is_settled_when_all_have_ended_who_may_have_taken_it() -> None:
    flow = flow_of()
    look(flow, 104, 11, unsettled=1, writers=frozenset("ab"))  # 3 of 4 are gone, or not committed
    assert counts(flow) == (4, 0)
    look(flow, 106, 11, unsettled=1, writers=frozenset("bc"))
    assert counts(flow) == (6, 0)
    assert flow.settled == 100
    flow.allocate(106, frozenset("c"))
    assert flow.settled == 104, "a and b have ended; whoever took 105 and 106 may be c"
    flow.count(104, 12, 2)  # up to 104: none of the 4 new ones is there any more
    assert counts(flow) == (6, 4)
    look(flow, 106, 12)
    assert counts(flow) == (6, 4)


def test_a_start_amid_writers_begins_to_count_when_its_numbers_are_settled() -> None:
    flow = Flow(100, born=False)
    look(flow, 100, 10, writers=frozenset("a"))
    assert (flow.settled, counts(flow)) == (None, (0, 0))
    look(flow, 103, 14, unsettled=2, writers=frozenset("b"))  # two of a's came late
    assert (flow.settled, counts(flow)) == (100, (3, 0))
    look(flow, 103, 12)
    assert counts(flow) == (3, 3)


def test_what_is_carried_is_held_until_a_count_has_come_to_it() -> None:
    flow = flow_of()
    flow.allocate(103, NOBODY)
    flow.carry(6)
    assert flow.gone == 6
    flow.count(103, 8, 0)  # it were 5
    assert flow.gone == 6
    look(flow, 103, 6)
    assert flow.gone == 7


def test_a_purge_is_at_most_what_has_gone() -> None:
    flow = flow_of()
    before = flow.gone
    look(flow, 100, 0)
    flow.purge(8, before)
    flow.purge(10, flow.gone)
    assert flow.purged == 8


def test_numbers_that_a_crash_has_skipped_are_no_messages() -> None:
    flow = flow_of()
    look(flow, 103, 10)
    assert counts(flow) == (3, 3)
    flow.resume(132, newest=105, live=11, left=1)
    assert counts(flow) == (5, 4)
    look(flow, 134, 10)
    assert counts(flow) == (7, 7)


def test_numbers_that_begin_anew_take_nothing_back() -> None:
    flow = flow_of()
    look(flow, 103, 10)
    flow.resume(0, newest=0, live=0, left=0)  # an unlogged queue after a crash
    assert counts(flow) == (3, 3)
    look(flow, 4, 1)
    assert counts(flow) == (7, 6)


STEPS = st.lists(
    st.tuples(st.sampled_from(["send", "commit", "gone", "look"]), st.integers(0, 3)), min_size=1, max_size=60
)


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_in_the_end_it_is_the_truth_and_never_more(steps: list[tuple[str, int]]) -> None:
    """Four sessions send, commit late and take what they see; looks come at any time."""
    flow = Flow(0, born=True)
    allocated, gone = 0, 0
    open_: dict[int, tuple[str, list[int]]] = {}
    live: set[int] = set()
    transactions = 0

    def look_now() -> None:
        flow.allocate(allocated, frozenset(name for name, _ in open_.values()))
        settled = flow.settled or 0
        flow.count(flow.settled, len(live), sum(number > settled for number in live))

    for step, session in steps:
        if step == "send":
            allocated += 1
            if session not in open_:
                transactions += 1
                open_[session] = (f"t{transactions}", [])
            open_[session][1].append(allocated)
        elif step == "commit" and session in open_:
            live.update(open_.pop(session)[1])
        elif step == "gone" and live:
            live.discard(min(live))
            gone += 1
        elif step == "look":
            look_now()
            assert flow.gone <= gone
            assert flow.enqueued == allocated
    for _, numbers in open_.values():
        live.update(numbers)
    open_.clear()
    look_now()
    assert (flow.enqueued, flow.gone) == (allocated, gone)
