"""What a webhook is answered, by the daemon itself."""

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.alerter import Alerter, alert, payload
from tests.support.documents import REPOSITORY
from tests.support.wait import eventually


@pytest.fixture(scope="module")
def alerter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alerter]:
    with Alerter(tmp_path_factory.mktemp("alerter"), {"web": {"max_body": "1MiB"}}) as daemon:
        yield daemon


def test_taken_in(alerter: Alerter) -> None:
    answer = alerter.send(alert("Taken"), notification_reason="new", routeLabels={"a": "b"})
    assert (answer.status_code, answer.json()) == (200, {"alerts": 1, "opened": 1})
    # Another Alertmanager of the cluster says the same with other bytes; another source is another alert.
    assert alerter.send(alert("Taken"), url="http://am-1:9093").json() == {"alerts": 1, "still": 1}
    assert alerter.send(alert("Taken"), path="/webhook/other").json() == {"alerts": 1, "opened": 1}
    assert [each["source"] for each in alerter.feed(q="Taken")] == ["other", "default"]


def test_gzip(alerter: Alerter) -> None:
    body = gzip.compress(json.dumps(payload(alert("Zipped"))).encode())
    answer = alerter.client.post("/webhook", content=body, headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 200
    assert alerter.feed(q="Zipped")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"version": "3", "alerts": []}',
        b'{"alerts": [1]}',
        b'{"alerts": [{"status": "so"}]}',
        b"\xff",
    ],
)
def test_what_cannot_be_decoded(alerter: Alerter, body: bytes) -> None:
    answer = alerter.client.post("/webhook", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_one_that_cannot_be_decoded_costs_no_other(alerter: Alerter) -> None:
    broken = alert("Broken") | {"startsAt": "yesterday"}
    answer = alerter.send(alert("Whole"), *[broken] * 5)
    assert answer.status_code == 400
    assert answer.json() == {
        "error": "; ".join(f"alerts[{n}].startsAt: no time as RFC 3339 has it" for n in (1, 2, 3)) + "; and 2 more",
        "alerts": 1,
        "opened": 1,
    }
    assert alerter.feed(q="Whole")
    assert alerter.feed(q="Broken") == []


@pytest.mark.parametrize("source", ["postwatch", "a b", "x" * 64])
def test_a_source_that_may_not_be(alerter: Alerter, source: str) -> None:
    assert alerter.send(alert("Source"), path=f"/webhook/{source}").status_code == 400


def test_nobody_is_let_in_without_proof(alerter: Alerter) -> None:
    assert httpx.post(f"{alerter.url}/webhook", json=payload(alert("Stranger"))).status_code == 401
    assert alerter.feed(q="Stranger") == []
    assert alerter.value("postwatch_alerter_webhooks_total", code="401") is not None


def test_what_is_too_large_is_told(alerter: Alerter) -> None:
    bomb = gzip.compress(b" " * (2 << 20))
    assert alerter.client.post("/webhook", content=bomb, headers={"Content-Encoding": "gzip"}).status_code == 413
    for _ in range(5):  # whoever sends it all before he listens hears of it as well
        assert alerter.client.post("/webhook", content=b" " * (20 << 20)).status_code == 413
    (told,) = eventually(lambda: alerter.feed(q="PostwatchWebhookTooLarge"))
    assert (told["severity"], told["service"]) == ("critical", "alerter")


def test_alerts_that_were_left_out_are_told_of(alerter: Alerter) -> None:
    assert alerter.send(alert("Kept"), truncatedAlerts=3).status_code == 200
    (told,) = eventually(lambda: alerter.feed(q="PostwatchWebhookTruncated"))
    assert (told["severity"], told["service"]) == ("warning", "alerter")
    assert "max_alerts: 0" in told["annotations"]["description"]


def test_the_feed_is_as_the_documents_say(alerter: Alerter) -> None:
    alerter.send(
        alert("Api50%", severity="warning", service="feed-api"), alert("Down", severity="info", service="feed")
    )
    alerter.send(alert("Down", "resolved", severity="info", service="feed"))
    page = (REPOSITORY / "docs" / "alerter-configuration.md").read_text()
    part = page.partition("## The feed")[2].partition("## The page")[0]
    cells = [line.split(" | ")[0] for line in part.splitlines() if line.startswith("| `")]
    asked = dict(pair.split("=") for cell in cells for pair in re.findall(r"`(\w+=\S+)`", cell))
    fields = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    (entry,) = alerter.feed(service="feed-api")
    assert entry.keys() == fields
    assert alerter.feed(**asked) == []

    def found(**parameters: object) -> list[str]:
        return [each["message"].split()[0] for each in alerter.feed(**{"service": "feed,feed-api", **parameters})]

    assert found() == ["Down", "Api50%"]
    assert found(severity="warning,critical") == found(state="firing") == found(q="API50%") == ["Api50%"]
    assert found(state="resolved") == found(limit=1) == ["Down"]
    assert found(q="_pi50%") == []
    for wrong in ({"hours": "0"}, {"hours": "x"}, {"hours": "nan"}, {"limit": "0"}, {"limit": "5001"}, {"state": "so"}):
        answer = alerter.client.get("/api/v1/alerts", params=wrong)
        assert (answer.status_code, next(iter(wrong)) in answer.json()["error"]) == (400, True)


def test_the_feed_and_an_acknowledgement(alerter: Alerter) -> None:
    alerter.send(alert("Seen", severity="warning", service="smtp"))
    (entry,) = alerter.feed(severity="warning", service="smtp", hours=1)
    assert {"id", "timestamp", "severity", "service", "message", "state", "acknowledged", "deliveries"} <= entry.keys()
    assert alerter.client.post(f"/api/v1/alerts/{entry['id']}/ack", json={"by": "ann"}).status_code == 200
    assert alerter.feed(q="Seen")[0]["acknowledged"]["by"] == "ann"
    alerter.send(alert("Over"))
    alerter.send(alert("Over", "resolved"))
    over = alerter.feed(q="Over")[0]["id"]
    answer = alerter.client.post(f"/api/v1/alerts/{over}/ack", json={"by": "ann"})
    assert (answer.status_code, answer.json()["acknowledged"]) == (200, False)
    assert "it is over" in answer.json()["note"]
    assert ("ann", "acknowledged", f"alert {over}") not in alerter.audit()
    assert alerter.client.post("/api/v1/alerts/99999/ack").status_code == 404
    assert alerter.client.get("/api/v1/alerts", params={"severity": "worst"}).status_code == 400


def test_what_happens_is_streamed(alerter: Alerter) -> None:
    with alerter.client.stream("GET", "/api/v1/alerts/stream") as stream:
        lines = stream.iter_lines()
        assert next(lines) == ": listening"
        # One round to know what was there before.
        sent = False
        for line in lines:
            if line.startswith("data: ") and json.loads(line[6:])["message"].startswith("Streamed"):
                return
            if not sent:
                sent = alerter.send(alert("Streamed")).status_code == 200


def test_a_restart_forgets_nothing(tmp_path: Path) -> None:
    with Alerter(tmp_path, {}) as daemon:
        daemon.send(alert("Kept"))
        assert daemon.stop() == 0
        daemon.start()
        assert daemon.send(alert("Kept")).json() == {"alerts": 1, "still": 1}
