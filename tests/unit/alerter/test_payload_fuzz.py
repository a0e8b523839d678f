"""Whatever is posted to the webhook is taken or refused with a sentence; nothing else comes of it."""

import gzip
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerter.intake.payload import BadPayload, PayloadTooLarge, decode, unpack
from alerter.messages.telling import tell
from alerter.model import Action
from tests.support.alerter import alert, payload
from tests.support.telling import HOME, NOON, message

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
TIMES = st.sampled_from(
    [
        "2026-11-22T03:12:00Z",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999999999Z",
        "2026-11-22T03:12:00.123456789+01:00",
        "2026-02-30T00:00:00Z",
        "",
        "now",
    ]
)


def without(parts: dict[str, Any], gone: set[str]) -> dict[str, Any]:
    return {name: value for name, value in parts.items() if name not in gone}


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(st.sampled_from([*alert("x"), "unknown"]), JSON | TIMES, max_size=5),
    st.dictionaries(st.sampled_from([*payload(), "notification_reason"]), JSON, max_size=3),
    st.sets(st.sampled_from([*alert("x")]), max_size=2),
)
def test_each_field_may_be_anything(entry: dict[str, Any], around: dict[str, Any], gone: set[str]) -> None:
    entries = {"alerts": [without(alert("x") | entry, gone)]}
    body = json.dumps(payload() | around | entries).encode()
    try:
        webhook = decode(body, "default")
        reasons = webhook.unread
    except BadPayload as refused:
        reasons = (str(refused),)
    for reason in reasons:
        assert "\n" not in reason
        assert len(reason) < 300
    if reasons:
        return
    assert len(webhook.alerts) == 1
    for each in webhook.alerts:
        # What was taken can be told, and stored.
        told = tell(message(Action.TRIGGER, each), NOON, HOME)
        assert told.title
        json.dumps({**each.labels, **each.annotations}).encode()


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200) | JSON.map(json.dumps).map(str.encode), st.sampled_from(["", "gzip", "br", "identity"]))
def test_any_body_is_refused_or_taken(body: bytes, encoding: str) -> None:
    try:
        webhook = decode(unpack(body, encoding, 1000), "default")
    except (BadPayload, PayloadTooLarge):
        return
    assert webhook.alerts == ()


def test_a_gzip_bomb_ends_at_the_limit() -> None:
    with pytest.raises(PayloadTooLarge):
        unpack(gzip.compress(b" " * (256 << 20), 9), "gzip", 1 << 20)
