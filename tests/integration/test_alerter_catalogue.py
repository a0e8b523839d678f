"""The alerter's catalogue against what the daemon serves when all has happened: the same, in both directions."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from alerter.catalogue import CATALOGUE
from alerter.model import Reason, Severity, Status
from alerter.tally import CODES, OUTCOMES
from chassis.exposition import OPENMETRICS_TYPE, Kind
from demo.providers import Fault, Hook
from demo.providers.exchange import Reply, Request
from demo.providers.server import StandIn
from tests.support.alerter import Alerter, alert
from tests.support.wait import eventually

BY_NAME = {metric.name: metric for metric in CATALOGUE}
SEVERITIES = {each.value for each in Severity}
# What stands there before anything has happened, so that `rate` sees the first event.
FROM_THE_START = {
    ("postwatch_alerter_webhooks_total", "code"): {str(code) for code in CODES},
    ("postwatch_alerter_alerts_total", "status"): {each.value for each in Status},
    ("postwatch_alerter_alerts_total", "alert_severity"): SEVERITIES,
    ("postwatch_alerter_deliveries_total", "outcome"): set(OUTCOMES),
    ("postwatch_alerter_delivery_failures_total", "reason"): {each.value for each in Reason},
    ("postwatch_alerter_delivery_seconds_count", "alert_severity"): SEVERITIES,
    ("postwatch_alerter_receiver_state", "state"): {"ok", "throttled", "open"},
    ("postwatch_alerter_outbox_pending", "receiver"): {"bus", "spare"},
    ("postwatch_alerter_dead_letters", "receiver"): {"bus", "spare"},
}
# Those that say nothing before there is something to say.
LATER = {
    "postwatch_alerter_outbox_oldest_timestamp_seconds",
    "postwatch_alerter_deadman_last_seen_timestamp_seconds",
    "postwatch_alerter_reconcile_last_success_timestamp_seconds",
}


class Empty(StandIn):
    """An Alertmanager without alerts, as far as the reconciler asks."""

    def answer(self, request: Request) -> Reply:
        if request.path == "/api/v2/status":
            return Reply(200, {"uptime": datetime.fromtimestamp(1_790_000_000, UTC).isoformat()})
        return Reply(200, [])


@pytest.fixture(scope="module")
def alerter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Alerter, Hook]]:
    with Hook() as hook, Empty() as alertmanager:
        receivers = [
            {"name": each, "kind": "webhook", "url": hook.url, "secret": hook.secret} for each in ("bus", "spare")
        ]
        given = {
            "receivers": receivers,
            "default": {"receivers": ["bus"], "fallback": {"receivers": ["spare"]}},
            "deadman": {"match": ['alertname="Watchdog"'], "receivers": ["bus"]},
            "reconcile": {"alertmanagers": [alertmanager.url], "every": "1s"},
        }
        with Alerter(tmp_path_factory.mktemp("alerter"), given) as daemon:
            yield daemon, hook


def names(alerter: Alerter) -> set[str]:
    return {family for family, _ in families(alerter)}


def families(alerter: Alerter) -> list[tuple[str, str]]:
    """Names as declared, and types, of all that has samples."""
    text = alerter.client.get("/metrics").text
    return [
        (f"{family.name}_total" if family.type == "counter" else family.name, family.type)
        for family in read_text(text)
        if family.samples
    ]


def test_zero_is_said_from_the_start(alerter: tuple[Alerter, Hook]) -> None:
    daemon, _ = alerter
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for family in read_text(daemon.client.get("/metrics").text):
        for sample in family.samples:
            for label, value in sample.labels.items():
                found[sample.name, label].add(value)
    for (name, label), values in FROM_THE_START.items():
        assert found[name, label] == values, (name, label)
    assert {metric.name for metric in CATALOGUE} - LATER <= names(daemon)


def test_what_is_declared_is_served_and_nothing_else(alerter: tuple[Alerter, Hook]) -> None:
    daemon, hook = alerter
    hook.always(Fault.status(503))
    daemon.send(alert("Watchdog", severity="info"), alert("Backlog"))
    eventually(lambda: {metric.name for metric in CATALOGUE} == names(daemon), within=30)
    assert dict(families(daemon)) == {metric.name: metric.kind.value for metric in CATALOGUE}
    answer = daemon.client.get("/metrics", headers={"Accept": OPENMETRICS_TYPE})
    read = [
        *read_text(daemon.client.get("/metrics").text),
        *read_openmetrics(answer.text),  # type: ignore[no-untyped-call]
    ]
    for family in read:
        metric = BY_NAME.get(family.name) or BY_NAME[f"{family.name}_total"]
        assert family.documentation == metric.help
        for sample in family.samples:
            wanted = {*metric.labels, *(("le",) if sample.name.endswith("_bucket") else ())}
            assert sample.labels.keys() == wanted, sample
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert {metric.kind for metric in CATALOGUE} == {Kind.COUNTER, Kind.GAUGE, Kind.HISTOGRAM}


def test_a_fallback_counts_once_and_its_end_does_not(alerter: tuple[Alerter, Hook]) -> None:
    daemon, hook = alerter
    hook.always(None)
    eventually(lambda: daemon.value("postwatch_alerter_outbox_pending", receiver="bus") == 0, within=60)
    before = daemon.value("postwatch_alerter_fallbacks_total")
    hook.inject(Fault.status(400))  # for good: the fallback does not wait
    daemon.send(alert("Once"))
    eventually(lambda: daemon.value("postwatch_alerter_fallbacks_total") == (before or 0) + 1, within=30)
    daemon.send(alert("Once", "resolved"))
    eventually(lambda: any(each["action"] == "resolve" and "Once" in each["title"] for each in hook.taken), within=30)
    assert daemon.value("postwatch_alerter_fallbacks_total") == (before or 0) + 1
