"""One stand-in of every provider, and configurations of an alerter that tells them."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from demo.providers import Hook, PagerDuty, Slack, Twilio
from tests.support.certificates import make_certificates
from tests.support.mail import Mailbox

RECEIVERS = ["oncall", "ops", "ops-mail", "oncall-sms", "bus"]


def on_call(pagerduty: PagerDuty) -> dict[str, Any]:
    """Receiver `oncall`."""
    return {"name": "oncall", "kind": "pagerduty", "url": pagerduty.url, "routing_key": pagerduty.routing_key}


def in_channel(slack: Slack) -> dict[str, Any]:
    """Receiver `ops`."""
    return {
        "name": "ops", "kind": "slack", "url": slack.url, "token": slack.token, "channel": "#ops-alerts",
        "rate": "50/s",
    }  # fmt: skip


class Providers:
    """One of each."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.pagerduty = stack.enter_context(PagerDuty(rate=10_000))
        self.slack = stack.enter_context(Slack(rate=100))
        self.twilio = stack.enter_context(Twilio(rate=100))
        self.hook = stack.enter_context(Hook())
        self.mailbox = stack.enter_context(Mailbox(make_certificates(folder / "certificates")))

    def receivers(self) -> list[dict[str, Any]]:
        """The section of that name."""
        return [
            on_call(self.pagerduty) | {"timeout": "2s"},
            in_channel(self.slack) | {"timeout": "2s"},
            {
                "name": "ops-mail",
                "kind": "email",
                "smarthost": f"127.0.0.1:{self.mailbox.port}",
                "ca_file": str(self.mailbox.certificates.ca),
                "username": self.mailbox.user,
                "password": self.mailbox.password,
                "from": "alerts@example.net",
                "to": ["ops@example.net"],
                "rate": "50/s",
            },
            {
                "name": "oncall-sms",
                "kind": "sms",
                "url": self.twilio.url,
                "account_sid": self.twilio.account_sid,
                "auth_token": self.twilio.auth_token,
                "from": "+15005550006",
                "to": ["+15005550009"],
                "rate": "50/s",
            },
            {"name": "bus", "kind": "webhook", "url": self.hook.url, "secret": self.hook.secret},
        ]


def everybody(providers: Providers, **more: Any) -> dict[str, Any]:
    """A configuration that tells all of them of all."""
    return {"receivers": providers.receivers(), "default": {"receivers": RECEIVERS}, **more}


def with_fallback(providers: Providers, after: str) -> dict[str, Any]:
    """As alerter.example.yml has it for critical alerts."""
    route = {
        "match": ['severity="critical"'],
        "receivers": ["oncall", "ops"],
        "fallback": {"after": after, "receivers": ["oncall-sms", "ops-mail"]},
    }
    return {"receivers": providers.receivers(), "routes": [route]}
