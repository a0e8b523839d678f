"""The routes of deploy/prometheus/alertmanager.yml: who is told of what."""

import subprocess

import pytest

from tests.deploy.rules import FOLDER, Rule, rules, written

FILE = FOLDER / "alertmanager.yml"
CONFIGURED = written(FILE)
DIRECT = {
    "PostwatchExporterDown",
    "PostwatchExporterAbsent",
    "PostwatchAlerterDown",
    "PostwatchAlerterAbsent",
    "PostwatchNotificationsFailing",
    "AlertmanagerNotificationsFailing",
}


def amtool(*arguments: str) -> str:
    done = subprocess.run(["amtool", *arguments], text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_alertmanager_takes_the_configuration() -> None:
    assert "SUCCESS" in amtool("check-config", str(FILE))


@pytest.mark.parametrize("rule", [rule for rule in rules() if rule.alert], ids=str)
def test_every_alert_reaches_the_alerter_and_what_it_cannot_tell_goes_straight(rule: Rule) -> None:
    expected = "direct,alerter" if rule.name in DIRECT else "alerter"
    labels = [f"alertname={rule.name}", f"severity={rule.severity}", "service=x"]
    amtool("config", "routes", "test", f"--config.file={FILE}", f"--verify.receivers={expected}", *labels)


def test_the_direct_ways_alerts_exist() -> None:
    assert {rule.name for rule in rules() if rule.alert} >= DIRECT


def test_critical_is_told_at_once_and_the_rest_in_groups_as_the_guide_says() -> None:
    route = CONFIGURED["route"]
    timing = ("group_wait", "group_interval", "repeat_interval")
    assert [route[key] for key in timing] == ["30s", "5m", "12h"]
    assert route["group_by"] == ["severity", "service"]
    assert CONFIGURED["global"]["resolve_timeout"] == "5m"
    (critical,) = [one for one in route["routes"] if one["matchers"] == ['severity="critical"']]
    # The alerter has to hear again of what was silenced for a while: test_alertmanager.py shows why.
    assert [critical[key] for key in timing] == ["0s", "10s", "5m"]
    (watchdog,) = [one for one in route["routes"] if "Watchdog" in one["matchers"][0]]
    assert watchdog["repeat_interval"] == "1m"


def test_the_alerter_gets_every_alert_of_a_group_and_its_end() -> None:
    receivers = {receiver["name"]: receiver for receiver in CONFIGURED["receivers"]}
    (webhook,) = receivers["alerter"]["webhook_configs"]
    assert (webhook["max_alerts"], webhook["send_resolved"]) == (0, True)
    assert set(receivers["direct"]) == {"name", "pagerduty_configs", "slack_configs"}


def test_a_warning_is_silenced_only_by_the_same_alert_of_the_same_subject() -> None:
    same, dead = CONFIGURED["inhibit_rules"]
    assert same["equal"] == [
        "alertname", "job", "source", "queue", "priority", "target", "kind", "ip", "blocklist", "worker", "database",
        "redis", "receiver",
    ]  # fmt: skip
    assert dead["equal"] == ["job"]
    assert all("Watchdog" in " ".join(rule["target_matchers"]) for rule in (same, dead))
