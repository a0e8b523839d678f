"""Webhooks as the Alertmanagers of several versions write them, byte for byte."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from alerter.intake.payload import BadPayload, Webhook, decode
from alerter.model import Severity, Status

BEGAN = datetime(2026, 11, 22, 3, 12, 0, 123456, tzinfo=UTC).timestamp()
ENDED = datetime(2026, 11, 22, 3, 40, tzinfo=UTC).timestamp()

# The order of keys, the times and the empty maps are as Go's encoder writes them.
OF_0_25 = """{"receiver":"alerter","status":"firing","alerts":[{"status":"firing","labels":{"alertname":"QueueBacklog",
"queue":"email-sending","service":"queues","severity":"critical"},"annotations":{"description":"It grows.",
"summary":"12,431 jobs wait"},"startsAt":"2026-11-22T03:12:00.123456789Z","endsAt":"0001-01-01T00:00:00Z",
"generatorURL":"http://prometheus:9090/graph?g0.expr=x\\u0026g0.tab=1","fingerprint":"3f2c1a9be0d74c55"},
{"status":"resolved","labels":{"alertname":"QueueBacklog","queue":"hooks","service":"queues","severity":"warning"},
"annotations":{},"startsAt":"2026-11-22T04:12:00.123456789+01:00","endsAt":"2026-11-22T03:40:00Z","generatorURL":"",
"fingerprint":"77aa1a9be0d74c55"}],"groupLabels":{"service":"queues"},"commonLabels":{"alertname":"QueueBacklog",
"service":"queues"},"commonAnnotations":{},"externalURL":"http://am-0:9093","version":"4",
"groupKey":"{}/{severity=\\"critical\\"}:{service=\\"queues\\"}","truncatedAlerts":0}
"""


def changed(**more: Any) -> str:
    return json.dumps({**json.loads(OF_0_25), **more})


def with_labels(**labels: str) -> str:
    content = json.loads(OF_0_25)
    for each in content["alerts"]:
        each["labels"] |= labels
    return json.dumps(content)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(OF_0_25, id="0.25"),
        pytest.param(with_labels(**{"größe": "1", "with space": "2"}), id="0.27, names in UTF-8"),
        pytest.param(changed(routeLabels={"team": "mail"}), id="with the route's labels"),
        pytest.param(changed(notification_reason="repeat"), id="0.34, with the reason"),
        pytest.param(changed(receiver="alerter", notificationReason=["first"], new={"deep": [1, {}]}), id="to come"),
        pytest.param(changed(truncatedAlerts=7, status="resolved"), id="truncated, with a group's status that lies"),
        pytest.param(changed(commonLabels=None, groupLabels=None, commonAnnotations=None), id="null for empty"),
    ],
)
def test_each_version_is_understood(body: str) -> None:
    webhook = decode(body.encode(), "default")
    first, second = webhook.alerts
    assert (first.status, first.fingerprint, first.starts_at) == (Status.FIRING, "3f2c1a9be0d74c55", BEGAN)
    assert (first.severity, first.service, first.summary) == (Severity.CRITICAL, "queues", "12,431 jobs wait")
    assert first.generator_url == "http://prometheus:9090/graph?g0.expr=x&g0.tab=1"
    assert (first.ends_at, first.group_key) == (None, '{}/{severity="critical"}:{service="queues"}')
    assert (second.status, second.starts_at, second.ends_at) == (Status.RESOLVED, BEGAN, ENDED)
    assert second.summary == "QueueBacklog"
    assert {each.external_url for each in webhook.alerts} == {"http://am-0:9093"}


def test_what_was_left_out_is_counted() -> None:
    assert decode(OF_0_25.encode(), "default").truncated == 0
    assert decode(changed(truncatedAlerts=7).encode(), "default").truncated == 7


def test_a_label_in_utf_8_is_kept_as_it_is() -> None:
    (first, _) = decode(with_labels(größe="✓").encode(), "default").alerts
    assert first.labels["größe"] == "✓"


def test_identity_is_the_fingerprint_whatever_the_group_says() -> None:
    def keys(webhook: Webhook) -> list[str]:
        return [each.key for each in webhook.alerts]

    here = decode(OF_0_25.encode(), "default")
    assert keys(here) == keys(decode(changed(groupKey="another", externalURL="http://am-1:9093").encode(), "default"))
    assert keys(here) != keys(decode(OF_0_25.encode(), "other"))


def test_an_alert_that_is_told_twice_is_what_it_was_told_last() -> None:
    content = json.loads(OF_0_25)
    content["alerts"].append({**content["alerts"][0], "status": "resolved", "endsAt": "2026-11-22T03:40:00Z"})
    alerts = decode(json.dumps(content).encode(), "default").alerts
    assert [each.status for each in alerts] == [Status.RESOLVED, Status.RESOLVED]


def test_without_a_fingerprint_the_labels_tell_who_it_is() -> None:
    content = json.loads(OF_0_25)
    for each in content["alerts"]:
        del each["fingerprint"]
    first, second = decode(json.dumps(content).encode(), "default").alerts
    assert first.key != second.key
    assert decode(json.dumps(content).encode(), "default").alerts[0].key == first.key
    for each in content["alerts"]:
        each["fingerprint"] = None
    assert [alert.key for alert in decode(json.dumps(content).encode(), "default").alerts] == [first.key, second.key]


def test_null_is_nothing() -> None:
    content = json.loads(OF_0_25) | {"externalURL": None, "groupKey": None}
    content["alerts"][0] |= {"generatorURL": None, "annotations": None, "labels": {"alertname": None}}
    first = decode(json.dumps(content).encode(), "default").alerts[0]
    assert (first.external_url, first.group_key, first.generator_url, first.labels) == ("", "", "", {"alertname": ""})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"version": "3"}, "version"),
        ({"version": 4}, "version"),
        ({"alerts": None}, "alerts"),
        ({"alerts": {}}, "alerts"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], told: str) -> None:
    with pytest.raises(BadPayload, match=told):
        decode(changed(**change).encode(), "default")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"status": "pending"}, "alerts[0].status: neither firing nor resolved"),
        ({"labels": ["a"]}, "alerts[0].labels: no JSON object"),
        ({"startsAt": "yesterday"}, "alerts[0].startsAt: no time as RFC 3339 has it"),
        ({"startsAt": "2026-11-22T03:12:00"}, "alerts[0].startsAt: no time zone"),
        ({"startsAt": None}, "alerts[0].startsAt: missing"),
        ({"endsAt": 7}, "alerts[0].endsAt: no time as RFC 3339 has it"),
    ],
)
def test_what_is_wrong_with_an_alert_is_named_and_the_others_are_read(change: dict[str, Any], told: str) -> None:
    content = json.loads(OF_0_25)
    content["alerts"][0] |= change
    content["alerts"].append("x")
    webhook = decode(json.dumps(content).encode(), "default")
    assert [each.fingerprint for each in webhook.alerts] == ["77aa1a9be0d74c55"]
    assert webhook.unread == (told, "alerts[2]: no JSON object")
