"""PagerDuty's Events API v2: an incident for each alert, opened, acknowledged and closed by its dedup key.

Source: https://developer.pagerduty.com/docs/events-api-v2/trigger-events/. A resolve without an open incident is
dropped there without a word, and a repetition of a trigger changes nothing, so all may be sent again.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import Field

from alerter.messages.clean import cut
from alerter.messages.lines import Line, lasting
from alerter.messages.telling import Telling, tell
from alerter.messages.templates import Template
from alerter.model import Action, Reason, Severity
from alerter.receivers.base import Accepted, DeliveryFailed, Ear, Message, Rate, ReceiverContext, Tells
from alerter.receivers.options import HttpOptions, ServiceUrl
from alerter.receivers.pagerduty_hooks import PagerDutyEar
from alerter.receivers.wire import Answer, Wire, reveal
from chassis.secrets import Secret
from chassis.settings import Settings

KIND = "pagerduty"
LARGEST = 512_000  # bytes of an event
SUMMARY = 1024  # characters
_EVENTS = {Action.ACKNOWLEDGE: "acknowledge", Action.RESOLVE: "resolve"}
_SEVERITIES = {Severity.CRITICAL: "critical", Severity.WARNING: "warning", Severity.INFO: "info"}
_ABOUT_KEY = re.compile(r"routing[ _]?key", re.IGNORECASE)


class PagerDutyTemplates(Settings):
    """Texts instead of the built-in ones."""

    summary: Template | None = Field(None, description="The incident's title; 1024 characters at most.")


class Options(HttpOptions):
    """Pages who is on call."""

    kind: Literal["pagerduty"] = Field(description="The way to tell.")
    routing_key: Secret = Field(description="Integration key of an Events API v2 integration.")
    webhook_secret: Secret | None = Field(
        None, description="Secret of PagerDuty's webhook (V3) to `/pagerduty/NAME`, which tells who has acknowledged."
    )
    url: ServiceUrl = Field("https://events.pagerduty.com", description="Where the Events API is.")
    rate: Rate = Field(Rate(120, 60), description="Events at most; above it they are told as one that counts them.")
    templates: PagerDutyTemplates = Field(default_factory=PagerDutyTemplates, description="Texts of your own.")

    def preview(self, telling: Telling) -> str:
        """As `ReceiverOptions.preview`: the incident's title, and what stands in it."""
        details = {name: value for name, value in _details(telling).items() if isinstance(value, str)}
        return "\n".join([_summary(telling), "", *(f"{name + ':':<15}{value}" for name, value in details.items()), ""])


class PagerDutyReceiver:
    """One integration of a PagerDuty service."""

    kind = KIND
    tells = Tells.ALERT
    actions = frozenset(Action)

    def __init__(self, options: Options, context: ReceiverContext) -> None:
        self.name = options.name
        self.rate = options.rate
        self._options = options
        self._context = context
        self._wire = Wire(options.timeout, [options.routing_key], options.ca_file)

    def send(self, message: Message) -> Accepted:
        """As `Receiver.send`."""
        key = reveal(self._options.routing_key, "routing_key")
        event = {"routing_key": key, **self._event(message)}
        body = json.dumps(event).encode()
        shrunk = len(body) > LARGEST
        answer = self._post(_small(event) if shrunk else body)
        if answer.status == 413 and not shrunk:
            shrunk = True
            answer = self._post(_small(event))
        if answer.status == 202:
            return Accepted(note="without details: they were too large" if shrunk else "")
        raise self._failure(answer)

    def close(self) -> None:
        """As `Receiver.close`."""
        self._wire.close()

    def _post(self, body: bytes) -> Answer:
        return self._wire.post(f"{self._options.url}/v2/enqueue", body, "application/json")

    def _event(self, message: Message) -> dict[str, Any]:
        event: dict[str, Any] = {
            "event_action": _EVENTS.get(message.action, "trigger"),
            "dedup_key": message.dedup_key,
        }
        if message.action in _EVENTS:
            return event
        telling = tell(message, self._context.clock.now(), self._context.external_url)
        summary = self._context.templates.text(
            self.name, self._options.templates.summary, telling, lambda: _summary(telling), limit=SUMMARY
        )
        event["payload"] = _payload(telling, summary)
        event["client"] = "Postwatch"
        if telling.home:
            event["client_url"] = telling.home
        if links := _links(telling.lines[0]):
            event["links"] = links
        return event

    def _failure(self, answer: Answer) -> DeliveryFailed:
        said = answer.content
        try:
            told = "; ".join([str(said.get("message", "")), *(str(each) for each in said.get("errors", []))])
        except (AttributeError, TypeError):
            told = answer.text
        if answer.status == 400 and _ABOUT_KEY.search(told):
            text = f"{answer.host} refuses the routing key: {self._wire.said(told)}"
            return DeliveryFailed(Reason.AUTH, text, retry=True, opens_circuit=True)
        if 200 <= answer.status < 300:  # something between answers in its place
            text = f"{answer.host} answered {answer.status} instead of 202; is a proxy in between?"
            return DeliveryFailed(Reason.UNAVAILABLE, text, retry=True)
        return self._wire.failure(answer, told)


def _summary(telling: Telling) -> str:
    where = telling.lines[0].where if telling.count == 1 else ""
    return cut(f"{telling.title} ({where})" if where else telling.title, SUMMARY)


def _payload(telling: Telling, summary: str) -> dict[str, Any]:
    first = telling.lines[0]
    fields = {
        "summary": cut(" ".join(summary.split()), SUMMARY),
        "source": cut(first.where or first.source, 1024) or "postwatch",
        "severity": _SEVERITIES.get(telling.severity, "error"),
        "timestamp": _timestamp(telling.since),
        "component": first.service,
        "group": first.labels.get("queue", first.source),
        "class": first.name,
    }
    return {name: value for name, value in fields.items() if value} | {"custom_details": _details(telling)}


def _details(telling: Telling) -> dict[str, Any]:
    first = telling.lines[0]
    details: dict[str, Any] = {
        "When": lasting(first, telling.now),
        "Where": first.where,
        "For customers": first.impact,
        "Description": first.description,
        "Runbook": first.runbook,
        "Remarks": " ".join(telling.remarks),
    }
    if telling.count > 1:
        details["Alerts"] = telling.count
        details["By service"] = dict(telling.services)
        details["Named"] = [f"{each.severity}: {each.summary}" for each in telling.lines]
    else:
        details["Labels"] = dict(first.labels)
        details["Annotations"] = dict(first.annotations)
    return {name: value for name, value in details.items() if value}


def _links(line: Line) -> list[dict[str, str]]:
    targets = {"Runbook": line.runbook, "Dashboard": line.dashboard, "Silence": line.silence, "Graph": line.graph}
    return [{"href": url, "text": name} for name, url in targets.items() if url]


def _small(event: dict[str, Any]) -> bytes:
    """The event without what may be large."""
    kept = {name: value for name, value in event.items() if name != "links"}
    if "payload" in kept:
        kept["payload"] = kept["payload"] | {"custom_details": {"Remarks": "The details were too large."}}
    return json.dumps(kept).encode()


def _timestamp(at: float) -> str:
    try:
        return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return ""


def build(options: Options, context: ReceiverContext) -> PagerDutyReceiver:
    """A receiver of this kind."""
    return PagerDutyReceiver(options, context)


def ear(options: Options) -> Ear | None:
    """What listens to PagerDuty's webhooks; nothing without a secret."""
    return None if options.webhook_secret is None else PagerDutyEar(options.webhook_secret)
