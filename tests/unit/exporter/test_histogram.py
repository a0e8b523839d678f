"""Histograms count each observation under the first bound that holds it."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.jobs.histogram import Histogram

BOUNDS = (0.1, 1.0, 60.0)


def test_bounds_are_inclusive_and_the_last_is_open() -> None:
    one = Histogram(BOUNDS)
    for seconds in (0.0, 0.1, 0.10001, 1.0, 60.0, 60.1, 1e9):
        one.observe(seconds)
    assert one.snapshot()[:2] == (BOUNDS, (2, 2, 1, 2))
    assert one.count == 7


def test_clocks_that_disagree_never_make_the_sum_fall() -> None:
    one = Histogram(BOUNDS)
    one.observe(-3.0)
    assert one.snapshot() == (BOUNDS, (1, 0, 0, 0), 0.0)


@given(st.lists(st.floats(0, 1000)))
def test_each_falls_into_one_bucket(everything: list[float]) -> None:
    one = Histogram(BOUNDS)
    for seconds in everything:
        one.observe(seconds)
    bounds = (-math.inf, *BOUNDS, math.inf)
    truth = [sum(low < s <= high for s in everything) for low, high in pairwise(bounds)]
    assert one.counts == truth
    assert one.total == pytest.approx(math.fsum(everything))
