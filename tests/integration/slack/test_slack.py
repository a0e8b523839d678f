"""Slack: one message for a group, updated, with its history in the thread; and what Slack's words mean."""

from dataclasses import replace
from typing import Any

import pytest

from alerter.model import Action, Alert, Mark, Reason
from alerter.receivers.base import DeliveryFailed, Memory, Receiver
from demo.providers import Fault
from tests.contracts.receiving import SlackHarness, SlackHookHarness, receiver
from tests.support.telling import alert, message, storm

A, B = alert("a", labels={"queue": "a"}), alert("b", labels={"queue": "b"})
OVER_A, OVER_B = alert("a", firing=False, labels={"queue": "a"}), alert("b", firing=False, labels={"queue": "b"})


def tell(it: Receiver, memory: Memory, action: Action, *alerts: Alert, **fields: Any) -> Memory:
    """Deliver; answers what is remembered then."""
    accepted = it.send(message(action, *alerts, memory=memory, **fields))
    return memory if accepted.memory is None else accepted.memory


def test_a_group_is_one_message_that_is_updated_to_its_end(slack: SlackHarness, it: Receiver) -> None:
    memory = tell(it, {}, Action.TRIGGER, A)
    assert memory == {"channel": "C024BE91L", "ts": slack.provider.posts[0].ts}
    memory = tell(it, memory, Action.UPDATE, A, B, news=frozenset({"b"}))
    memory = tell(it, memory, Action.UPDATE, OVER_A, B, news=frozenset({"a"}))
    assert ":large_green_circle:" in slack.provider.posts[0].shown
    memory = tell(it, memory, Action.RESOLVE, OVER_A, OVER_B)
    (post,) = slack.provider.posts
    assert post.edits == 3
    assert "RESOLVED" in post.shown
    assert "0 of 2 firing" in post.shown
    assert memory == {}
    # A new episode is a new message.
    tell(it, memory, Action.TRIGGER, A, delivery_id="again")
    assert len(slack.provider.messages()) == 2


def test_thread_and_both_keep_the_history(slack: SlackHarness) -> None:
    for follow_up, edits in (("thread", 0), ("both", 1)):
        with receiver(slack, follow_up=follow_up) as it:
            memory = tell(it, {}, Action.TRIGGER, A)
            tell(it, memory, Action.UPDATE, A, OVER_B, news=frozenset({"b"}))
        (reply,) = slack.provider.replies(memory["ts"])
        assert "resolved: 12,431 jobs" in reply.text
        assert "firing" not in reply.text
        assert not reply.broadcast
        assert next(post for post in slack.provider.posts if post.ts == memory["ts"]).edits == edits


@pytest.mark.parametrize("mark", [Mark.REPEAT, Mark.ESCALATION, Mark.FALLBACK])
def test_what_is_to_be_heard_is_no_silent_update(slack: SlackHarness, it: Receiver, mark: Mark) -> None:
    memory = tell(it, {}, Action.TRIGGER, A)
    tell(it, memory, Action.UPDATE, A, marks=frozenset({mark}))
    (reply,) = slack.provider.replies(memory["ts"])
    assert reply.broadcast


def test_who_acknowledged_it_is_shown(slack: SlackHarness, it: Receiver) -> None:
    memory = tell(it, {}, Action.TRIGGER, A)
    tell(it, memory, Action.ACKNOWLEDGE, A, told={"acknowledged_by": "Jo <jo@example.net>"})
    (post,) = slack.provider.posts
    assert "ACKNOWLEDGED" in post.shown
    assert "Acknowledged by Jo &lt;jo@example.net&gt;." in post.shown


def test_a_storm_is_a_message_of_its_own(slack: SlackHarness, it: Receiver) -> None:
    memory = tell(it, {}, Action.TRIGGER, A)
    assert it.send(replace(storm(500), memory={})).memory == {}
    assert len(slack.provider.messages()) == 2
    assert memory


def test_links_are_buttons(slack: SlackHarness, it: Receiver) -> None:
    tell(it, {}, Action.TRIGGER, A)
    buttons = {
        element["text"]["text"]: element["url"]
        for block in slack.provider.posts[0].blocks
        if block["type"] == "actions"
        for element in block["elements"]
    }
    assert buttons["Dashboard"] == "https://grafana.example.com/d/queues?var=a&b=c"
    assert buttons["Silence"].startswith("http://alertmanager:9093/#/silences/new?filter=%7Balertname%3D%22")
    assert buttons["Runbook"] == "https://runbooks.example.com/backlog"


@pytest.mark.parametrize("label", ["<!channel>", "<!here>", "<@U024BE7LH>", "<#C024BE91L>", "<!subteam^S01>", "@here"])
def test_a_label_mentions_nobody(slack: SlackHarness, label: str) -> None:
    words = dict.fromkeys(("summary", "description", "impact"), label)
    nasty = alert("a", labels={"queue": label, "alertname": label, "service": label}, annotations=words)
    template = (
        "{{ headline }} {{ alerts[0].labels.queue }} {% for name in alerts[0].annotations %}{{ name }}{% endfor %}"
    )
    for templates in ({}, {"text": template}):
        with receiver(slack, templates=templates, follow_up="both") as it:
            memory = tell(it, {}, Action.TRIGGER, nasty, told={"acknowledged_by": label, "note": label})
            tell(it, memory, Action.UPDATE, nasty, note=label, told={"acknowledged_by": label})
            tell(it, memory, Action.ACKNOWLEDGE, nasty, told={"acknowledged_by": label})
    assert slack.provider.mentions == []
    assert len(slack.provider.posts) > 4
    assert all("link_names" not in str(request.body) for request in slack.provider.requests)


# Slack's words


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("ratelimited", Reason.RATE_LIMITED),
        ("internal_error", Reason.UNAVAILABLE),
        ("fatal_error", Reason.UNAVAILABLE),
        ("service_unavailable", Reason.UNAVAILABLE),
        ("request_timeout", Reason.TIMEOUT),
        ("team_added_to_org", Reason.UNAVAILABLE),
    ],
)
def test_words_that_mean_again(slack: SlackHarness, it: Receiver, word: str, reason: Reason) -> None:
    slack.refuse(word)
    with pytest.raises(DeliveryFailed) as caught:
        it.send(message())
    assert (caught.value.reason, caught.value.retry, caught.value.opens_circuit) == (reason, True, False)


@pytest.mark.parametrize("word", ["channel_not_found", "not_in_channel", "is_archived", "no_text", "never_heard_of"])
def test_words_that_mean_never(slack: SlackHarness, it: Receiver, word: str) -> None:
    slack.refuse(word)
    with pytest.raises(DeliveryFailed) as caught:
        it.send(message())
    assert (caught.value.reason, caught.value.retry, caught.value.opens_circuit) == (Reason.REJECTED, False, False)
    assert word in caught.value.text


@pytest.mark.parametrize("word", ["invalid_auth", "token_revoked", "account_inactive", "missing_scope", "not_authed"])
def test_words_about_the_token_open_the_circuit(slack: SlackHarness, it: Receiver, word: str) -> None:
    slack.refuse(word)
    with pytest.raises(DeliveryFailed) as caught:
        it.send(message())
    assert (caught.value.reason, caught.value.opens_circuit) == (Reason.AUTH, True)


@pytest.mark.parametrize("word", ["message_not_found", "cant_update_message", "edit_window_closed"])
def test_what_cannot_be_updated_is_posted_anew(slack: SlackHarness, it: Receiver, word: str) -> None:
    memory = tell(it, {}, Action.TRIGGER, A)
    slack.refuse(word)
    after = tell(it, memory, Action.UPDATE, A, B)
    assert [post.edits for post in slack.provider.posts] == [0, 0]
    assert after["ts"] == slack.provider.posts[1].ts


def test_a_message_that_somebody_deleted_is_posted_anew_by_thread_too(slack: SlackHarness) -> None:
    with receiver(slack, follow_up="thread") as it:
        memory = tell(it, {}, Action.TRIGGER, A)
        slack.provider.posts.clear()
        after = tell(it, memory, Action.UPDATE, A, B)
    assert after["ts"] == slack.provider.posts[0].ts


@pytest.mark.parametrize("word", ["msg_too_long", "msg_blocks_too_long", "invalid_blocks"])
def test_what_is_too_much_is_sent_smaller_and_plain_once(slack: SlackHarness, it: Receiver, word: str) -> None:
    slack.refuse(word)
    accepted = it.send(message())
    assert word in accepted.note
    (post,) = slack.provider.posts
    assert post.blocks == []
    assert "12,431 jobs wait" in post.text
    slack.refuse(word)
    slack.refuse(word)
    with pytest.raises(DeliveryFailed) as caught:
        it.send(message())
    assert not caught.value.retry


def test_an_update_sent_plain_takes_the_old_blocks_away(slack: SlackHarness, it: Receiver) -> None:
    memory = tell(it, {}, Action.TRIGGER, A)
    slack.refuse("invalid_blocks")
    tell(it, memory, Action.RESOLVE, OVER_A)
    assert slack.provider.posts[0].shown.startswith("RESOLVED")


def test_an_attempt_goes_on_where_the_last_one_broke_off(slack: SlackHarness) -> None:
    with receiver(slack, follow_up="both") as it:
        memory = tell(it, {}, Action.TRIGGER, A)
        update = message(Action.UPDATE, A, B, memory=memory)
        slack.provider.always(lambda request: Fault.status(503) if b"thread_ts" in request.body else None)
        with pytest.raises(DeliveryFailed) as caught:
            it.send(update)
        slack.provider.always(None)
        it.send(replace(update, progress=caught.value.progress))
    assert slack.provider.posts[0].edits == 1
    assert len(slack.provider.replies(memory["ts"])) == 1


def test_an_answer_that_was_lost_may_double_the_message(slack: SlackHarness, it: Receiver) -> None:
    slack.provider.inject(Fault.lost())
    with pytest.raises(DeliveryFailed) as caught:
        it.send(message())
    assert caught.value.retry
    it.send(message())
    assert len(slack.provider.posts) == 2  # Slack knows no repetition: alerting.md, "at least once"


# Incoming webhooks


def test_an_incoming_webhook_gets_a_message_for_each_change() -> None:
    harness = SlackHookHarness()
    with receiver(harness) as it:
        memory = tell(it, {}, Action.TRIGGER, A)
        tell(it, memory, Action.RESOLVE, OVER_A)
    harness.stop()
    assert memory == {}
    assert [post.shown.split("*")[1].split(":")[0] for post in harness.provider.posts] == ["CRITICAL", "RESOLVED"]


@pytest.mark.parametrize(
    ("status", "word", "reason"),
    [
        (404, "no_service", Reason.AUTH),
        (403, "action_prohibited", Reason.REJECTED),
        (410, "channel_is_archived", Reason.REJECTED),
        (500, "rollup_error", Reason.UNAVAILABLE),
    ],
)
def test_an_incoming_webhook_s_words(status: int, word: str, reason: Reason) -> None:
    harness = SlackHookHarness()
    harness.provider.inject(Fault.status(status, word))
    with receiver(harness) as it, pytest.raises(DeliveryFailed) as caught:
        it.send(message())
    harness.stop()
    assert caught.value.reason is reason
    assert caught.value.retry is (reason is not Reason.REJECTED)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"token": None}, "either token and channel or webhook_url"),
        ({"webhook_url": "https://hooks.slack.com/services/x"}, "either token and channel or webhook_url"),
        ({"channel": " "}, "missing; write the channel's name"),
    ],
)
def test_options_that_do_not_fit_together(slack: SlackHarness, given: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told), receiver(slack, **given):
        pass
