"""All receivers of one configuration, each with its desk, and who is told of what by it."""

from __future__ import annotations

import threading
from typing import Any

from alerter import receivers
from alerter.delivery.desk import Desk
from alerter.messages.templates import Templates
from alerter.receivers.base import Listening, Receiver, ReceiverContext, Tells
from alerter.receivers.options import ReceiverOptions
from alerter.routing.policy import Ability, Policy
from alerter.settings import AlerterSettings
from alerter.store.engine import Store
from alerter.tally import Tally
from chassis.clock import Clock


def build_receiver(options: ReceiverOptions, clock: Clock, external_url: str, templates: Templates) -> Receiver:
    """The receiver that `options` describe."""
    built: Receiver = _kind_of(options).build(options, ReceiverContext(clock, external_url, templates))
    return built


def listening(settings: AlerterSettings) -> list[Listening]:
    """The receivers whose providers tell who has taken an incident."""
    kinds = [(options, _kind_of(options)) for options in settings.receiver_options()]
    ears = [(options, kind, kind.ear(options)) for options, kind in kinds if hasattr(kind, "ear")]
    return [Listening(options.name, f"/{kind.KIND}/{options.name}", ear) for options, kind, ear in ears if ear]


def _kind_of(options: ReceiverOptions) -> Any:
    return next(module for module in receivers.KINDS if isinstance(options, module.Options))


class Office:
    """All receivers of one configuration with their desks."""

    def __init__(
        self, settings: AlerterSettings, store: Store, clock: Clock, tally: Tally, before: Office | None = None
    ) -> None:
        self._clock = clock
        self.templates = Templates(tally.template_failed)
        self.desks: dict[str, Desk] = {}
        self._options = {options.name: options for options in settings.receiver_options()}
        for options in settings.receiver_options():
            receiver = build_receiver(options, clock, settings.external_url, self.templates)
            known = before.desks.get(receiver.name) if before else None
            same = before is not None and before._options.get(receiver.name) == options
            self.desks[receiver.name] = Desk(receiver, store, clock, tally, before=known, unchanged=same)
        self.policy = Policy(
            routing=settings.routing,
            receivers={
                name: Ability(desk.receiver.tells is Tells.GROUP, desk.receiver.actions)
                for name, desk in self.desks.items()
            },
            deadman=settings.deadman.match if settings.deadman else (),
            deadman_receivers=settings.deadman.receivers if settings.deadman else (),
        )

    def start(self) -> None:
        """Deliver from now on."""
        for desk in self.desks.values():
            desk.start()

    def stop(self, timeout: float) -> None:
        """All at once, within about `timeout` seconds."""
        threads = [threading.Thread(target=desk.stop, args=(timeout,)) for desk in self.desks.values()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout)
        self.templates.close()
