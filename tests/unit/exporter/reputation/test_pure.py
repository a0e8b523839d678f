"""Names, scores, slots, rows and the state file: functions of their arguments."""

import ipaddress
import json
import os
import stat
from decimal import Decimal
from pathlib import Path

import dns.message
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.reputation import state
from exporter.reputation.names import plain, query_name, read, reverse
from exporter.reputation.question import wire
from exporter.reputation.schedule import next_look, retry, stretched
from exporter.reputation.score import Rule, score
from exporter.reputation.sent import tally

DAY = 86_400.0


# Names


@pytest.mark.parametrize(
    ("ip", "name"),
    [
        ("192.0.2.99", "99.2.0.192.bad.example."),
        ("127.0.0.2", "2.0.0.127.bad.example."),
        (
            # The example of RFC 5782, section 2.4.
            "2001:db8:1:2:3:4:567:89ab",
            "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.bad.example.",
        ),
        ("::ffff:7f00:2", "2.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.bad.example."),
    ],
)
def test_a_list_is_asked_by_the_reversed_address(ip: str, name: str) -> None:
    assert query_name(ipaddress.ip_address(ip), "bad.example") == name
    assert query_name(ipaddress.ip_address(ip), "bad.example.") == name


@given(st.ip_addresses())
def test_a_reversed_address_reads_back(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    labels = reverse(ip).split(".")
    if ip.version == 4:
        assert ipaddress.ip_address(".".join(reversed(labels))) == ip
    else:
        assert len(labels) == 32
        assert ipaddress.IPv6Address(int("".join(reversed(labels)), 16)) == ip


@pytest.mark.parametrize(
    ("text", "ip"),
    [
        ("192.0.2.1", "192.0.2.1"),
        (" 192.0.2.1/32 ", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0::25/128", "2001:db8::25"),
    ],
)
def test_spellings_of_an_address(text: str, ip: str) -> None:
    assert str(read(text)) == ip
    assert str(plain(read(text))) == ip


@pytest.mark.parametrize("kind", ["A", "TXT"])
@pytest.mark.parametrize(
    "name", ["99.2.0.192.bad.example.", query_name(ipaddress.ip_address("2001:db8::1"), "bad.example")]
)
def test_a_question_is_what_dnspython_would_send(name: str, kind: str) -> None:
    assert wire(name, kind) == dns.message.make_query(name, kind).to_wire()[2:]


# The score


@pytest.mark.parametrize(
    ("listings", "expected"),
    [
        ([], 100),
        ([(60, 0)], 40),
        ([(60, 3.5 * DAY)], 25),
        ([(60, 7 * DAY)], 10),
        ([(60, 70 * DAY)], 10),
        ([(60, -5)], 40),
        ([(40, 0), (20, 0)], 40),
        ([(60, 0), (60, 0)], 0),
        ([(0, DAY)], 100),
    ],
)
def test_a_score(listings: list[tuple[float, float]], expected: float) -> None:
    assert score(listings, Rule(ageing=0.5, full_after=7 * DAY)) == pytest.approx(expected)


def test_a_score_by_another_rule() -> None:
    assert score([(40, DAY)], Rule(ageing=0, full_after=DAY)) == 60
    assert score([(40, 0)], Rule(ageing=1, full_after=0)) == 20


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 1e8))))
def test_a_score_stays_in_its_bounds_and_never_rises_by_a_listing(listings: list[tuple[float, float]]) -> None:
    whole = score(listings, Rule())
    assert 0 <= whole <= 100
    assert score([*listings, (10, 0)], Rule()) <= whole


# Slots


@pytest.mark.parametrize(
    ("last", "ttl", "expected"),
    [
        (0, 0, 50),  # the first look, before its slot
        (20, 0, 50),
        (44, 0, 50),
        (46, 0, 150),  # too near to its slot
        (50, 0, 150),
        (50.02, 0, 150),
        (150.4, 0, 250),
        (50, 60, 150),  # the answer holds for less than the interval
        (50, 105, 156),  # a little more: a little later, not an interval
        (50, 1000, 1051),
        (50, 1e9, 51 + DAY),  # nobody is believed for years
    ],
)
def test_each_pair_has_its_slot(last: float, ttl: float, expected: float) -> None:
    assert next_look(last, ttl, origin=0, phase=0.5, interval=100) == pytest.approx(expected)


@given(st.floats(0, 1e6), st.floats(0, 0.999), st.floats(1, 1e5))
def test_the_next_look_is_never_more_than_a_twentieth_late(last: float, phase: float, interval: float) -> None:
    gap = next_look(last, 0, origin=0, phase=phase, interval=interval) - last
    assert 0.0499 * interval <= gap <= 1.0501 * interval


@pytest.mark.parametrize(("failures", "seconds"), [(1, 15), (2, 30), (3, 60), (8, 1800), (5000, 1800)])
def test_a_failing_list_is_tested_again_soon_at_first(failures: int, seconds: float) -> None:
    assert retry(failures, 1800) == seconds


def test_an_interval_too_short_for_all_questions_is_stretched() -> None:
    assert stretched(4000, 20, 1800) == 1800
    assert stretched(4000, 20, 60) == 200


# Rows of `sent_today`


def test_rows_are_summed_by_known_address() -> None:
    own = ipaddress.ip_interface("2001:db8::25/128")
    rows = [("192.0.2.1", 5), ("192.0.2.1/32", Decimal(2)), (own, 7), ("192.0.2.9", 3)]
    sent = tally(rows, ["192.0.2.1", "2001:db8::25", "192.0.2.2"])
    assert sent.counts == {"192.0.2.1": 7, "2001:db8::25": 7, "192.0.2.2": 0}
    assert sent.bad_rows == 0


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (("mail.example", 5), "no IP address"),
        ((None, 5), "no IP address"),
        (("192.0.2.1", "many"), "no number"),
        (("192.0.2.1", None), "no number"),
        (("192.0.2.1", -1), "no count"),
        (("192.0.2.1", float("nan")), "no count"),
        (("192.0.2.1",), "two columns"),
    ],
)
def test_rows_that_make_no_sense_are_counted_and_told(row: tuple[object, ...], said: str) -> None:
    sent = tally([row, ("192.0.2.1", 4)], ["192.0.2.1"])
    assert (sent.counts, sent.bad_rows) == ({"192.0.2.1": 4}, 1)
    assert said in sent.example
    assert "mail.example" not in sent.example


# The state file


def test_the_state_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    since = {("192.0.2.1", "zen.spamhaus.org"): 1_700_000_000.25, ("2001:db8::25", "b"): 5.0}
    state.save(path, since)
    assert state.load(path) == since
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    state.save(path, {})
    assert state.load(path) == {}
    assert os.listdir(tmp_path) == ["state.json"]  # noqa: PTH208  # names alone


def test_no_file_yet_is_no_failure(tmp_path: Path) -> None:
    assert state.load(tmp_path / "none.json") == {}


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"version": 2, "listed_since": {}}', b'{"version": 1}',
     b'{"version": 1, "listed_since": []}', b'{"version": 1, "listed_since": {"a": {"b": "c"}}}', b"[" * 100_000],
)  # fmt: skip
def test_a_file_of_others_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(content)
    with pytest.raises(state.StateUnusable):
        state.load(path)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state.json"
    state.save(path, {("192.0.2.1", "a"): 1.0})

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        state.save(path, {("192.0.2.1", "a"): 2.0})
    assert json.loads(path.read_text())["listed_since"] == {"192.0.2.1": {"a": 1.0}}
    assert os.listdir(tmp_path) == ["state.json"]  # noqa: PTH208
