"""Values that a user might give: of ci/, with an alerter, with something to keep."""

from typing import Any

from tests.helm.chart import CI, Manifest, render

ONCALL = {"name": "oncall", "kind": "pagerduty", "routing_key_file": "/etc/postwatch/secrets/alerting/key"}
TOLD: dict[str, Any] = {
    "secrets": {"alerting": {"existingSecret": "alerting"}},
    "alerter": {"config": {"receivers": [ONCALL], "default": {"receivers": ["oncall"]}}},
}
KEPT = {"exporter": {"config": {"reputation": {"state_file": "/var/lib/postwatch/reputation.json"}}}}


def ci(name: str) -> list[Manifest]:
    """What a file of ci/ renders to."""
    (path,) = [path for path in CI if path.name == f"{name}-values.yaml"]
    return render(path)


def told(**more: Any) -> dict[str, Any]:
    """Values of an alerter with a receiver, and more of its own."""
    return {**TOLD, "alerter": {**TOLD["alerter"], **more}}
