"""What a word about an alert changes: a pure decision that explains itself.

An alert is `(source, fingerprint)`. An episode is one time that it fires, from the first word to its end. Several
Alertmanagers of a cluster tell the same alert, late ones included; each by itself tells in order. So whether a word is
late is judged by who says it: after an end, "firing" from the Alertmanager that told the end is news, and from another
one, about the same stretch of time and soon after, an echo; unless its end is not told from there too, see echoes.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from alerter.model import Alert, Status

ECHO = 300.0  # seconds in which another Alertmanager may tell what is over; its peers wait for less


class Change(StrEnum):
    """What became of an alert by one word about it."""

    OPENED = "opened"  # an episode begins
    CHANGED = "changed"  # it fires on, with other annotations
    STILL = "still"  # it fires on
    ENDED = "ended"  # the episode ends
    MISSED = "missed"  # an episode began and ended, and only its end was told: kept, nobody is told
    ECHO = "echo"  # nothing new


@dataclass(frozen=True)
class Episode:
    """What is known of an alert's latest episode. Times are seconds since the epoch."""

    status: Status
    starts_at: float  # as the first word had it
    ends_at: float | None  # as the word of its end had it, by the sender's clock
    ended_at: float | None  # when the end was told, by our clock
    ended_by: str  # external URL of the Alertmanager that told the end, or who else ended it
    content: str  # digest of what a person would be told


@dataclass(frozen=True)
class Decision:
    """What it is, and why, in words for a log."""

    change: Change
    because: str


def decide(before: Episode | None, alert: Alert, content: str, now: float) -> Decision:
    """What `alert` changes after `before`, its latest episode, at `now` by our clock.

    `content` is a digest of what a person would be told of `alert`.
    """
    if alert.status is Status.FIRING:
        return _firing(before, alert, content, now)
    return _resolved(before, alert)


def _firing(before: Episode | None, alert: Alert, content: str, now: float) -> Decision:
    if before is None:
        return Decision(Change.OPENED, "never seen before")
    if before.status is Status.FIRING:
        # A later start is the same incident for who is at it: no end was told in between.
        if content != before.content:
            return Decision(Change.CHANGED, "its annotations are others")
        return Decision(Change.STILL, "it fires on")
    ends_at = before.ends_at if before.ends_at is not None else before.starts_at
    if alert.starts_at > max(ends_at, before.starts_at):
        return Decision(Change.OPENED, "it began after the last one ended")
    if alert.external_url == before.ended_by:
        return Decision(Change.OPENED, "the Alertmanager that ended it says that it fires")
    if before.ended_by.startswith("http") and before.ended_at is not None and 0 <= now - before.ended_at < ECHO:
        return Decision(Change.ECHO, "another Alertmanager tells what has ended")
    return Decision(Change.OPENED, "it fires, long after its end was told")


def _resolved(before: Episode | None, alert: Alert) -> Decision:
    if before is None:
        return Decision(Change.MISSED, "it was never seen firing")
    if before.status is Status.RESOLVED:
        last = max(before.ends_at or 0.0, before.starts_at)
        if alert.starts_at > last:
            return Decision(Change.MISSED, "it was not seen firing again")
        return Decision(Change.ECHO, "it has ended already")
    if alert.ends_at is not None and alert.starts_at < before.starts_at and alert.ends_at < before.starts_at:
        return Decision(Change.ECHO, "it is the end of an earlier episode")
    return Decision(Change.ENDED, "its end was told")
