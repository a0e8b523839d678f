"""What goes wrong on a bad day, and how one sees that it was told."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.support.chain import FAILING, LISTED, Chain
from tests.support.wait import eventually

JOBS = 12_000
FIRING, OVER = "red_circle", "large_green_circle"  # the signs of Slack's lines
LIMIT = 60.0  # seconds from trouble to PagerDuty


@dataclass(frozen=True)
class Trouble:
    """Which alert says so, with what summary, and what begins and ends it.

    `begin` and `end` are given the number of the round, from 0, and answer the moment from which the time runs.
    """

    alert: str
    summary: str
    begin: Callable[[Chain, int], float]
    end: Callable[[Chain, int], float]


def _break_api(chain: Chain, _turn: int) -> float:
    chain.outside.api.broken = True
    return time.monotonic()


def _mend_api(chain: Chain, _turn: int) -> float:
    chain.outside.api.as_ever()
    return time.monotonic()


def _get_listed(chain: Chain, _turn: int) -> float:
    """From the answer that says so."""
    chain.outside.list_address(LISTED)
    return eventually(lambda: chain.outside.listed_at(LISTED) or 0.0, within=20)


def _get_delisted(chain: Chain, _turn: int) -> float:
    chain.outside.delist(LISTED)
    return time.monotonic()


TROUBLES = {
    "backlog": Trouble(
        "QueueBacklog",
        "A queue has more jobs waiting than its paging threshold",
        lambda chain, _turn: chain.put_jobs(JOBS),
        lambda chain, _turn: chain.drain(),
    ),
    # Each time another queue: the last minutes' failures and successes count.
    "failures": Trouble(
        "QueueFailureRate",
        "Too many of a queue's jobs fail",
        lambda chain, turn: chain.end_jobs(f"{FAILING}-{turn}", completed=40, failed=10),
        lambda chain, turn: chain.end_jobs(f"{FAILING}-{turn}", completed=600),
    ),
    "service": Trouble("ServiceDown", "A service is down", _break_api, _mend_api),
    "listing": Trouble("ReputationAddressListed", "An address is on a critical blocklist", _get_listed, _get_delisted),
    "workers": Trouble(
        "NoActiveWorkers",
        "No worker is active",
        lambda chain, _turn: chain.die(),
        lambda chain, _turn: chain.beat(),
    ),
}
