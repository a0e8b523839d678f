"""When an address is looked up again: a slot of its own in each interval, later if the last answer still holds."""

from __future__ import annotations

import math

# Share of the interval within which what was just asked is not asked again, to get into its slot.
TOO_SOON = 0.05
# Seconds after which a list that failed its test is tested again: doubled each time, up to the interval.
FIRST_RETRY = 15.0
PAST = 1.0  # seconds past its time that a resolver may still hand out an answer: it counts whole ones
MOST_TTL = 86_400.0  # seconds that an answer is believed at the most, whatever it says of itself


def next_look(last: float, ttl: float, origin: float, phase: float, interval: float) -> float:
    """The moment of the next look after one at `last`, whose answer holds for `ttl` seconds.

    Slots are at `origin` + n × `interval` + `phase` × `interval`, `phase` from 0 to 1. A first look is made as soon as
    it may be; the second one finds the slot, at most a twentieth of the interval late.
    """
    earliest = last + TOO_SOON * interval
    slots = math.ceil((earliest - origin) / interval - phase)
    expired = last + min(ttl, MOST_TTL) + PAST if ttl else last
    return max(origin + (slots + phase) * interval, expired)


def retry(failures: int, interval: float) -> float:
    """Seconds until a list is tested again that has failed its test `failures` times in a row."""
    return min(float(FIRST_RETRY * 2 ** min(failures - 1, 20)), interval)


def stretched(questions: int, rate: float, interval: float) -> float:
    """The interval that can be held: `questions` take their time at `rate` a second."""
    return max(interval, questions / rate)
