"""`render` shows what a receiver would say, `send-test` says it."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from alerter.commands.example import labels_of, message
from alerter.commands.terminal import console, tell
from alerter.delivery.office import build_receiver
from alerter.messages.telling import tell as telling_of
from alerter.messages.templates import TemplateFailed, Templates
from alerter.model import Action, Mark, Status
from alerter.receivers.base import DeliveryFailed, Message
from alerter.receivers.options import ReceiverOptions
from alerter.settings import AlerterSettings, read
from chassis import log
from chassis.clock import SystemClock
from chassis.settings import Mistake, SettingsError, secrets_in


def render(path: Path, name: str, alerts: Sequence[str]) -> int:
    """Print the text; answers 1 if a template fails. Raises SettingsError and BadLabels."""
    settings = read(path, os.environ)
    options = _options(settings, name)
    told = message(labels_of(alerts), time.time(), marks=frozenset())
    telling = telling_of(told, time.time(), settings.external_url)
    out = console()
    own = {part: source for part, source in getattr(options, "templates", ()) if source}
    if not own:
        out.print(options.preview(telling), soft_wrap=True)
        return 0
    templates, failed = Templates(), 0
    try:
        for part, source in own.items():
            tell(out, part, "", style="bold")
            try:
                out.print(templates.render(name, source, telling.data(), html=part == "html"), soft_wrap=True)
            except TemplateFailed as failure:
                failed += 1
                tell(out, "failed", f"{failure}; the built-in text would be sent", style="red")
    finally:
        templates.close()
    return 1 if failed else 0


def send_test(path: Path, name: str, alerts: Sequence[str]) -> int:
    """Send a marked message now, and its end; answers 1 if it was not accepted. Raises SettingsError, BadLabels."""
    settings = read(path, os.environ)
    options = _options(settings, name)
    redactor = log.configure("error", "console")
    redactor.learn(secret for _, secret in secrets_in(settings))
    templates = Templates()
    receiver = build_receiver(options, SystemClock(), settings.external_url, templates)
    out = console()
    now = time.time()
    begins = message(labels_of(alerts), now, marks=frozenset({Mark.TEST}))
    try:
        accepted = receiver.send(begins)
        tell(
            out, "accepted", f"by {name} ({receiver.kind}){': ' if accepted.note else ''}{accepted.note}", style="green"
        )
        if Action.RESOLVE in receiver.actions:
            receiver.send(_end_of(begins, dict(accepted.memory or {})))
            tell(out, "resolved", "nothing stays open", style="green")
    except DeliveryFailed as failure:
        again = "; trying again may help" if failure.retry else ""
        tell(out, "failed", f"({failure.reason}) {failure.text}{again}", style="red")
        return 1
    finally:
        receiver.close()
        templates.close()
    return 0


def _end_of(begun: Message, memory: dict[str, str]) -> Message:
    told = begun.alerts[0]
    alert = replace(told.alert, status=Status.RESOLVED, ends_at=time.time())
    return replace(
        begun,
        action=Action.RESOLVE,
        alerts=(replace(told, alert=alert),),
        delivery_id=str(uuid.uuid4()),
        memory=memory,
    )


def _options(settings: AlerterSettings, name: str) -> ReceiverOptions:
    for options in settings.receiver_options():
        if options.name == name:
            return options
    known = ", ".join(options.name for options in settings.receiver_options()) or "none is configured"
    raise SettingsError((Mistake("receivers", f"no receiver is named {name!r}; there are: {known}"),))
