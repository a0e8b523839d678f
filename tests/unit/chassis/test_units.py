"""Quantities as people write them."""

from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.settings import Settings, SettingsError, parse
from chassis.units import (
    Duration,
    Ratio,
    Size,
    duration,
    format_age,
    format_duration,
    format_ratio,
    format_size,
    parse_duration,
    parse_ratio,
    parse_size,
    ratio,
)


class Quantities(Settings):
    wait: Duration = 0.0
    bounded: Annotated[float, duration(min=1, max=86400)] = 5.0
    size: Size = 0
    share: Ratio = 0.0
    budget: Annotated[float, ratio(min=0.0001)] = 0.005


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("5s", 5),
        ("90s", 90),
        ("5m", 300),
        ("1h", 3600),
        ("1d", 86400),
        ("1w", 604800),
        ("1h30m", 5400),
        ("1d12h", 129600),
        ("1.5s", 1.5),
        (0, 0),
        (0.0, 0),
        ("0", 0),
        ("0s", 0),
    ],
)
def test_a_duration_is_read_in_seconds(text: object, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "value", ["fast", "", "5", 5, 0.5, -1, "-5s", "5 s", "30m1h", "5s5s", True, None, [], "5sec", "٥s"]
)
def test_what_is_no_duration_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"is no duration; write e\.g\. 90s, 5m, 1h$"):
        parse_duration(value)


def test_the_message_names_what_was_found() -> None:
    with pytest.raises(ValueError, match=r"^'fast' is no duration; write e\.g\. 90s, 5m, 1h$"):
        parse_duration("fast")


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("64MiB", 64 << 20),
        ("10kB", 10_000),
        ("10KB", 10_000),
        ("1.5GiB", 3 << 29),
        ("7B", 7),
        (123, 123),
        ("123", 123),
    ],
)
def test_a_size_is_read_in_bytes(text: object, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("value", ["big", "10k", "MiB", -1, 1.5, True, None, "-1B", "²"])
def test_what_is_no_size_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="is no size; write e"):
        parse_size(value)


@pytest.mark.parametrize(
    ("text", "share"), [("0.5%", 0.005), ("100%", 1), ("0%", 0), (0.005, 0.005), ("0.25", 0.25), (1, 1)]
)
def test_a_ratio_is_read_from_0_to_1(text: object, share: float) -> None:
    assert parse_ratio(text) == pytest.approx(share)


@pytest.mark.parametrize("value", ["half", "150%", 5, "-1%", -0.1, True, None, float("nan"), "%"])
def test_what_is_no_ratio_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="is no share of a whole"):
        parse_ratio(value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("wait: fast", "wait: 'fast' is no duration; write e.g. 90s, 5m, 1h"),
        ("bounded: 10ms", "bounded: '10ms' is out of range; allowed: 1s to 1d"),
        ("bounded: 2d", "bounded: '2d' is out of range; allowed: 1s to 1d"),
        ("budget: 0", "budget: 0 is out of range; allowed: 0.01% or more"),
        ("size: true", "size: true is no size; write e.g. 512KiB, 64MiB, 10MB"),
    ],
)
def test_a_field_tells_its_mistake(line: str, message: str) -> None:
    with pytest.raises(SettingsError) as error:
        parse(line, Quantities, {})
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.5, "500ms"),
        (1.5, "1.5s"),
        (60, "1m"),
        (90, "1m30s"),
        (5400, "1h30m"),
        (86400, "1d"),
        (-5, "-5s"),
    ],
)
def test_durations_are_written_as_people_do(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0s"),
        (0, "0s"),
        (42.4, "42s"),
        (119, "119s"),
        (120, "2m"),
        (7_199, "119m"),
        (5.5 * 3_600, "5h"),
        (3 * 86_400, "3d"),
    ],
)
def test_an_age_is_told_to_the_unit_that_matters(seconds: float, text: str) -> None:
    assert format_age(seconds) == text


@given(st.floats(min_value=0, max_value=1e8))
def test_a_written_duration_is_read_back(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, abs=1e-6)


@given(st.integers(min_value=0, max_value=1 << 50))
def test_a_written_size_is_read_back(size: int) -> None:
    assert parse_size(format_size(size)) == size


@given(st.floats(min_value=0, max_value=1))
def test_a_written_ratio_is_read_back(share: float) -> None:
    assert parse_ratio(format_ratio(share)) == pytest.approx(share, abs=1e-8)


@given(st.one_of(st.text(), st.floats(), st.integers(), st.booleans(), st.none()))
def test_nothing_but_a_value_error_comes_of_nonsense(value: object) -> None:
    for parse_one in (parse_duration, parse_size, parse_ratio):
        try:
            assert parse_one(value) >= 0
        except ValueError as error:
            assert " is no " in str(error)
