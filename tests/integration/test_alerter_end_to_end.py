"""From a webhook to people: the daemon with every kind of receiver, before providers that hold to the wire."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from demo.providers import Fault
from tests.support.alerter import Alerter, alert, payload
from tests.support.providers import RECEIVERS, Providers, everybody, with_fallback
from tests.support.wait import eventually


@pytest.fixture
def providers(tmp_path: Path) -> Iterator[Providers]:
    with ExitStack() as stack:
        yield Providers(tmp_path, stack)


def test_all_are_told_when_it_begins_and_when_it_is_over(providers: Providers, tmp_path: Path) -> None:
    with Alerter(tmp_path, everybody(providers)) as alerter:
        assert alerter.send(alert("Backlog", queue="email")).status_code == 200

        def told() -> None:
            assert len(providers.pagerduty.open) == 1
            assert len(providers.slack.messages()) == 1
            assert len(providers.mailbox.mails) == 1
            assert len(providers.twilio.sent) == 1
            assert len(providers.hook.taken) == 1

        eventually(told, within=20)
        assert alerter.send(alert("Backlog", "resolved", queue="email")).status_code == 200

        def over() -> None:
            assert not providers.pagerduty.open
            assert "RESOLVED" in providers.slack.messages()[0].shown
            assert len(providers.mailbox.mails) == 2
            assert len(providers.twilio.sent) == 2
            assert len(providers.hook.taken) == 2

        eventually(over, within=20)
        first, last = (mail.message for mail in providers.mailbox.mails)
        assert last["In-Reply-To"] == first["Message-ID"]
        assert len(providers.slack.posts) == 1
        assert not providers.pagerduty.dropped
        (entry,) = alerter.feed()
        assert entry["state"] == "resolved"
        assert {each["receiver"] for each in entry["deliveries"]} == set(RECEIVERS)


def test_slack_shows_a_group_as_one_message(providers: Providers, tmp_path: Path) -> None:
    given = {"receivers": providers.receivers(), "default": {"receivers": ["ops"]}}
    with Alerter(tmp_path, given) as alerter:
        alerter.send(*(alert("Backlog", queue=queue) for queue in ("a", "b", "c")))
        eventually(lambda: len(providers.slack.posts) == 1, within=20)
        alerter.send(alert("Backlog", "resolved", queue="a"), alert("Backlog", queue="b"), alert("Backlog", queue="c"))
        eventually(lambda: "2 of 3 firing" in providers.slack.posts[0].shown, within=20)
        alerter.send(*(alert("Backlog", "resolved", queue=queue) for queue in ("b", "c")))
        eventually(lambda: "RESOLVED" in providers.slack.posts[0].shown, within=20)
        assert len(providers.slack.posts) == 1


@pytest.mark.soak  # in real time; test_alerter_fallback.py has it with the clock in the test's hand
@pytest.mark.timeout(120)
def test_with_slack_and_pagerduty_dead_a_critical_alert_is_accepted_elsewhere_within_35_s(
    providers: Providers, tmp_path: Path
) -> None:
    providers.pagerduty.stop()
    providers.slack.always(Fault.hang(60))
    with Alerter(tmp_path, with_fallback(providers, "30s")) as alerter:
        began = time.monotonic()
        assert alerter.send(alert("Backlog", queue="email")).status_code == 200
        eventually(lambda: providers.twilio.sent and providers.mailbox.mails, within=45)
        took = time.monotonic() - began
        assert 29 < took < 35
        assert "[fallback]" in providers.twilio.sent[0].body
        assert "could not be reached in time" in providers.mailbox.mails[0].part("plain")
        # Its end goes the same ways, and to those who come back.
        alerter.send(alert("Backlog", "resolved", queue="email"))
        eventually(lambda: len(providers.twilio.sent) == 2 and len(providers.mailbox.mails) == 2, within=20)
        providers.pagerduty.start()
        eventually(lambda: [e["event_action"] for e in providers.pagerduty.events] == ["trigger", "resolve"], within=45)
        assert not providers.pagerduty.open
        assert alerter.value("postwatch_alerter_fallbacks_total")


def test_a_revoked_token_goes_to_the_fallback_and_burns_nothing(providers: Providers, tmp_path: Path) -> None:
    given = with_fallback(providers, "1s")
    given["receivers"][0].pop("routing_key")
    given["receivers"][0]["routing_key_file"] = "key"
    (tmp_path / "key").write_text("f" * 32)
    given["routes"][0]["receivers"] = ["oncall"]
    with Alerter(tmp_path, given) as alerter:
        alerter.send(alert("Backlog", queue="email"))
        eventually(lambda: providers.twilio.sent, within=20)
        state = {"receiver": "oncall", "state": "open"}
        eventually(lambda: alerter.value("postwatch_alerter_receiver_state", **state) == 1, within=20)
        for number in range(5):
            alerter.send(alert(f"Other{number}"))
        (own,) = eventually(lambda: alerter.feed(q="PostwatchReceiverFailing"), within=20)
        assert own["labels"]["receiver"] == "oncall"
        assert "oncall" not in {each["receiver"] for each in own["deliveries"]}
        asked = len(providers.pagerduty.requests)
        assert asked < 5
        (tmp_path / "key").write_text(providers.pagerduty.routing_key)
        eventually(lambda: len(providers.pagerduty.open) == 6, within=90)
    assert "f" * 32 not in alerter.output.read_text()
    assert providers.pagerduty.routing_key not in alerter.output.read_text()


def test_a_storm_is_told_as_one_and_stays_in_the_feed(providers: Providers, tmp_path: Path) -> None:
    given: dict[str, Any] = {"receivers": providers.receivers(), "default": {"receivers": ["oncall-sms"]}}
    given["receivers"][3]["rate"] = "1/s"
    with Alerter(tmp_path, given) as alerter:
        alerter.send(*(alert(f"Storm{number}", severity="warning") for number in range(300)))
        eventually(lambda: any("alerts at once" in sms.body for sms in providers.twilio.sent), within=40)

        def told() -> None:
            feed = alerter.feed(limit=5000)
            assert len(feed) == 300
            states = {delivery["state"] for entry in feed for delivery in entry["deliveries"]}
            assert "pending" not in states, states

        eventually(told, within=60, every=0.5)
        counts = [
            int(found[1]) for sms in providers.twilio.sent if (found := re.search(r"(\d+) alerts at once", sms.body))
        ]
        alone = len(providers.twilio.sent) - len(counts)
        assert sum(counts) + alone == 300
        assert len(providers.twilio.sent) < 40


def test_a_template_that_fails_is_counted_and_the_built_in_text_is_sent(providers: Providers, tmp_path: Path) -> None:
    given: dict[str, Any] = {"receivers": providers.receivers(), "default": {"receivers": ["ops"]}}
    given["receivers"][1]["templates"] = {"text": "{% for i in range(99999) %}{{ title }}{% endfor %}"}
    with Alerter(tmp_path, given) as alerter:
        alerter.send(alert("Backlog", queue="email"))
        eventually(lambda: providers.slack.posts, within=20)
        assert "Backlog is unwell" in providers.slack.posts[0].shown
        eventually(lambda: alerter.value("postwatch_alerter_template_failures_total") == 1, within=20)


NASTY = ["<!channel> <@U024BE7LH>", "a\r\nBcc: x@y", "\ud800", "\x00", "{{ 7 * 7 }}", "\u202e", "x" * 100_000, "🔥", ""]


def test_whatever_an_alert_holds_it_is_taken_and_told_and_mentions_nobody(providers: Providers, tmp_path: Path) -> None:
    with Alerter(tmp_path, everybody(providers)) as alerter:
        for number, text in enumerate(NASTY):
            told = alert(f"Nasty{number}", queue=text, service=text)
            told["annotations"] = dict.fromkeys(("summary", "description", "runbook_url", "impact"), text)
            body = json.dumps(payload(told, group=text, url=text))
            answer = alerter.client.post("/webhook", content=body, headers={"Content-Type": "application/json"})
            assert answer.status_code == 200, (text[:20], answer.text)
        eventually(lambda: len(providers.hook.taken) == len(NASTY), within=30)
        eventually(lambda: len(providers.mailbox.mails) == len(NASTY), within=30)
        eventually(lambda: alerter.value("postwatch_alerter_outbox_pending") == 0, within=30)
        assert len(providers.pagerduty.open) == len(NASTY)
        assert len(providers.twilio.sent) == len(NASTY)
        assert providers.slack.mentions == []
        assert all(mail.recipients == ["ops@example.net"] for mail in providers.mailbox.mails)
        assert not alerter.logged("a receiver broke")
        assert httpx.get(f"{alerter.url}/healthz").status_code == 200
