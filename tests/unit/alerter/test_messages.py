"""What people are told, whatever the alerts hold: by tables, and by all that Hypothesis can think of."""

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerter.messages import blocks, texts
from alerter.messages.clean import clean, cut, line, link
from alerter.messages.gsm import to_gsm, units
from alerter.messages.html import html
from alerter.messages.lines import lasting
from alerter.messages.telling import tell
from alerter.messages.times import moment, span
from alerter.model import Action, Alert, Mark, Severity, Status
from demo.providers.exchange import texts as all_texts
from tests.support.telling import HOME, NOON, alert, message, storm

LATER = NOON + 720


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(-5, "0 s"), (0, "0 s"), (59, "59 s"), (60, "1 min"), (3600, "1 h"), (12_000, "3 h 20 min"), (187_200, "2 d 4 h")],
)
def test_spans(seconds: float, told: str) -> None:
    assert span(seconds) == told


@pytest.mark.parametrize(("at", "told"), [(NOON, "2023-11-14 22:13 UTC"), (1e300, "an unknown time")])
def test_moments(at: float, told: str) -> None:
    assert moment(at) == told


@pytest.mark.parametrize(
    ("action", "alerts", "marks", "word"),
    [
        (Action.TRIGGER, [alert()], [], "CRITICAL"),
        (Action.UPDATE, [alert(labels={"severity": "warning"})], [], "WARNING"),
        (Action.TRIGGER, [alert(labels={"severity": "odd"})], [], "ALERT"),
        (Action.TRIGGER, [alert(labels={"severity": "info"}), alert("f2")], [], "CRITICAL"),
        (Action.UPDATE, [alert(labels={"severity": "info"}), alert("f2", firing=False)], [], "INFO"),
        (Action.RESOLVE, [alert(firing=False)], [], "RESOLVED"),
        (Action.TRIGGER, [alert(firing=False)], [], "WAS CRITICAL"),  # late; its end is told behind it
        (Action.TRIGGER, [alert(firing=False, labels={"severity": "odd"})], [], "WAS ALERT"),
        (Action.UPDATE, [alert(firing=False), alert("f2", firing=False)], [], "RESOLVED"),
        (Action.TRIGGER, [alert()], [Mark.TEST], "TEST"),
    ],
)
def test_the_first_word(action: Action, alerts: list[Alert], marks: list[Mark], word: str) -> None:
    assert tell(message(action, *alerts, marks=frozenset(marks)), LATER, HOME).word == word


def test_what_one_has_taken_of_a_group_leaves_the_others() -> None:
    def word(*taken: bool, firing: bool = True) -> str:
        whole = message(Action.ACKNOWLEDGE, *(alert(f"f{n}", firing=firing or t) for n, t in enumerate(taken)))
        by = [replace(each, acknowledged_by="Jo" * t) for each, t in zip(whole.alerts, taken, strict=True)]
        told = tell(replace(whole, alerts=tuple(by)), LATER, HOME)
        assert told.remarks == (("1 of 2 acknowledged, by Jo.",) if told.firing > sum(taken) else told.remarks)
        return told.word

    assert word(True) == word(True, True) == "ACKNOWLEDGED"
    assert word(True, False) == "CRITICAL"
    assert word(True, False, firing=False) == "ACKNOWLEDGED"  # the other is over


def test_the_worst_is_named_first_and_the_rest_counted() -> None:
    many = [alert(f"f{n}", labels={"severity": "warning", "queue": f"q{n}"}) for n in range(60)]
    worst = alert("worst", annotations={"summary": "the worst of all"})
    told = tell(message(Action.UPDATE, *many, worst), LATER, HOME)
    assert told.lines[0].summary == "the worst of all"
    assert told.title == "CRITICAL: queues: QueueBacklogCritical, 61 firing: the worst of all"
    assert (told.count, told.more) == (61, 21)
    assert "And 21 more." in texts.plain(told)


def test_what_ended_is_told_with_its_length_and_no_call_to_act() -> None:
    told = tell(message(Action.RESOLVE, told={"note": "silenced in Alertmanager for 5 minutes"}), LATER, HOME)
    text = texts.plain(told)
    assert "from 2023-11-14 22:13 UTC, for 10 min" in text
    assert "silenced in Alertmanager" in text
    assert "Silence:" not in text
    assert "For customers" not in text


@pytest.mark.parametrize(
    ("labels", "where"),
    [
        ({"queue": "a", "priority": "high", "job": "x"}, "queue a, priority high"),
        ({"target": "smtp", "kind": "smtp", "instance": "h:1"}, "target smtp, kind smtp, instance h:1"),
        ({"team": "mail", "job": "x"}, "team mail"),
        ({}, ""),
    ],
)
def test_where(labels: Mapping[str, str], where: str) -> None:
    bare = replace(alert(), labels={"alertname": "X", "severity": "warning", **labels})
    assert tell(message(Action.TRIGGER, bare), LATER, HOME).lines[0].where == where


def test_what_it_means_for_customers_is_the_rule_s_word_or_ours() -> None:
    own = alert(annotations={"impact": "Nobody gets a receipt."})
    other = alert(labels={"service": "unheard of"})
    impacts = [tell(message(Action.TRIGGER, each), LATER, HOME).lines[0].impact for each in (own, alert(), other)]
    assert impacts == ["Nobody gets a receipt.", "Jobs wait longer than they should; mail may go out late.", ""]


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://a.example/b?c=d#e", True),
        ("http://localhost:9093", True),
        ("javascript:alert(1)", False),
        ("https://", False),
        ("https://a.example/ b", False),
        ('https://a.example/"onclick="x', False),
        ("https://a.example/<b>", False),
        ("https://a.example/|x", False),
        ("https://a.example/\nBcc:", False),
        ("https://" + "a" * 3000, False),
        ("https://[::1", False),
        ("data:text/html,x", False),
    ],
)
def test_links(url: str, kept: bool) -> None:
    assert link(url) == (url if kept else "")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("plain", "plain"),
        ("“12” — wait…", '"12" - wait...'),
        ("naïve café Č", "naive café C"),  # é is in the alphabet, ï and Č are not
        ("€ ^ {", "€ ^ {"),
        ("fire 🔥", "fire ?"),
        ("Очередь", None),
        ("漢字", None),
    ],
)
def test_the_alphabet_of_sms(text: str, told: str | None) -> None:
    assert to_gsm(text) == told


def test_some_characters_take_two_places() -> None:
    assert units("a€{") == 5


def test_cutting_leaves_no_half_escape() -> None:
    assert blocks.escaped("<" * 10, 20) == "&lt;" * 4 + "…"
    assert cut("abcdef", 3) == "ab…"
    assert clean("a\x00b\ud800c\r\nd") == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c\nd"
    assert line(" a \n\n b ") == "a b"


def test_the_form_for_a_silence_is_filled_with_every_label() -> None:
    labels = {"alertname": "Listed", "größe": 'a "b"', "lone \ud800": "x"}
    (only,) = tell(message(Action.TRIGGER, alert(labels=labels, external_url="http://am:9093/")), LATER, HOME).lines
    url, _, given = only.silence.partition("#/silences/new?filter=")
    assert url == "http://am:9093/"
    parts = unquote(given).removeprefix("{").removesuffix("}").split(", ")
    assert 'alertname="Listed"' in parts
    assert '"größe"="a \\"b\\""' in parts
    assert '"lone \N{REPLACEMENT CHARACTER}"="x"' in parts


# Whatever it is

ANY = st.text(st.characters(), max_size=60)  # surrogates too: JSON can hold them
ODD = st.sampled_from(
    ["<!channel>", "<!here>", "<@U024BE7LH>", "&lt;", "\r\nBcc: x@y", "{{ 7 * 7 }}", "{% for x in y %}", "*_~`", "\x00"]
)
WORDS = st.one_of(ANY, ODD, st.builds(lambda word, times: word * times, ODD, st.integers(1, 500)))
MAPS = st.dictionaries(
    st.one_of(WORDS, st.sampled_from(["alertname", "severity", "service", "queue", "summary", "description"])),
    WORDS,
    max_size=8,
)
TIMES = st.floats(-1e13, 1e13, allow_nan=False)
ALERTS = st.builds(
    Alert,
    source=ANY,
    fingerprint=ANY,
    status=st.sampled_from(Status),
    labels=MAPS,
    annotations=MAPS,
    starts_at=TIMES,
    ends_at=st.none() | TIMES,
    generator_url=WORDS,
    external_url=WORDS | st.just("http://alertmanager:9093"),
    group_key=ANY,
)
MARKS = st.frozensets(st.sampled_from(Mark))


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(Action), st.lists(ALERTS, min_size=1, max_size=20), MARKS, WORDS, WORDS)
def test_every_alert_can_be_told_within_every_limit(
    action: Action, alerts: list[Alert], marks: frozenset[Mark], note: str, who: str
) -> None:
    told = tell(message(action, *alerts, marks=marks, note=note, told={"acknowledged_by": who}), LATER, HOME)

    made = blocks.blocks(told)
    assert 2 <= len(made) <= blocks.BLOCKS
    shown = list(all_texts(made))
    assert sum(map(len, shown)) <= 13_000
    for text in [*shown, blocks.plain(told), blocks.news(told)]:
        assert len(text) <= blocks.SECTION
        assert "<!" not in text
        assert "<@" not in text
        text.encode()  # no lone surrogate is left
    sms = texts.short(told)
    gsm = to_gsm(sms)
    assert (units(sms) <= 160) if gsm == sms else len(sms) <= 160
    assert "\n" not in told.title
    page = html(told)
    assert "<!channel" not in page
    assert page.count("<html") == 1
    texts.plain(told).encode()
    assert lasting(told.lines[0], LATER)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 100_000), st.integers(1, 60))
def test_every_storm_can_be_told(count: int, named: int) -> None:
    told = tell(storm(count + named, named), LATER, HOME)
    assert str(count + named) in told.title or count + named == 1
    assert told.severity is Severity.CRITICAL
    assert len(blocks.blocks(told)) <= blocks.BLOCKS
    assert units(texts.short(told)) <= 160
