"""A changed configuration: all of it counts, or nothing; and secrets count as they are in their files."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from alerter.app import App
from alerter.delivery.office import Office
from alerter.model import Reason
from alerter.receivers.base import DeliveryFailed
from alerter.settings import AlerterSettings
from alerter.store.engine import Store
from alerter.tally import Tally
from chassis.clock import ManualClock
from chassis.lifecycle import ReloadState
from chassis.secrets import SecretUrl
from chassis.settings import parse
from demo.providers import Fault, Hook, Slack
from tests.support.alerter import Alerter, alert
from tests.support.wait import eventually

GAUGE = "postwatch_config_last_reload_successful"


@pytest.fixture
def slack() -> Iterator[Slack]:
    with Slack(rate=100) as provider:
        yield provider


@pytest.fixture
def hook() -> Iterator[Hook]:
    with Hook() as provider:
        yield provider


def to_slack(slack: Slack) -> dict[str, Any]:
    return {"name": "ops", "kind": "slack", "url": slack.url, "token_file": "token", "channel": "#ops-alerts",
            "rate": "50/s", "timeout": "2s"}  # fmt: skip


def to_hook(hook: Hook) -> dict[str, Any]:
    return {"name": "bus", "kind": "webhook", "url": hook.url, "secret": hook.secret}


def settings(*receivers: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"receivers": list(receivers), "default": {"receivers": [each["name"] for each in receivers]}, **more}


def test_all_is_valid_or_nothing_changes(slack: Slack, hook: Hook, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(slack.token)
    with Alerter(tmp_path, settings(to_slack(slack))) as alerter:
        eventually(lambda: alerter.value(GAUGE) == 1, within=20)
        since = alerter.value("postwatch_config_last_reload_timestamp_seconds")

        # A mistake beside what is right: the new receiver does not count either.
        alerter.write(settings(to_slack(slack), to_hook(hook), routes=[{"receivers": ["nobody"]}], histroy={}))
        alerter.hang_up()
        eventually(lambda: alerter.value(GAUGE) == 0, within=20)
        assert alerter.value("postwatch_config_last_reload_timestamp_seconds") == since
        alerter.send(alert("Before"))
        eventually(lambda: slack.posts, within=20)
        assert alerter.value("postwatch_alerter_outbox_pending", receiver="bus") is None
        refused, *_ = alerter.logged("configuration refused; the earlier one stays")  # the file has changed as well
        assert len(refused["mistakes"]) == 2

        # Mended, it counts without a signal, as a ConfigMap's does.
        alerter.write(settings(to_hook(hook)))
        eventually(lambda: alerter.value(GAUGE) == 1, within=20)
        eventually(lambda: alerter.value("postwatch_alerter_outbox_pending", receiver="ops") is None, within=20)
        alerter.send(alert("After"))
        eventually(lambda: [told(each) for each in hook.taken] == ["After"], within=20)
        assert len(slack.posts) == 1
        accepted = {"receiver": "bus", "outcome": "accepted"}
        eventually(lambda: alerter.value("postwatch_alerter_deliveries_total", **accepted) == 1, within=20)
        done = list(dict.fromkeys((who, what) for who, what, _ in alerter.audit()))
        assert done == [("configuration", "reload_refused"), ("configuration", "reloaded")]
        assert "routes[0].receivers[0]: no receiver is named 'nobody'" in alerter.audit()[0][2]
        assert slack.token not in alerter.output.read_text()


def told(taken: dict[str, Any]) -> Any:
    return taken["alerts"][0]["labels"]["alertname"]


def test_who_was_told_hears_of_the_end_whatever_the_routes_say_by_now(slack: Slack, hook: Hook, tmp_path: Path) -> None:
    """And what needs a restart, or is probably not meant, is said."""
    (tmp_path / "token").write_text(slack.token)
    both = [to_slack(slack), to_hook(hook)]
    with Alerter(tmp_path, settings(*both)) as alerter:
        alerter.send(alert("Backlog"))
        eventually(lambda: slack.posts and hook.taken, within=20)
        assert ["no deadman" in line["remark"] for line in alerter.logged("remark")] == [True]
        needs_a_restart = {"storage": f"sqlite:///{tmp_path / 'other.db'}", "log": {"level": "debug"}}
        alerter.write({"receivers": both, "default": {"receivers": ["bus"]}, **needs_a_restart})
        alerter.hang_up()
        eventually(lambda: alerter.logged("reloaded"), within=20)
        alerter.send(alert("Backlog", "resolved"))
        eventually(lambda: "RESOLVED" in slack.posts[0].shown, within=20)
        assert {line["what"].split()[0] for line in alerter.logged("restart_needed")} == {"log", "storage"}
        assert not (tmp_path / "other.db").exists()
        assert "receiver 'ops' is told by no route" in [line["remark"] for line in alerter.logged("remark")]


def test_what_waits_is_delivered_by_the_new_configuration(slack: Slack, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(slack.token)
    slack.always(Fault.status(503))
    with Alerter(tmp_path, settings(to_slack(slack))) as alerter:
        alerter.send(alert("Backlog"))
        eventually(lambda: slack.requests, within=20)
        slack.stop()
        with Slack(slack.token, rate=100) as another:
            alerter.write(settings(to_slack(another)))
            alerter.hang_up()
            eventually(lambda: another.posts, within=90)
            eventually(lambda: alerter.value("postwatch_alerter_outbox_pending", receiver="ops") == 0, within=20)


Reload = Callable[..., Office]


@pytest.fixture
def office(tmp_path: Path) -> Reload:
    """What a configuration of one receiver makes of the one before."""
    store, clock = Store(SecretUrl(f"sqlite:///{tmp_path / 'alerter.db'}"), ManualClock()), ManualClock()

    def made(before: Office | None, **more: str) -> Office:
        bus = {"name": "bus", "kind": "webhook", "url": "https://h.example.net", "secret": "s", **more}
        given = yaml.safe_dump(settings(bus, feed={"keep": "1h" if before else "2h"}))
        return Office(parse(given, AlerterSettings, {}), store, clock, Tally(), before)

    return made


def test_a_receiver_that_cannot_be_reached_is_no_better_by_a_reload(office: Reload) -> None:
    """Unless it is about that receiver."""
    first = office(None)
    first.desks["bus"].circuit.failed(DeliveryFailed(Reason.AUTH, "401", retry=True, opens_circuit=True))
    second = office(first)
    assert second.desks["bus"].circuit.refused
    assert not office(second, secret="another").desks["bus"].circuit.refused


def test_the_provider_s_count_goes_on_over_a_reload(office: Reload) -> None:
    """Until it is said to be another."""
    first = office(None, rate="50/s")
    first.desks["bus"].pace.take(40)
    second = office(first, rate="50/s", secret="another")
    assert second.desks["bus"].pace.free(urgent=True) == 10
    assert office(second, rate="70/s").desks["bus"].pace.free(urgent=True) == 70


def test_who_delivered_before_a_reload_does_not_go_on(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path / 'alerter.db'}"

    def read(secret: str) -> AlerterSettings:
        bus = {"name": "bus", "kind": "webhook", "url": "https://h.example.net", "secret": secret}
        given = settings(bus, storage=storage, web={"listen": "127.0.0.1:0"})
        return parse(yaml.safe_dump(given), AlerterSettings, {})

    app = App(read("one"), lambda: read("another"), ReloadState(), ManualClock())
    app._store.open()
    before = app._office
    before.start()
    try:
        app.reload()
        assert app._office is not before
        eventually(lambda: not before.desks["bus"]._dispatcher.is_alive(), within=30)
        assert app._office.desks["bus"]._dispatcher.is_alive()
    finally:
        for office in (before, app._office):
            office.stop(10)
        app._store.close()


def test_a_renewed_secret_counts_without_a_reload(slack: Slack, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(slack.token)
    with Alerter(tmp_path, settings(to_slack(slack))) as alerter:
        alerter.send(alert("Before"), groupKey="a")
        eventually(lambda: len(slack.posts) == 1, within=20)
        (tmp_path / "token").write_text("xoxb-renewed-token")
        slack.token = "xoxb-renewed-token"
        alerter.send(alert("After"), groupKey="b")
        eventually(lambda: len(slack.posts) == 2, within=20)
        assert not alerter.logged("reloaded")
        assert "xoxb-renewed-token" not in alerter.output.read_text()
