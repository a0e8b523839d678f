"""What a receiver has to be for the alerter: it delivers once, or says why not; what comes next is not its business.

A kind is a module with `KIND`, `Options` (its settings, over `ReceiverOptions`) and
`build(options, context) -> Receiver`; with `ear(options) -> Ear | None` if its provider tells who took an incident.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from alerter.messages.message import Memory, Message, Storm
from alerter.messages.templates import Templates
from alerter.model import Action, Mark, Reason
from alerter.receivers.options import Rate, ReceiverOptions
from chassis.clock import Clock

__all__ = [
    "Accepted",
    "DeliveryFailed",
    "Ear",
    "Heard",
    "Listening",
    "Mark",
    "Memory",
    "Message",
    "NotProven",
    "Rate",
    "Receiver",
    "ReceiverContext",
    "ReceiverOptions",
    "Storm",
    "Tells",
    "Unintelligible",
]


class Tells(StrEnum):
    """What one message of a receiver is about; order and memory are kept for each of these."""

    ALERT = "alert"
    GROUP = "group"  # the alerts of one (source, group key)


@dataclass(frozen=True)
class Accepted:
    """The provider took it over. `memory` replaces what was remembered; None leaves it, {} forgets."""

    memory: Memory | None = None
    note: str = ""  # for the log and the feed, e.g. "sent plain: blocks were refused"


class DeliveryFailed(Exception):
    """One attempt failed. The text names no secret and no URL's path, and fits on a line.

    `retry`: trying the same again may help. `after`: seconds that the provider asked to wait, if it did.
    `opens_circuit`: nothing else would get through either, e.g. the credential is refused; somebody has to act.
    `ambiguous`: it may have arrived, and the provider knows no repetition as such: one more try, no more.
    `progress`: handed back as `Message.progress` with the next attempt, e.g. which recipients are done.
    """

    def __init__(
        self,
        reason: Reason,
        text: str,
        *,
        retry: bool,
        after: float | None = None,
        opens_circuit: bool = False,
        ambiguous: bool = False,
        progress: Memory | None = None,
    ) -> None:
        super().__init__(text)
        self.reason = reason
        self.text = text
        self.retry = retry
        self.after = after
        self.opens_circuit = opens_circuit
        self.ambiguous = ambiguous
        self.progress: Memory = progress or {}


@dataclass(frozen=True)
class ReceiverContext:
    """What a receiver is given beside its options."""

    clock: Clock
    external_url: str  # of the alerter itself, for links; empty if it is not configured
    templates: Templates


class Receiver(Protocol):
    """One configured receiver. `send` may be called from several threads at a time."""

    kind: str
    name: str
    tells: Tells
    actions: frozenset[Action]  # those that it can tell; others need not be queued
    rate: Rate  # as configured, or the provider's limit

    def send(self, message: Message) -> Accepted:
        """Deliver once, within the options' `timeout` a step. Raises DeliveryFailed, and nothing else."""

    def close(self) -> None:
        """Let connections go."""


@dataclass(frozen=True)
class Heard:
    """What a provider says has become of an incident there. `at` is when, in seconds since the epoch, if it says so."""

    key: str  # the dedup key that opened it
    taken: bool  # whether somebody sees to it now; if not, nobody does any more
    who: str
    at: float | None


class NotProven(Exception):
    """A request that does not prove to come from the provider."""


class Unintelligible(ValueError):
    """It comes from the provider, and cannot be read; the text says why and fits on a line."""


class Ear(Protocol):
    """Understands what a provider posts about a receiver's incidents, at `/KIND/NAME`."""

    def hear(self, body: bytes, headers: Mapping[str, str]) -> Heard | None:
        """None: it is about something else. Header names are in lower case.

        Raises NotProven, Unintelligible, and SecretUnavailable if the proof cannot be verified now.
        """


@dataclass(frozen=True)
class Listening:
    """A receiver that is told things by its provider, and at which path."""

    receiver: str
    path: str
    ear: Ear
