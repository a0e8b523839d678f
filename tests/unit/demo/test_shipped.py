"""deploy/prometheus as the demo and the chain's test use it: other addresses, and nothing else."""

import difflib
from pathlib import Path

import pytest

from demo.shipped import SHIPPED, Addresses, NotAsShipped, alertmanager_config, prometheus_config, replaced

HERE = Addresses(
    exporter="127.0.0.1:1001",
    alerter="127.0.0.1:1002",
    prometheus="127.0.0.1:1003",
    alertmanager="127.0.0.1:9797",  # the shipped address of another one: all are replaced at once
    pagerduty="http://127.0.0.1:1005",
    slack="http://127.0.0.1:1006/services/secret",
)


def changed(before: str, after: str) -> list[str]:
    """The lines that are new in `after`."""
    lines = difflib.ndiff(before.splitlines(), after.splitlines())
    return [line[2:].strip() for line in lines if line.startswith("+ ")]


def test_prometheus_gets_other_addresses_and_nothing_else(tmp_path: Path) -> None:
    text = prometheus_config(tmp_path, HERE)
    assert changed((SHIPPED / "prometheus.yml").read_text(), text) == [
        '- targets: ["127.0.0.1:9797"]',
        '- targets: ["127.0.0.1:1001"]',
        '- targets: ["127.0.0.1:1002"]',
        '- targets: ["127.0.0.1:9797"]',
        '- targets: ["127.0.0.1:1003"]',
    ]
    for rules in (SHIPPED / "rules").glob("*.yml"):
        assert (tmp_path / "rules" / rules.name).read_text() == rules.read_text()


def test_what_keeps_firing_may_do_so_for_less(tmp_path: Path) -> None:
    prometheus_config(tmp_path, HERE, keep_firing="3s")
    new = set()
    for rules in (SHIPPED / "rules").glob("*.yml"):
        new |= set(changed(rules.read_text(), (tmp_path / "rules" / rules.name).read_text()))
    assert new == {"keep_firing_for: 3s"}


def test_alertmanager_gets_other_addresses_and_secrets_in_files_of_its_own(tmp_path: Path) -> None:
    text = alertmanager_config(tmp_path, HERE, "k" * 32)
    assert changed((SHIPPED / "alertmanager.yml").read_text(), text) == [
        f"slack_api_url_file: {tmp_path}/slack-webhook",
        "- url: http://127.0.0.1:1002/webhook",
        f"- routing_key_file: {tmp_path}/pagerduty-key",
        "url: http://127.0.0.1:1005/v2/enqueue",
    ]
    assert (tmp_path / "slack-webhook").read_text() == HERE.slack
    assert (tmp_path / "pagerduty-key").read_text() == "k" * 32
    assert (tmp_path / "pagerduty-key").stat().st_mode & 0o077 == 0


def test_an_address_that_is_not_there_is_named() -> None:
    with pytest.raises(NotAsShipped, match=r"not found: 127\.0\.0\.1:9"):
        replaced("nothing of that", {"127.0.0.1:9": "x"})
