"""The reputation score: from 100, each listing takes its list's weight, more the longer it lasts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """`ageing` is the share of its weight that a listing takes in addition when it is `full_after` seconds old."""

    ageing: float = 0.5
    full_after: float = 7 * 86_400.0


def score(listings: Iterable[tuple[float, float]], rule: Rule) -> float:
    """0 to 100, to a tenth, of an address with these listings: weight and age in seconds of each.

    Lists that are clean or have told nothing take nothing.
    """
    taken = 0.0
    for weight, age in listings:
        grown = min(max(age, 0.0) / rule.full_after, 1.0) if rule.full_after else 1.0
        taken += weight * (1.0 + rule.ageing * grown)
    return round(max(0.0, 100.0 - taken), 1)
