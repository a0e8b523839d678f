"""What a receiver has to be for the alerter: it delivers once, or says why not; what comes next is not its business.

A kind is a module with `KIND`, `Options` (its settings, over `ReceiverOptions`) and
`build(options, context) -> Receiver`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from alerter.model import Action, Mark, Reason, Severity, Told
from alerter.receivers.options import Rate, ReceiverOptions
from chassis.clock import Clock

if TYPE_CHECKING:
    from alerter.messages.templates import Templates

__all__ = [
    "Accepted",
    "DeliveryFailed",
    "Mark",
    "Memory",
    "Message",
    "Rate",
    "Receiver",
    "ReceiverContext",
    "ReceiverOptions",
    "Storm",
    "Tells",
]

Memory = Mapping[str, str]
"""What a receiver wants to find again, e.g. the channel and `ts` of a Slack message; small, and never a secret."""


class Tells(StrEnum):
    """What one message of a receiver is about; order and memory are kept for each of these."""

    ALERT = "alert"
    GROUP = "group"  # the alerts of one (source, group key)


@dataclass(frozen=True)
class Storm:
    """Many deliveries told as one. `Message.alerts` then names some of them, the worst first."""

    count: int  # alerts told, those that are named among them
    worst: Severity
    firing: int  # of count
    services: Mapping[str, int] = field(default_factory=dict)  # alerts by service, the most first


@dataclass(frozen=True)
class Message:
    """One delivery: what has happened, of which alerts, and what went before it.

    `alerts` is one alert, all alerts of a group as they are now, or the worst of a storm; never empty.
    """

    action: Action
    alerts: tuple[Told, ...]
    delivery_id: str  # the same for each attempt, and for no other delivery
    dedup_key: str  # the same from trigger to resolve; up to 255 characters
    created_at: float  # epoch seconds at which it was queued
    news: frozenset[str] = frozenset()  # of a group: fingerprints of the alerts that changed; empty: all are news
    storm: Storm | None = None
    marks: frozenset[Mark] = frozenset()
    note: str = ""  # a sentence for people beside those of the alerts, e.g. whom the fallback stands in for
    memory: Memory = field(default_factory=dict)  # as the last accepted delivery of this alert or group left it
    progress: Memory = field(default_factory=dict)  # as the last failed attempt of this delivery left it


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
