"""Debian's Alertmanager drives the alerter: what fires and ends, silences, restarts of both, two as a cluster."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from demo.process import free_port
from demo.providers import PagerDuty, Slack
from demo.shipped import Addresses, alertmanager_config
from tests.support.managed import Bed, bed, named
from tests.support.prometheus import Alertmanager
from tests.support.wait import eventually


def test_what_fires_and_what_ends_is_told(tmp_path: Path) -> None:
    with bed(tmp_path) as here:
        manager = here.manager()
        here.start()
        manager.send(named("Backlog", queue="a"), named("Backlog", queue="b"))
        eventually(lambda: len(here.pagerduty.open) == 2, within=20)
        eventually(lambda: len(here.slack.messages()) == 1, within=20)
        manager.send(named("Backlog", queue="a"), over=True)
        eventually(lambda: len(here.pagerduty.open) == 1, within=20)
        eventually(lambda: "1 of 2 firing" in here.slack.messages()[0].shown, within=20)
        manager.send(named("Backlog", queue="b"), over=True)
        eventually(lambda: not here.pagerduty.open, within=20)
        eventually(lambda: "RESOLVED" in here.slack.messages()[0].shown, within=20)
        assert len(here.slack.posts) == 1
        assert here.told_of("Backlog") == ["trigger", "trigger", "resolve", "resolve"]
        assert {entry["state"] for entry in here.alerter.feed()} == {"resolved"}


def test_a_silenced_alert_is_closed_with_a_note_and_opened_again_when_the_silence_ends(tmp_path: Path) -> None:
    with bed(tmp_path, hasty=("0", "2")) as here:
        manager = here.manager(repeat="2s")
        here.start()
        manager.send(named("Backlog"), named("Other"))
        eventually(lambda: len(here.pagerduty.open) == 2, within=20)
        silence = manager.silence(alertname="Backlog")
        eventually(lambda: here.told_of("Backlog") == ["trigger", "resolve"], within=20)
        (entry,) = here.alerter.feed(q="Backlog")
        assert entry["note"] == "The alert is silenced in Alertmanager."
        assert {mark for each in entry["deliveries"] for mark in each["marks"]} == {"reconciled"}
        eventually(lambda: any("silenced in Alertmanager" in post.shown for post in here.slack.posts), within=20)
        assert here.told_of("Other") == ["trigger"]
        eventually(lambda: here.alerter.value("postwatch_alerter_reconciled_total") == 1, within=20)
        # Alertmanager tells it anew after repeat_interval: the shipped one is short where somebody would be woken.
        manager.end_silence(silence)
        eventually(lambda: here.told_of("Backlog") == ["trigger", "resolve", "trigger"], within=20)


def test_an_alertmanager_that_restarts_forgets_an_end_and_the_incident_is_closed_all_the_same(tmp_path: Path) -> None:
    with bed(tmp_path, hasty=("5", "1")) as here:
        manager = here.manager()
        here.start()
        manager.send(named("Ended"), named("Lasting"))
        eventually(lambda: len(here.pagerduty.open) == 2, within=20)
        manager.kill()
        manager.start()
        # Prometheus tells again what still fires, and nothing of what has ended meanwhile.
        manager.send(named("Lasting"))
        eventually(lambda: here.told_of("Ended") == ["trigger", "resolve"], within=30)
        (entry,) = here.alerter.feed(q="Ended")
        assert entry["note"] == "Alertmanager does not have this alert any more."
        assert here.told_of("Lasting") == ["trigger"]
        manager.send(named("Lasting"), over=True)
        eventually(lambda: not here.pagerduty.open, within=20)


def test_a_young_alertmanager_and_one_that_is_away_close_nothing(tmp_path: Path) -> None:
    with bed(tmp_path, hasty=("900", "1")) as here:
        manager = here.manager()
        here.start()
        manager.send(named("Lasting"))
        eventually(lambda: len(here.pagerduty.open) == 1, within=20)
        manager.kill()
        eventually(lambda: here.alerter.logged("alertmanager cannot be asked"), within=20)
        manager.start()
        eventually(lambda: here.alerter.logged("alertmanager answers again"), within=20)
        looks = here.alerter.value("postwatch_alerter_reconcile_last_success_timestamp_seconds") or 0.0

        def three_looks_later() -> bool:
            now = here.alerter.value("postwatch_alerter_reconcile_last_success_timestamp_seconds")
            return now is not None and now > looks + 3

        eventually(three_looks_later, within=20)
        assert here.told() == [("trigger", "Lasting")]


def away(here: Bed, manager: Alertmanager, seconds: float) -> None:
    """The alerter is down for `seconds`: what began and what ended meanwhile is told after, once, and in order."""
    manager.send(named("Ends"), named("Lasts"))
    # It has to know that it told them, or it would do so again.
    eventually(lambda: sum(line["alerts"] for line in here.alerter.logged("delivered")) == 4, within=30)
    here.alerter.kill()
    manager.send(named("Ends"), over=True)
    manager.send(named("Begins"))
    manager.send(named("Passes"))
    threading.Event().wait(seconds)
    manager.send(named("Passes"), over=True)
    here.start()
    eventually(lambda: here.told_of("Begins") == ["trigger"], within=60)
    eventually(lambda: here.told_of("Ends") == ["trigger", "resolve"], within=60)
    assert here.told_of("Lasts") == ["trigger"]
    assert here.open() == {"Lasts", "Begins"}
    assert not here.pagerduty.dropped


def test_an_alerter_that_was_down_is_told_what_it_missed(tmp_path: Path) -> None:
    with bed(tmp_path) as here:
        manager = here.manager()
        here.start()
        away(here, manager, 3)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_an_alerter_that_was_down_for_ten_minutes_is_told_what_it_missed(tmp_path: Path) -> None:
    with bed(tmp_path) as here:
        manager = here.manager(interval="10s")  # as shipped for what is critical
        here.start()
        with going_on(manager, "Lasts", "Begins"):
            away(here, manager, 600)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_silence_closes_the_incident_at_the_pace_of_the_defaults(tmp_path: Path) -> None:
    """An Alertmanager is believed after 15 minutes; five minutes of silence then close the incident."""
    with bed(tmp_path) as here:
        manager = here.manager(interval="10s")
        born = time.monotonic()
        here.start(every="60s", after="5m")
        manager.send(named("Backlog"))
        eventually(lambda: here.told_of("Backlog") == ["trigger"], within=30)
        with going_on(manager, "Backlog"):
            manager.silence(alertname="Backlog")
            eventually(lambda: here.told_of("Backlog") == ["trigger", "resolve"], within=1500, every=1)
        age = time.monotonic() - born
        assert 1200 <= age < 1200 + 150  # two looks, a minute apart
        (entry,) = here.alerter.feed(q="Backlog")
        assert entry["note"] == "The alert is silenced in Alertmanager."


@contextmanager
def going_on(manager: Alertmanager, *names: str) -> Iterator[None]:
    """Prometheus goes on telling what fires, or Alertmanager would hold it for over after five minutes."""
    over = threading.Event()

    def tell() -> None:
        while not over.wait(60):
            manager.send(*map(named, names))

    prometheus = threading.Thread(target=tell, daemon=True)
    prometheus.start()
    try:
        yield
    finally:
        over.set()
        prometheus.join(30)


@pytest.mark.parametrize("gossip", [True, False], ids=["cluster", "out of each other's sight"])
def test_two_alertmanagers_tell_the_same_and_people_hear_it_once(gossip: bool, tmp_path: Path) -> None:
    with bed(tmp_path) as here:
        ports = (free_port(), free_port()) if gossip else (None, None)
        first = here.manager(gossip=ports[0])
        second = here.manager(gossip=ports[1], peers=(ports[0],) if ports[0] else ())
        if gossip:
            eventually(lambda: first.members() == second.members() == 2, within=30)
        here.start()
        for manager in (first, second):
            manager.send(named("Backlog"))
        eventually(lambda: here.told_of("Backlog") == ["trigger"], within=40)
        heard = {"alert_severity": "critical", "status": "firing"}
        if not gossip:
            eventually(lambda: here.alerter.value("postwatch_alerter_alerts_total", **heard) == 2, within=30)
        for manager in (first, second):
            manager.send(named("Backlog"), over=True)
        eventually(lambda: not here.pagerduty.open, within=40)
        if not gossip:
            over = {**heard, "status": "resolved"}
            eventually(lambda: here.alerter.value("postwatch_alerter_alerts_total", **over) == 2, within=30)
        # One of them goes; the other one tells on.
        first.kill()
        second.send(named("Later"))
        eventually(lambda: here.told_of("Later") == ["trigger"], within=40)
        assert here.told_of("Backlog") == ["trigger", "resolve"]
        eventually(lambda: len(here.slack.messages()) == 2, within=20)


def test_a_dead_exporter_silences_what_it_saw_and_not_what_another_one_sees(tmp_path: Path) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    addresses = Addresses(
        nobody, nobody, nobody, nobody, pagerduty=f"http://{nobody}", slack=f"http://{nobody}"
    )  # fmt: skip
    with Alertmanager(alertmanager_config(tmp_path, addresses, "0" * 32)) as manager:
        own, other = "postwatch-exporter-eu", "postwatch-exporter-us"
        manager.send(
            {**named("PostwatchExporterDown"), "job": own, "instance": "10.0.0.1:9797"},
            {**named("QueueBacklog"), "job": own, "source": "mail"},
            {**named("QueueBacklog"), "job": other, "source": "mail"},
            {**named("SloPostwatchBurn"), "job": own},
        )

        def suppressed() -> None:
            found = {
                (each["labels"]["alertname"], each["labels"]["job"]): each["status"]["state"]
                for each in manager.alerts()
            }
            assert found == {
                ("PostwatchExporterDown", own): "active",
                ("QueueBacklog", own): "suppressed",
                ("QueueBacklog", other): "active",
                ("SloPostwatchBurn", own): "active",
            }

        eventually(suppressed, within=20)


def test_the_shipped_configuration_goes_straight_to_people_where_no_alerter_is(tmp_path: Path) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    with PagerDuty() as pagerduty, Slack() as slack:
        addresses = Addresses(nobody, nobody, nobody, nobody, pagerduty=pagerduty.url, slack=slack.hook_url)
        text = alertmanager_config(tmp_path, addresses, pagerduty.routing_key)
        with Alertmanager(text) as manager:
            down = named("PostwatchAlerterDown", job="postwatch-alerter")
            manager.send(named("Backlog"), down)
            eventually(lambda: [each.severity for each in pagerduty.incidents] == ["critical"], within=20)
            assert pagerduty.incidents[0].summary == "PostwatchAlerterDown: PostwatchAlerterDown is unwell"
            eventually(lambda: "FIRING PostwatchAlerterDown" in slack.shown, within=20)
            manager.send(down, over=True)
            eventually(lambda: not pagerduty.open, within=30)
            eventually(lambda: "RESOLVED PostwatchAlerterDown" in slack.shown, within=30)
            assert "Backlog" not in slack.shown
