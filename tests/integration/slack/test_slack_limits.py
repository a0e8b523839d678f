"""Slack's limits: of a message's size, of what is made of its words, and the pause that it asks for."""

from collections.abc import Iterator
from typing import Any

import pytest

from alerter.model import Action, Mark, Reason
from alerter.receivers.base import DeliveryFailed, Receiver
from demo.providers import Fault
from tests.contracts.receiving import SlackHarness
from tests.support.telling import alert, message

ALTOGETHER = 13_000  # characters, from which on Slack says msg_blocks_too_long


def texts(part: Any) -> Iterator[dict[str, Any]]:
    """All text objects within."""
    if isinstance(part, dict):
        if part.get("type") in ("mrkdwn", "plain_text"):
            yield part
        for each in part.values():
            yield from texts(each)
    elif isinstance(part, list):
        for each in part:
            yield from texts(each)


def test_many_alerts_with_much_to_say_fit_into_a_message(slack: SlackHarness, it: Receiver) -> None:
    words = {"summary": "& " * 300, "description": "d" * 3000, "impact": "i" * 600}
    pages = dict.fromkeys(("runbook_url", "dashboard_url"), f"https://example.com/{'x' * 1900}")
    many = [alert(f"f{number}", labels={"queue": f"q{number}" * 50}, annotations=words | pages) for number in range(60)]
    told = {"acknowledged_by": "a" * 100, "note": "n" * 500}
    accepted = it.send(message(Action.TRIGGER, *many, told=told, note="r" * 600, marks=frozenset(Mark)))
    assert accepted.note == ""  # it was not refused as too long
    (post,) = slack.provider.posts
    assert 3 < len(post.blocks) <= 50
    assert sum(len(each["text"]) for each in texts(post.blocks)) < ALTOGETHER
    assert any(block["type"] == "actions" for block in post.blocks)


def test_no_word_of_an_alert_becomes_a_link_or_a_name(slack: SlackHarness, it: Receiver) -> None:
    """Slack would make one of each `#channel` and address that it finds, unless told to leave all as it is."""
    memory = it.send(message(note="#general", told={"acknowledged_by": "jo"})).memory
    it.send(message(Action.UPDATE, alert(), alert("b", firing=False), memory=memory or {}))
    found = [each for post in slack.provider.posts for each in texts(post.blocks) if each["type"] == "mrkdwn"]
    assert len(found) > 3
    assert all(each.get("verbatim") is True for each in found)


@pytest.mark.parametrize(
    ("status", "word", "reason"),
    [(429, "ratelimited", Reason.RATE_LIMITED), (200, "ratelimited", Reason.RATE_LIMITED),
     (503, "service_unavailable", Reason.UNAVAILABLE)],
)  # fmt: skip
def test_a_pause_that_it_asks_for_by_its_own_word(
    slack: SlackHarness, it: Receiver, status: int, word: str, reason: Reason
) -> None:
    slack.provider.inject(Fault.status(status, {"ok": False, "error": word}, Retry_After="7"))
    with pytest.raises(DeliveryFailed) as caught:
        it.send(message())
    assert (caught.value.reason, caught.value.retry, caught.value.after) == (reason, True, 7.0)
