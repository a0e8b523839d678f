"""Which stretches a look reads, case by case; what comes of it all is in test_exactly_once."""

from __future__ import annotations

from typing import Any

import pytest

from exporter.jobs.horizon import AHEAD, LONGEST, Horizon, Moment, OpenTransaction, Plan, Stretch

T = 1_700_000_000.0


def moment(at: float, *open_: OpenTransaction, stepped: float = 0.0, steady: bool = True) -> Moment:
    """`at` seconds after the start by our clock; the database's is `stepped` off."""
    return Moment(T + at + stepped, at, open_, steady)


def one(key: str, start: float, *, wrote: bool = True, **more: Any) -> OpenTransaction:
    return OpenTransaction(key, T + start, wrote, **more)


def look(horizon: Horizon, at: Moment, xmin: int = 100, unread: tuple[Stretch, ...] = ()) -> Plan:
    plan = horizon.plan(at)
    horizon.done(plan, xmin, unread)
    return plan


def stretch(low: float, high: float, *, mark: bool = False) -> Stretch:
    return Stretch(T + low, T + high, mark)


def test_the_first_look_begins_a_second_before_now() -> None:
    plan = Horizon().plan(moment(0))
    assert plan == Horizon().plan(moment(0))
    assert (plan.window, plan.rereads, plan.first) == (Stretch(T - 1), (), True)
    assert plan.eligible == (Stretch(T - 1),)
    assert plan.xid_floor is None


@pytest.mark.parametrize(
    ("start", "window", "marks"),
    [
        (-3, Stretch(T - 4), ()),  # young: it is read around
        (-60, Stretch(T - 1), (stretch(-61, -1, mark=True),)),  # old: what it left open is marked, then waited for
        (-LONGEST - 1, Stretch(T - 1), ()),  # too old: given up
    ],
)
def test_the_first_look_among_open_transactions(start: float, window: Stretch, marks: tuple[Stretch, ...]) -> None:
    plan = Horizon().plan(moment(0, one("a", start)))
    assert (plan.window, plan.rereads) == (window, marks)
    assert plan.given_up == (start < -LONGEST)


def test_a_prepared_transaction_at_the_first_look_began_earlier_than_it_says() -> None:
    (mark,) = Horizon().plan(moment(0, one("a", -10, prepared=True))).rereads
    assert mark.mark
    assert mark.low <= T - 70


def test_looks_overlap_by_a_second() -> None:
    horizon = Horizon()
    look(horizon, moment(0))
    assert look(horizon, moment(5)).window == Stretch(T - 1)
    assert look(horizon, moment(10)).window == Stretch(T + 4)
    assert horizon.reach == T + 9


def test_a_young_transaction_is_read_around() -> None:
    horizon = Horizon()
    look(horizon, moment(0))
    look(horizon, moment(5, one("a", 3)))
    plan = look(horizon, moment(10))
    assert (plan.window, plan.rereads) == (Stretch(T + 2), ())


@pytest.mark.parametrize(
    ("wrote", "rereads"),
    [
        (True, (stretch(2, 24),)),
        (False, (stretch(2, 4),)),  # it can have used its start, or the present alone
    ],
)
def test_an_old_transaction_is_read_once_when_it_has_ended(wrote: bool, rereads: tuple[Stretch, ...]) -> None:
    horizon = Horizon()
    look(horizon, moment(0))
    old = one("a", 3, wrote=wrote)
    look(horizon, moment(5, old))
    for at in (10, 15, 20, 25):
        assert look(horizon, moment(at, old)).rereads == ()
        assert horizon.reach == T + 2, "what it may still end is remembered"
    ended = look(horizon, moment(30))
    assert ended.rereads == rereads
    assert look(horizon, moment(35)).rereads == ()
    assert horizon.reach == T + 34


def test_it_is_the_same_transaction_when_it_writes_for_the_first_time() -> None:
    horizon = Horizon()
    look(horizon, moment(0))
    for at in (10, 20):
        look(horizon, moment(at, one("pid 7", 3, wrote=False, session="pid 7")))
    assert look(horizon, moment(30, one("xid 9", 3, session="pid 7"))).rereads == ()
    assert look(horizon, moment(40)).rereads == (stretch(2, 29),)


def test_a_session_may_have_become_a_prepared_transaction_between_two_looks() -> None:
    horizon = Horizon()
    look(horizon, moment(0))
    look(horizon, moment(20, one("pid 7", 3, wrote=False, session="pid 7")))
    look(horizon, moment(30, one("xid 9", 29, prepared=True)))
    assert stretch(2, 29) in look(horizon, moment(40)).rereads


def test_a_prepared_transaction_keeps_the_begin_that_was_seen() -> None:
    horizon = Horizon()
    look(horizon, moment(0))
    look(horizon, moment(20, one("xid 9", 3, session="pid 7")))
    look(horizon, moment(30, one("xid 9", 29, prepared=True)))
    assert look(horizon, moment(40)).rereads == (stretch(2, 29),)


def test_a_transaction_past_a_quarter_of_an_hour_is_given_up_and_told_of_once() -> None:
    horizon = Horizon()
    look(horizon, moment(0))
    plans = [look(horizon, moment(at, one("a", 3))) for at in range(10, 1200, 10)]
    assert [plan.given_up for plan in plans].index(1) == plans.index(next(p for p in plans if not p.next.known))
    assert sum(plan.given_up for plan in plans) == 1
    assert horizon.reach == T + 1189, "nothing is remembered for it any more"
    assert look(horizon, moment(1200)).rereads == ()


def test_a_look_that_failed_changes_nothing() -> None:
    horizon = Horizon()
    look(horizon, moment(0))
    look(horizon, moment(10, one("a", 3)))
    failed = horizon.plan(moment(20))
    assert horizon.plan(moment(20)) == failed
    again = horizon.plan(moment(25))
    assert (again.window, again.rereads) == (failed.window, failed.rereads)


def test_what_was_left_unread_comes_first_next_time() -> None:
    horizon = Horizon()
    look(horizon, moment(0))
    look(horizon, moment(10, one("a", 3)))
    rest = stretch(5, 9)
    look(horizon, moment(20), unread=(rest,))
    assert horizon.reach == T + 2, "what it holds may have been written over since, and be met elsewhere"
    assert look(horizon, moment(25)).rereads == (rest,)
    assert look(horizon, moment(30)).rereads == ()


def test_no_time_is_queued_twice() -> None:
    horizon = Horizon()
    look(horizon, moment(0))
    look(horizon, moment(10, one("a", 3), one("b", 1), one("c", 8)))
    look(horizon, moment(20, one("b", 1), one("c", 4)), unread=(stretch(5, 9),))
    plan = look(horizon, moment(30))
    assert plan.rereads == (stretch(5, 9), stretch(0, 5), stretch(9, 19))


def test_a_long_absence_is_caught_up_with_in_slices() -> None:
    horizon = Horizon()
    look(horizon, moment(0))
    plan = look(horizon, moment(600))
    assert (plan.window, plan.rereads) == (Stretch(T + 540), (stretch(-1, 540),))
    assert plan.eligible == (Stretch(T - 1),)


def test_forgetting_makes_the_next_look_a_first_one() -> None:
    horizon = Horizon()
    look(horizon, moment(0))
    horizon.forget()
    assert horizon.reach < 0
    assert horizon.plan(moment(5)).first


class TestAClockThatGoesForward:
    def test_is_told(self) -> None:
        horizon = Horizon()
        look(horizon, moment(0))
        plan = look(horizon, moment(5, stepped=100))
        assert plan.stepped == pytest.approx(100)
        assert (plan.window, plan.xid_floor) == (Stretch(T - 1), None)
        assert look(horizon, moment(10, stepped=100)).stepped == 0

    def test_makes_no_transaction_old(self) -> None:
        horizon = Horizon()
        look(horizon, moment(0))
        plan = look(horizon, moment(5, one("a", 4), stepped=3600))
        assert plan.given_up == 0
        assert plan.next.known["a"].since == pytest.approx(4)

    @pytest.mark.parametrize("slewed", [0.4, -0.4])
    def test_by_less_than_half_a_second_is_no_step(self, slewed: float) -> None:
        horizon = Horizon()
        look(horizon, moment(0))
        assert look(horizon, moment(5, stepped=slewed)).stepped == 0

    def test_is_not_looked_for_where_time_does_not_tick(self) -> None:
        horizon = Horizon()
        look(horizon, moment(0, steady=False))
        assert look(horizon, moment(60, stepped=-60, steady=False)).stepped == 0


class TestAClockThatGoesBack:
    def horizon(self, *open_: OpenTransaction) -> Horizon:
        horizon = Horizon()
        look(horizon, moment(0), xmin=10)
        look(horizon, moment(1000, *open_), xmin=20)
        return horizon

    def test_is_followed(self) -> None:
        horizon = self.horizon()
        plan = look(horizon, moment(1005, stepped=-100), xmin=30)
        assert plan.stepped == pytest.approx(-100)
        assert plan.window == Stretch(T + 899, T + 905 + AHEAD), "old rows lie ahead"
        assert plan.rereads == (stretch(999, 1006),), "what was written before the step"
        assert plan.xid_floor == 20, "rows of older transactions were read before"
        assert plan.eligible == (Stretch(T + 899, T + 905 + AHEAD), stretch(999, 1006))

    def test_is_followed_until_it_has_caught_up(self) -> None:
        horizon = self.horizon()
        look(horizon, moment(1005, stepped=-100), xmin=30)
        behind = look(horizon, moment(1050, stepped=-100), xmin=40)
        assert (behind.xid_floor, behind.window.high) == (20, T + 950 + AHEAD)
        past = [look(horizon, moment(at, stepped=-100), xmin=50) for at in (1110, 1115, 1120)]
        assert [plan.xid_floor for plan in past] == [20, None, None]
        assert past[-1].eligible == (Stretch(past[-1].window.low),)

    def test_before_the_start_takes_history_along(self) -> None:
        horizon = self.horizon()
        plan = look(horizon, moment(1005, stepped=-5000), xmin=30)
        assert plan.next.floor == plan.window.low == T + 1000 - 5000 - 1

    def test_leaves_transactions_that_bear_both_times(self) -> None:
        horizon = self.horizon(one("a", 999))
        look(horizon, moment(1005, one("a", 999), stepped=-100), xmin=20)
        plan = look(horizon, moment(1010, stepped=-100), xmin=40)
        assert plan.rereads == (stretch(899, 1005),), "from the lowest time that it saw to the highest"

    def test_twice_counts_from_the_second_time(self) -> None:
        horizon = self.horizon()
        look(horizon, moment(1005, stepped=-100), xmin=30)
        look(horizon, moment(1010, stepped=-100), xmin=40)
        plan = look(horizon, moment(1015, stepped=-200), xmin=50)
        assert plan.xid_floor == 40
        assert plan.window.low == T + 809

    def test_does_not_leave_out_what_was_unread(self) -> None:
        horizon = self.horizon()
        look(horizon, moment(1005), xmin=30, unread=(stretch(900, 950),))
        look(horizon, moment(1010), xmin=40, unread=(stretch(920, 950),))
        assert look(horizon, moment(1015, stepped=-100), xmin=50).xid_floor == 20
