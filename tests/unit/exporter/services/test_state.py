"""The state of a service, probe after probe."""

import pytest

from exporter.services.state import WINDOW, Rules, Seen, Standing, State, decide

GOOD, SLOW, BAD, FULL = Seen(0.1), Seen(2.0), Seen(0.1, "refused"), Seen(0.1, backlog=11)
SEEN = {".": GOOD, "s": SLOW, "x": BAD, "b": FULL, "B": Seen(0.1, "refused", backlog=11), "?": Seen(0.1, backlog=None)}
WORD = {State.HEALTHY: "h", State.DEGRADED: "d", State.DOWN: "D", None: "-"}
RULES = Rules(degraded_after=1.0, error_limit=0.1, down_after=3, recover_after=2, backlog=10)


def states(probes: str, rules: Rules = RULES) -> str:
    """The state after each probe, a letter each."""
    standing, found = Standing(), ""
    for number, probe in enumerate(probes):
        standing = decide(standing, SEEN[probe], rules, float(number))
        found += WORD[standing.state]
    return found


@pytest.mark.parametrize(
    ("probes", "wanted"),
    [
        (".", "h"),
        ("x", "d"),  # never seen well, and not down yet
        ("s", "d"),
        ("xxx", "ddD"),
        ("xx..", "dddh"),
        (".x.", "hhh"),  # a single failure changes nothing
        (".xx.", "hhhh"),
        (".xxx", "hhhD"),
        (".xxxxx.", "hhhDDDD"),
        (".xxx..", "hhhDDh"),
        (".xxx.x..", "hhhDDDDh"),  # successes have to come in a row
        (".xxx.s", "hhhDDd"),
        (".xxx..x.", "hhhDDhhh"),  # and what is over counts no more
        (".s", "hd"),  # a slow answer degrades at once
        (".s..", "hddh"),
        (".s.s..", "hddddh"),
        (".sx..", "hdddh"),
        (".b..", "hddh"),
        (".bb.b..", "hdddddh"),
        (".B", "hd"),  # a backlog is known even if the probe failed
        (".?", "hh"),  # unknown is no backlog
        (".x.x.", "hhhhh"),
        (".x.x.x..", "hhhhhddd"),  # more than a tenth of the last twenty
    ],
)
def test_states(probes: str, wanted: str) -> None:
    assert states(probes) == wanted


def test_degraded_by_errors_ends_when_they_are_long_ago() -> None:
    found = states(".x.x.x" + "." * (WINDOW + 5))
    assert found.startswith("hhhhhd")
    # The first error leaves the window after WINDOW probes; two good ones later it is over.
    assert found.index("dh") == WINDOW + 1


@pytest.mark.parametrize(("down_after", "recover_after"), [(1, 1), (2, 1), (1, 3), (5, 4)])
def test_thresholds_are_exact(down_after: int, recover_after: int) -> None:
    rules = Rules(error_limit=1.0, down_after=down_after, recover_after=recover_after)
    found = states("." + "x" * down_after + "." * recover_after, rules)
    assert found == "h" * down_after + "D" * recover_after + "h"


def test_nothing_degrades_that_is_not_asked_for() -> None:
    assert states(".sbxx.xx.xx.xx.", Rules(error_limit=1.0)) == "h" * 15


def test_thresholds_themselves_are_well() -> None:
    rules = Rules(degraded_after=1.0, backlog=10)
    assert decide(Standing(), Seen(1.0, backlog=10), rules, 0).state is State.HEALTHY


def test_since_and_because() -> None:
    first = decide(Standing(), GOOD, RULES, 100)
    slow = decide(first, SLOW, RULES, 115)
    again = decide(slow, FULL, RULES, 130)
    well = decide(decide(again, GOOD, RULES, 145), GOOD, RULES, 160)
    assert (first.since, first.because) == (100, "")
    assert (slow.since, slow.because) == (115, "took 2000 ms, more than 1000 ms")
    assert (again.since, again.because) == (115, "11 jobs wait for it, more than 10")
    assert (well.since, well.because) == (160, "")
    down = well
    for _ in range(3):
        down = decide(down, BAD, RULES, 175)
    assert down.because == "refused"
