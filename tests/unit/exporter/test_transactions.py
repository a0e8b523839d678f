"""What is open, from sessions or from transaction ids alone."""

from __future__ import annotations

from exporter.jobs.transactions import UNSEEN, Activity, Transactions, read_activity


def activity(now: float, xmin: int, xmax: int, **more: object) -> Activity:
    values = {"in_recovery": False, "replayed": None, "sees_all": False, **more}
    return Activity(now, xmin=xmin, xmax=xmax, system=1, timeline=1, active=0, idle=0, sessions=0, open=(), **values)  # type: ignore[arg-type]


def test_the_answer_is_read() -> None:
    row = (5.0, False, None, True, 7, 9, 1, 1, 2, 3, 5, ["xid 7", "pid 1 4"], ["pid 2 3", "pid 1 4"])
    got = read_activity((*row, [3.0, 4.0], [True, False], [False, False]))
    assert [(one.key, one.session, one.start, one.wrote) for one in got.open] == [
        ("xid 7", "pid 2 3", 3.0, True),
        ("pid 1 4", "pid 1 4", 4.0, False),
    ]
    assert got.history == (1, False, 1)


def test_with_the_right_to_see_sessions_they_are_taken_as_they_are() -> None:
    moment = Transactions().moment(activity(100.0, 7, 9, sees_all=True), 1.0)
    assert (moment.now, moment.open, moment.steady) == (100.0, (), True)


def test_the_oldest_id_is_dated_by_the_last_look_that_had_not_given_it_out() -> None:
    transactions = Transactions()
    for now, xmax in ((100.0, 10), (105.0, 20), (110.0, 30)):
        transactions.moment(activity(now, xmax, xmax), now)
    (oldest,) = transactions.moment(activity(115.0, 25, 40), 115.0).open
    assert (oldest.key, oldest.start, oldest.wrote) == ("xid 25", 105.0 - UNSEEN, True)


def test_what_was_open_before_we_came_is_dated_by_our_coming() -> None:
    transactions = Transactions()
    transactions.moment(activity(100.0, 5, 10), 0.0)
    (oldest,) = transactions.moment(activity(105.0, 5, 10), 5.0).open
    assert oldest.start == 100.0 - UNSEEN


def test_a_standby_is_as_late_as_its_replay() -> None:
    moment = Transactions().moment(activity(100.0, 9, 9, in_recovery=True, replayed=90.0, sees_all=True), 1.0)
    assert (moment.now, moment.steady, moment.open) == (90.0 - UNSEEN, False, ())


def test_dates_are_kept_for_half_an_hour_alone() -> None:
    transactions = Transactions()
    for now in range(0, 10_000, 5):
        transactions.moment(activity(float(now), now, now), float(now))
    assert len(transactions._dated) <= 361
