"""Each kind of receiver before its provider, for the contract suite: built, broken, and asked what it told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import pytest

from alerter.receivers import email, pagerduty, slack, sms, webhook
from alerter.receivers.base import DeliveryFailed, Message, Receiver
from chassis.clock import Clock
from chassis.settings import Settings
from demo.providers import Fault, Hook, PagerDuty, Slack, StandIn, Twilio
from demo.providers.exchange import texts
from tests.support.certificates import Certificates
from tests.support.mail import Mailbox
from tests.support.telling import context, message

TIMEOUT = "500ms"


class Harness(Protocol):
    """One provider that runs, and the way to it."""

    module: ModuleType
    secret: str  # the credential that must never be seen
    secret_option: str

    def options(self) -> dict[str, Any]:
        """Settings that are right, but for `name` and `kind`."""

    def told(self) -> list[str]:
        """All that people were shown, message by message."""

    def ids(self) -> list[str]:
        """What the provider tells repetitions by, message by message; empty texts if it cannot."""

    def unavailable(self) -> None:
        """The next request is answered by "not now"."""

    def refuse(self, saying: str) -> None:
        """The next message is refused for good, with these words."""

    def drop(self) -> None:
        """The next request breaks off without an answer."""

    def hang(self) -> None:
        """The next request gets no answer within TIMEOUT."""

    def stop(self) -> None:
        """Nobody listens any more."""


class HttpHarness:
    """What stand-ins that speak HTTP share."""

    stand_in: StandIn

    def unavailable(self) -> None:
        self.stand_in.inject(Fault.status(503, "overloaded"))

    def limited(self, retry_after: str) -> None:
        """The next request is answered by "too many"."""
        self.stand_in.inject(Fault.status(429, "too many", Retry_After=retry_after))

    def drop(self) -> None:
        # More than once: what is lost before it could be processed may be sent again by the connection pool.
        self.stand_in.inject(Fault.reset())

    def hang(self) -> None:
        self.stand_in.inject(Fault.hang(20))

    def stop(self) -> None:
        self.stand_in.stop()


class PagerDutyHarness(HttpHarness):
    module = pagerduty
    secret_option = "routing_key"

    def __init__(self) -> None:
        self.stand_in = self.provider = PagerDuty(rate=10_000).start()
        self.secret = self.provider.routing_key

    def options(self) -> dict[str, Any]:
        return {"url": self.provider.url, "routing_key": self.secret}

    def told(self) -> list[str]:
        return ["\n".join(texts(event.get("payload", {}))) for event in self.provider.events]

    def ids(self) -> list[str]:
        return [event["dedup_key"] for event in self.provider.events]

    def refuse(self, saying: str) -> None:
        self.stand_in.inject(Fault.status(400, {"status": "invalid event", "errors": [saying]}))


class SlackHarness(HttpHarness):
    module = slack
    secret_option = "token"

    def __init__(self) -> None:
        self.stand_in = self.provider = Slack(rate=10_000).start()
        self.secret = self.provider.token

    def options(self) -> dict[str, Any]:
        return {"url": self.provider.url, "token": self.secret, "channel": "#ops-alerts"}

    def told(self) -> list[str]:
        return [post.shown for post in self.provider.posts]

    def ids(self) -> list[str]:
        return ["" for _ in self.provider.posts]

    def refuse(self, saying: str) -> None:
        self.stand_in.inject(Fault.status(200, {"ok": False, "error": saying}))


class SlackHookHarness(SlackHarness):
    secret_option = "webhook_url"

    def __init__(self) -> None:
        super().__init__()
        self.secret = self.provider.hook_url

    def options(self) -> dict[str, Any]:
        return {"webhook_url": self.secret}

    def refuse(self, saying: str) -> None:
        self.stand_in.inject(Fault.status(403, saying))


class SmsHarness(HttpHarness):
    module = sms
    secret_option = "auth_token"

    def __init__(self) -> None:
        self.stand_in = self.provider = Twilio(rate=10_000).start()
        self.secret = self.provider.auth_token

    def options(self) -> dict[str, Any]:
        return {
            "url": self.provider.url,
            "account_sid": self.provider.account_sid,
            "auth_token": self.secret,
            "from": "+15005550006",
            "to": ["+15005550009"],
        }

    def told(self) -> list[str]:
        return [each.body for each in self.provider.sent]

    def ids(self) -> list[str]:
        return ["" for _ in self.provider.sent]

    def refuse(self, saying: str) -> None:
        self.stand_in.inject(Fault.status(400, {"code": 21610, "message": saying, "status": 400}))


class WebhookHarness(HttpHarness):
    module = webhook
    secret_option = "secret"

    def __init__(self) -> None:
        self.stand_in = self.provider = Hook().start()
        self.secret = self.provider.secret

    def options(self) -> dict[str, Any]:
        return {"url": f"{self.provider.url}/in", "secret": self.secret}

    def told(self) -> list[str]:
        return ["\n".join(texts(each)) for each in self.provider.taken]

    def ids(self) -> list[str]:
        return [request.headers["idempotency-key"] for request in self.provider.requests]

    def refuse(self, saying: str) -> None:
        self.stand_in.inject(Fault.status(400, {"error": saying}))


class EmailHarness:
    module = email
    secret_option = "password"

    def __init__(self, certificates: Certificates) -> None:
        self.mailbox = Mailbox(certificates)
        self.mailbox.__enter__()
        self._running = True
        self.secret = self.mailbox.password

    def options(self) -> dict[str, Any]:
        return {
            "smarthost": f"127.0.0.1:{self.mailbox.port}",
            "ca_file": str(self.mailbox.certificates.ca),
            "username": self.mailbox.user,
            "password": self.secret,
            "from": "alerts@example.net",
            "to": ["ops@example.net"],
        }

    def told(self) -> list[str]:
        return [f"{mail.message['Subject']}\n{mail.part('plain')}" for mail in self.mailbox.mails]

    def ids(self) -> list[str]:
        return [message_from_bytes(mail.raw)["Message-ID"] for mail in self.mailbox.mails]

    def unavailable(self) -> None:
        self.mailbox.refuse_data.append("451 try later")

    def refuse(self, saying: str) -> None:
        self.mailbox.refuse_data.append(f"554 {saying}")

    def drop(self) -> None:
        self.mailbox.refuse_data.append("421 closing")

    def hang(self) -> None:
        self.mailbox.silent.set()

    def stop(self) -> None:
        if self._running:
            self._running = False
            self.mailbox.__exit__()


def harness(name: str, certificates: Certificates) -> Any:
    """The harness called so."""
    return EmailHarness(certificates) if name == "email" else HARNESSES[name]()


HARNESSES: dict[str, Any] = {
    "pagerduty": PagerDutyHarness,
    "slack": SlackHarness,
    "slack-webhook": SlackHookHarness,
    "sms": SmsHarness,
    "webhook": WebhookHarness,
    "email": EmailHarness,
}


@contextmanager
def receiver(harness: Any, clock: Clock | None = None, folder: Path | None = None, **more: Any) -> Iterator[Receiver]:
    """A receiver with the harness's settings and `more`; an option of None is left out."""
    given = {"name": "it", "kind": harness.module.KIND, "timeout": TIMEOUT, **harness.options(), **more}
    given = {name: value for name, value in given.items() if value is not None}
    model: type[Settings] = harness.module.Options
    settings = model.model_validate(given, context={"folder": folder or Path()})
    around = context(clock)
    made: Receiver = harness.module.build(settings, around)
    try:
        yield made
    finally:
        made.close()
        around.templates.close()


def failure(it: Receiver, sent: Message | None = None) -> DeliveryFailed:
    """How a delivery fails."""
    with pytest.raises(DeliveryFailed) as caught:
        it.send(sent or message())
    return caught.value
