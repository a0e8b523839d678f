"""Words that every part of the alerter shares. Imports the standard library alone."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, lru_cache

OWN_SOURCE = "postwatch"
"""The source of alerts that the alerter raises about itself."""


class Severity(StrEnum):
    """How bad an alert is, by its label `severity`; from the worst down."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"
    OTHER = "other"

    @classmethod
    def of(cls, labels: Mapping[str, str]) -> Severity:
        """What the label says; OTHER if it says none of the three."""
        return _SEVERITIES.get(labels.get("severity", "").lower(), cls.OTHER)

    @property
    def rank(self) -> int:
        """0 is the worst."""
        return _RANKS[self]


_SEVERITIES = {each.value: each for each in Severity}
_RANKS = {each: rank for rank, each in enumerate(Severity)}


class Status(StrEnum):
    """What Alertmanager says of an alert."""

    FIRING = "firing"
    RESOLVED = "resolved"


class Action(StrEnum):
    """What a delivery does at the provider."""

    TRIGGER = "trigger"
    UPDATE = "update"
    ACKNOWLEDGE = "acknowledge"
    RESOLVE = "resolve"


class Mark(StrEnum):
    """Why somebody is told beyond the plain case; a delivery may bear several."""

    FALLBACK = "fallback"  # those who should have been told could not be reached in time
    ESCALATION = "escalation"  # nobody acknowledged in time
    REPEAT = "repeat"  # it still fires, and the route wants to hear of it again
    RECONCILED = "reconciled"  # Alertmanager does not have the alert any more, or somebody silenced it there
    TEST = "test"  # `send-test`: nothing is wrong


class Reason(StrEnum):
    """Why a delivery failed; the same word in exceptions, logs and `postwatch_alerter_delivery_failures_total`."""

    AUTH = "auth"  # the credential is wrong or was revoked
    REJECTED = "rejected"  # the provider will never take this message
    RATE_LIMITED = "rate_limited"  # too many for now
    UNAVAILABLE = "unavailable"  # the provider says that it cannot, for now
    TIMEOUT = "timeout"  # no answer in time: it may have been taken
    NETWORK = "network"  # no connection, or it broke
    TOO_LARGE = "too_large"  # larger than the provider takes, even shortened
    EXPIRED = "expired"  # tried as long as it is worth while
    INTERNAL = "internal"  # a defect of ours: please report


@dataclass(frozen=True)
class Alert:
    """One alert as a webhook told it. Times are seconds since the epoch; `ends_at` is None while it fires."""

    source: str  # the last part of /webhook/SOURCE
    fingerprint: str
    status: Status
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: float
    ends_at: float | None = None
    generator_url: str = ""
    external_url: str = ""  # of the Alertmanager that told it
    group_key: str = ""

    @cached_property
    def key(self) -> str:
        """Who it is, whatever routes or Alertmanagers say: 64 hexadecimal digits. PagerDuty's `dedup_key`."""
        return alert_key(self.source, self.fingerprint)

    @cached_property
    def group(self) -> str:
        """The group it is told in, as 64 hexadecimal digits."""
        return _group_id(self.source, self.group_key)

    @cached_property
    def severity(self) -> Severity:
        """By its label."""
        return Severity.of(self.labels)

    @property
    def name(self) -> str:
        """Its `alertname`, or what comes nearest."""
        return self.labels.get("alertname") or self.fingerprint

    @property
    def service(self) -> str:
        """What a person calls that which is unwell; empty if the alert does not say."""
        return self.labels.get("service", "")

    @property
    def summary(self) -> str:
        """One line for a person."""
        text = self.annotations.get("summary") or self.annotations.get("description") or self.name
        return " ".join(text.split())


@dataclass(frozen=True)
class Told:
    """An alert as a receiver is to tell it: its latest word, and what became of it here. `id` is the feed's."""

    id: int
    alert: Alert
    received_at: float = 0.0  # when the alerter first heard of it, seconds since the epoch
    acknowledged_by: str = ""
    acknowledged_at: float | None = None
    note: str = ""  # why it ended, if no Alertmanager said so


def alert_key(source: str, fingerprint: str) -> str:
    """Names an alert for ever: its incident at a provider outlives edits of routes and groups."""
    return digest(source, fingerprint)


@lru_cache(8)  # all alerts of a webhook share it
def _group_id(source: str, group_key: str) -> str:
    return digest("group", source, group_key)


def digest(*parts: str) -> str:
    """SHA-256 of the parts, which may hold anything, as 64 hexadecimal digits."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
