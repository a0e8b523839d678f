"""Who sees to an alert, as a provider tells: on both stores, and by the daemon from PagerDuty to Slack."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from alerter.duties.taking import SKEW, Taking
from alerter.model import Mark
from alerter.outbox import claims
from alerter.receivers.base import Heard
from alerter.store.schema import audit, episodes
from demo.providers import PagerDuty, Slack
from tests.support.alerter import TOKEN, Alerter, alert
from tests.support.booked import World, firing, over
from tests.support.wait import eventually

SECRET = "signing-secret-of-pagerduty"


def taking(world: World) -> Taking:
    return Taking(world.store, world.clock, lambda: world.policy, lambda _names: None)


def heard(world: World, *, taken: bool = True, key: str = "", ago: float = 0.0) -> Heard:
    return Heard(key or firing().key, taken, "Ann (PagerDuty)", world.clock.now() - ago)


def written(world: World) -> list[tuple[str, str, str]]:
    with world.store.read() as connection:
        return [tuple(row) for row in connection.execute(sa.select(audit.c.who, audit.c.what, audit.c.detail))]


def test_an_acknowledgement_stops_the_escalation_and_is_told_to_all_but_the_teller(world: World) -> None:
    world.hear(firing())
    world.deliver("oncall")
    world.clock.advance(40)
    assert taking(world).heard("oncall", heard(world)) == 1
    assert world.deliver("oncall") == []
    world.clock.advance(601)
    assert world.look().escalations == 0
    assert taking(world).heard("oncall", heard(world)) == 0  # PagerDuty tells at least once
    assert written(world) == [("Ann (PagerDuty)", "acknowledged", "alert 1, told by oncall")]


@pytest.mark.parametrize(
    ("who", "known_as"), [("", "somebody"), (" ", "somebody"), ("a\0b\r\n\ud800", "a\ufffdb \ufffd")]
)
def test_whatever_somebody_is_called_can_be_stored_and_told(world: World, who: str, known_as: str) -> None:
    world.hear(firing())
    assert taking(world).by_hand(1, who)
    assert written(world) == [(known_as, "acknowledged", "alert 1")]
    world.deliver("oncall")
    with world.store.read() as connection:
        assert connection.execute(sa.select(episodes.c.acknowledged_by)).scalar() == known_as


def test_given_back_it_is_escalated_when_its_time_has_come(world: World) -> None:
    world.hear(firing())
    world.deliver("oncall")
    taking(world).heard("oncall", heard(world))
    world.clock.advance(300)
    assert taking(world).heard("oncall", heard(world, taken=False)) == 1
    assert world.look().escalations == 0
    world.clock.advance(301)
    assert world.look().escalations == 1
    (told,) = world.claim("ops")
    assert told.message is not None
    assert set(told.message.marks) == {Mark.ESCALATION}
    assert [what for _, what, _ in written(world)] == ["acknowledged", "given_back"]


def test_given_back_late_it_is_escalated_at_once_and_repeated(world: World) -> None:
    world.hear(firing(), firing("W", "warning"))
    world.deliver("oncall")
    world.deliver("ops")
    warning = firing("W", "warning").key
    for receiver, key in (("oncall", ""), ("ops", warning)):
        assert taking(world).heard(receiver, heard(world, key=key)) == 1
    world.clock.advance(5 * 3600)
    done = world.look()
    assert (done.escalations, done.repeats) == (0, 0)
    for receiver, key in (("oncall", ""), ("ops", warning)):
        assert taking(world).heard(receiver, heard(world, key=key, taken=False)) == 1
    assert world.look().escalations == 1
    world.clock.advance(4 * 3600 + 1)
    assert world.look().repeats == 1


def test_what_was_told_in_a_storm_is_taken_as_a_whole(world: World) -> None:
    names = [f"S{number}" for number in range(5)]
    world.hear(*(firing(name) for name in names))
    with world.store.touch() as connection:
        assert claims.collapse(connection, "oncall", world.clock.now(), urgent=True) == 5
    (storm,) = world.claim("oncall")
    world.accept(storm)
    assert taking(world).heard("oncall", heard(world, key=storm.subject)) == 5
    world.clock.advance(601)
    assert world.look().escalations == 0


@pytest.mark.parametrize("receiver", ["ops", "nobody"])
def test_a_receiver_speaks_of_what_it_was_told_alone(world: World, receiver: str) -> None:
    world.hear(firing())
    assert taking(world).heard(receiver, heard(world)) == 0
    assert written(world) == []


def test_what_comes_late_is_not_about_the_next_time_that_it_fires(world: World) -> None:
    world.hear(firing())
    world.deliver("oncall")
    world.hear(over(firing()))
    world.deliver("oncall")
    assert taking(world).heard("oncall", heard(world)) == 0
    world.clock.advance(1000)
    world.hear(firing())
    assert taking(world).heard("oncall", heard(world, ago=SKEW + 1)) == 0
    assert taking(world).heard("oncall", heard(world, ago=SKEW - 1)) == 1


@pytest.fixture
def providers() -> Iterator[tuple[PagerDuty, Slack]]:
    with PagerDuty(rate=10_000) as pagerduty, Slack(rate=100) as slack:
        yield pagerduty, slack


def settings(pagerduty: PagerDuty, slack: Slack) -> dict[str, Any]:
    return {
        "receivers": [
            {
                "name": "oncall",
                "kind": "pagerduty",
                "url": pagerduty.url,
                "routing_key": pagerduty.routing_key,
                "webhook_secret_file": "pagerduty-secret",
            },
            {"name": "plain", "kind": "pagerduty", "url": pagerduty.url, "routing_key": pagerduty.routing_key},
            {
                "name": "ops",
                "kind": "slack",
                "url": slack.url,
                "token": slack.token,
                "channel": "#ops-alerts",
                "rate": "50/s",
            },
        ],
        "default": {"receivers": ["oncall", "ops"], "escalate": {"after": "1h", "receivers": ["plain"]}},
    }


def test_from_pagerduty_to_slack(providers: tuple[PagerDuty, Slack], tmp_path: Path) -> None:
    pagerduty, slack = providers
    (tmp_path / "pagerduty-secret").write_text(f"{SECRET}\n")
    with Alerter(tmp_path, settings(pagerduty, slack)) as alerter:

        def post(path: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
            return httpx.post(f"{alerter.url}{path}", content=body, headers=headers)  # without the token

        alerter.send(alert("Backlog", queue="email"))
        (key,) = eventually(lambda: list(pagerduty.open), within=20)
        eventually(lambda: slack.posts, within=20)

        # Nobody without the signature, whatever else he has; and nobody to a receiver that has no secret.
        body, headers = pagerduty.acknowledgement(key, "Mallory", "guessed")
        assert post("/pagerduty/oncall", body, headers).status_code == 401
        assert post("/pagerduty/oncall", body, {"Authorization": f"Bearer {TOKEN}"}).status_code == 401
        body, headers = pagerduty.acknowledgement(key, "Mallory", "")
        assert post("/pagerduty/plain", body, headers).status_code == 401
        assert alerter.client.post("/pagerduty/plain", content=body, headers=headers).status_code == 404
        assert post("/pagerduty/oncall", b"x" * (2 << 20), {}).status_code == 413
        assert alerter.feed(q="Backlog")[0]["acknowledged"] is None

        answer = post("/pagerduty/oncall", *pagerduty.acknowledgement(key, "Ann Otter", "renewed", SECRET))
        assert (answer.status_code, answer.json()) == (200, {"alerts": 1})
        eventually(lambda: "Ann Otter (PagerDuty)" in slack.posts[0].shown, within=20)
        assert alerter.feed(q="Backlog")[0]["acknowledged"]["by"] == "Ann Otter (PagerDuty)"
        # PagerDuty itself is not told what it told.
        assert [event["event_action"] for event in pagerduty.events] == ["trigger"]

        answer = post("/pagerduty/oncall", *pagerduty.webhook("incident.unacknowledged", key, "", SECRET))
        assert answer.json() == {"alerts": 1}
        eventually(lambda: "Not acknowledged any more" in slack.posts[0].shown, within=20)
        eventually(lambda: "Acknowledged by" not in slack.posts[0].shown, within=20)

        (tmp_path / "pagerduty-secret").unlink()
        assert post("/pagerduty/oncall", *pagerduty.acknowledgement(key, "Ann Otter", SECRET)).status_code == 503
        entries = alerter.audit()
    assert ("127.0.0.1", "login_refused", "/pagerduty/oncall") in entries
    assert ("Ann Otter (PagerDuty)", "acknowledged", "alert 1, told by oncall") in entries
    assert ("somebody (PagerDuty)", "given_back", "alert 1, told by oncall") in entries
    assert SECRET not in alerter.output.read_text()
