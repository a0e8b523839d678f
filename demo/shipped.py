"""The configuration of deploy/prometheus as it is shipped, but for addresses, and for durations where asked."""

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

# Beside a checkout's packages; what pip installs has none.
SHIPPED = Path(__file__).parents[1] / "deploy" / "prometheus"


class NotAsShipped(Exception):
    """An address that the files are known to have is not there."""


@dataclass(frozen=True)
class Addresses:
    """Where things are: `host:port` of what is scraped, URLs of those who are told the direct way."""

    exporter: str
    alerter: str
    prometheus: str
    alertmanager: str
    pagerduty: str
    slack: str  # an incoming webhook, secret in all


def prometheus_config(folder: Path, addresses: Addresses, *, keep_firing: str | None = None) -> str:
    """prometheus.yml; its rules are copied to `folder`. `keep_firing` takes the place of each `keep_firing_for`."""
    rules = folder / "rules"
    rules.mkdir(parents=True)
    for path in sorted((SHIPPED / "rules").glob("*.yml")):
        if keep_firing is None:
            shutil.copy(path, rules)
        else:
            shortened = re.sub(r"(keep_firing_for:) \w+", rf"\1 {keep_firing}", path.read_text())
            (rules / path.name).write_text(shortened)
    places = {
        '"127.0.0.1:9797"': f'"{addresses.exporter}"',
        '"127.0.0.1:9798"': f'"{addresses.alerter}"',
        '"127.0.0.1:9090"': f'"{addresses.prometheus}"',
        '"127.0.0.1:9093"': f'"{addresses.alertmanager}"',
    }
    return replaced((SHIPPED / "prometheus.yml").read_text(), places)


def alertmanager_config(folder: Path, addresses: Addresses, routing_key: str) -> str:
    """alertmanager.yml; what it reads as secrets is written to `folder`."""
    key, hook = folder / "pagerduty-key", folder / "slack-webhook"
    for path, secret in ((key, routing_key), (hook, addresses.slack)):
        path.touch(mode=0o600)
        path.write_text(secret)
    places = {
        "http://127.0.0.1:9798/": f"http://{addresses.alerter}/",
        "https://events.pagerduty.com/": f"{addresses.pagerduty}/",
        "routing_key_file: /etc/postwatch/pagerduty-key": f"routing_key_file: {key}",
        "slack_api_url_file: /etc/postwatch/slack-webhook": f"slack_api_url_file: {hook}",
    }
    return replaced((SHIPPED / "alertmanager.yml").read_text(), places)


def replaced(text: str, places: Mapping[str, str]) -> str:
    """`text` with all of `places` put in at once; raises NotAsShipped if one is not there."""
    missing = [place for place in places if place not in text]
    if missing:
        raise NotAsShipped(f"not found: {', '.join(missing)}")
    return re.sub("|".join(map(re.escape, places)), lambda match: places[match[0]], text)
