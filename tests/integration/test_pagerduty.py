"""PagerDuty: incidents that open and close by one key, and what its answers mean."""

import json
from collections.abc import Iterator

import pytest
import requests

from alerter.model import Action, Reason
from alerter.receivers.base import DeliveryFailed, Receiver
from demo.providers import Fault
from demo.providers.pagerduty import LARGEST
from tests.contracts.receiving import PagerDutyHarness, receiver
from tests.support.telling import HOME, alert, message


@pytest.fixture
def pagerduty() -> Iterator[PagerDutyHarness]:
    harness = PagerDutyHarness()
    yield harness
    harness.stop()


@pytest.fixture
def it(pagerduty: PagerDutyHarness) -> Iterator[Receiver]:
    with receiver(pagerduty) as made:
        yield made


def test_an_incident_from_trigger_to_resolve(pagerduty: PagerDutyHarness, it: Receiver) -> None:
    it.send(message())
    it.send(message(Action.UPDATE))
    it.send(message(Action.ACKNOWLEDGE))
    (incident,) = pagerduty.provider.open.values()
    assert incident.key == alert().key
    assert incident.status == "acknowledged"
    it.send(message(Action.RESOLVE))
    assert pagerduty.provider.open == {}
    (incident,) = pagerduty.provider.incidents
    assert [event["event_action"] for event in incident.events] == ["trigger", "trigger", "acknowledge", "resolve"]


def test_the_payload_says_what_where_since_when_and_how_bad(pagerduty: PagerDutyHarness, it: Receiver) -> None:
    it.send(message())
    (event,) = pagerduty.provider.events
    payload = event["payload"]
    assert payload["summary"] == (
        "CRITICAL: queues: 12,431 jobs wait in email-sending (queue email-sending, priority high)"
    )
    assert payload["severity"] == "critical"
    assert payload["timestamp"] == "2023-11-14T22:13:20+00:00"
    assert (payload["component"], payload["class"], payload["group"]) == (
        "queues",
        "QueueBacklogCritical",
        "email-sending",
    )
    assert payload["custom_details"]["Labels"]["priority"] == "high"
    assert "mail may go out late" in payload["custom_details"]["For customers"]
    assert {link["text"] for link in event["links"]} == {"Runbook", "Dashboard", "Silence", "Graph"}
    assert event["client_url"] == HOME


@pytest.mark.parametrize(
    ("severity", "theirs"),
    [("critical", "critical"), ("warning", "warning"), ("info", "info"), ("odd", "error"), ("", "error")],
)
def test_severities(pagerduty: PagerDutyHarness, it: Receiver, severity: str, theirs: str) -> None:
    it.send(message(Action.TRIGGER, alert(labels={"severity": severity})))
    assert pagerduty.provider.events[0]["payload"]["severity"] == theirs


def test_a_lost_answer_doubles_nothing(pagerduty: PagerDutyHarness, it: Receiver) -> None:
    pagerduty.provider.inject(Fault.lost())
    with pytest.raises(DeliveryFailed) as caught:
        it.send(message())
    assert caught.value.retry
    assert not caught.value.ambiguous  # the key tells repetitions
    it.send(message())
    assert len(pagerduty.provider.incidents) == 1


def test_413_is_tried_once_with_less(pagerduty: PagerDutyHarness, it: Receiver) -> None:
    pagerduty.provider.inject(Fault.status(413))
    assert "without details" in it.send(message()).note
    assert list(pagerduty.provider.events[0]["payload"]["custom_details"]) == ["Remarks"]
    pagerduty.provider.inject(Fault.status(413), Fault.status(413))
    with pytest.raises(DeliveryFailed) as caught:
        it.send(message())
    assert (caught.value.reason, caught.value.retry) == (Reason.TOO_LARGE, False)


def test_what_is_too_large_is_not_even_tried(pagerduty: PagerDutyHarness, it: Receiver) -> None:
    it.send(message(Action.TRIGGER, alert(labels={f"l{n}": "ü" * 1000 for n in range(150)})))
    assert [len(request.body) < LARGEST for request in pagerduty.provider.requests] == [True]


@pytest.mark.parametrize(
    ("status", "reason", "retry"),
    [
        (400, Reason.REJECTED, False),
        (403, Reason.AUTH, True),
        (404, Reason.REJECTED, False),
        (429, Reason.RATE_LIMITED, True),
        (500, Reason.UNAVAILABLE, True),
        (502, Reason.UNAVAILABLE, True),
        (503, Reason.UNAVAILABLE, True),
    ],
)
def test_statuses(pagerduty: PagerDutyHarness, it: Receiver, status: int, reason: Reason, retry: bool) -> None:
    pagerduty.provider.inject(Fault.status(status, {"status": "x"}))
    with pytest.raises(DeliveryFailed) as caught:
        it.send(message())
    assert (caught.value.reason, caught.value.retry) == (reason, retry)


def test_a_template_for_the_title(pagerduty: PagerDutyHarness) -> None:
    with receiver(
        pagerduty, templates={"summary": "{{ service }}\n down for {{ alerts[0].lasted }}" + "x" * 2000}
    ) as it:
        it.send(message())
    summary = pagerduty.provider.events[0]["payload"]["summary"]
    assert summary.startswith("CRITICAL: queues: 12,431 jobs")  # longer than PagerDuty takes, so the built-in one
    with receiver(pagerduty, templates={"summary": "{{ service }}\n is ill"}) as it:
        it.send(message())
    assert pagerduty.provider.events[1]["payload"]["summary"] == "queues is ill"


def test_the_stand_in_holds_to_the_documented_wire(pagerduty: PagerDutyHarness) -> None:
    def ask(**event: object) -> tuple[int, str]:
        content = {"routing_key": pagerduty.secret, "event_action": "trigger", "dedup_key": "k", **event}
        answer = requests.post(f"{pagerduty.provider.url}/v2/enqueue", data=json.dumps(content), timeout=5)
        return answer.status_code, answer.text

    right = {"summary": "s", "source": "s", "severity": "info"}
    assert ask(payload=right)[0] == 202
    assert ask(event_action="resolve", dedup_key="never opened")[0] == 202
    assert pagerduty.provider.dropped
    for wrong in (
        {"payload": {**right, "severity": "bad"}},
        {"payload": {**right, "summary": "s" * 1025}},
        {"payload": {**right, "source": ""}},
        {"payload": {**right, "colour": "red"}},
        {"payload": right, "dedup_key": "k" * 256},
        {"payload": right, "routing_key": "short"},
        {"payload": right, "event_action": "close"},
        {},
    ):
        status, text = ask(**wrong)
        assert (status, "invalid event" in text) == (400, True), wrong
    assert ask(payload={**right, "custom_details": "x" * LARGEST})[0] == 413
