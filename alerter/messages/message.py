"""One delivery, as receivers are given it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from alerter.model import Action, Mark, Severity, Told

Memory = Mapping[str, str]
"""What a receiver wants to find again, e.g. the channel and `ts` of a Slack message; small, and never a secret."""


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
