"""What was counted is remembered, and costs little."""

from __future__ import annotations

import gc
import random
import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from exporter.jobs.seen import Seen, SeenLately

KEYS = st.integers(-(1 << 63), (1 << 63) - 1)


@given(st.lists(st.tuples(KEYS, st.floats(-1e9, 1e10)), max_size=60))
def test_a_key_is_new_once_at_its_position(events: list[tuple[int, float]]) -> None:
    seen = Seen(10.0)
    known: set[tuple[int, int]] = set()
    for key, position in events:
        place = (key, int(position // 10.0))
        assert seen.add(key, position) is (place not in known)
        known.add(place)
    assert len(seen) == len(known)


def test_packed_keys_are_still_known() -> None:
    seen = Seen(10.0)
    keys = [random.Random(1).randrange(-(1 << 63), 1 << 63) for _ in range(500)]
    for number, key in enumerate(keys):
        seen.add(key, float(number))
    seen.forget_before(0)
    assert not any(seen.add(key, float(number)) for number, key in enumerate(keys))
    assert seen.add(1, 5.0), "a late one is taken into a packed bucket"
    seen.forget_before(0)
    assert not seen.add(1, 5.0)


def test_old_positions_are_forgotten_together() -> None:
    seen = Seen(10.0)
    seen.add(1, 5.0)
    seen.add(1, 15.0)
    seen.forget_before(9.9)
    assert not seen.add(1, 5.0), "only whole buckets go"
    seen.forget_before(10.0)
    assert seen.add(1, 5.0)
    assert not seen.add(1, 15.0)


def test_ten_minutes_at_2000_a_second_take_less_than_25_megabytes() -> None:
    seen = Seen(10.0)
    rng = random.Random(7)
    gc.collect()
    tracemalloc.start()
    for number in range(1_200_000):
        seen.add(rng.getrandbits(63), number / 2000)
        if number % 10_000 == 0:
            seen.forget_before(0)
    now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(seen) == 1_200_000
    assert now < 25e6
    assert peak < 25e6


def test_without_a_position_what_was_last_met_is_remembered_for_its_time() -> None:
    seen = SeenLately(900.0)
    assert seen.add(1, 7, 0.0)
    assert not seen.add(1, 7, 899.0)
    assert not seen.add(1, 7, 1790.0), "each meeting renews it"
    assert seen.add(1, 7, 1790.0 + 1201.0)


def test_another_end_of_the_same_job_is_new() -> None:
    seen = SeenLately(900.0)
    seen.add(1, 7, 0.0)
    assert seen.add(1, 8, 1.0)
    assert seen.add(1, 7, 2.0)
    assert seen.add(2, 7, 2.0)


def test_a_job_that_lives_again_is_forgotten() -> None:
    seen = SeenLately(900.0)
    for at in (0.0, 310.0):
        seen.add(1, 7, at)
    seen.forget(1)
    assert seen.add(1, 7, 311.0)


def test_a_long_pause_forgets_all() -> None:
    seen = SeenLately(900.0)
    seen.add(1, 7, 0.0)
    assert seen.add(1, 7, 1e7)


@given(st.lists(st.floats(0, 400.0), max_size=30))
def test_what_was_met_within_the_time_is_never_new(pauses: list[float]) -> None:
    seen, now = SeenLately(900.0), 0.0
    seen.add(5, 7, now)
    for pause in pauses:
        now += pause
        assert not seen.add(5, 7, now)
