"""Words that every part of the exporter shares. Imports the standard library alone."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

PRIORITIES = ("high", "normal", "low")
OUTCOMES = ("completed", "failed", "cancelled", "expired")
OTHER = "_other"


class Reason(StrEnum):
    """Why a sample failed; the same word in exceptions, logs and `postwatch_sampler_failures_total`."""

    REFUSED = "refused"  # nobody listens, or the server is shutting down or starting up
    RESOLVE = "resolve"  # the host name has no address
    TIMEOUT = "timeout"  # no answer within the time limit
    AUTH = "auth"  # wrong password, unknown user, no access to the database
    PERMISSION = "permission"  # a right is missing
    MISSING = "missing"  # a table or a column is not there
    MISMATCH = "mismatch"  # a column or a key has another type than the configuration says
    LOCKED = "locked"  # somebody holds a lock on the table, a migration for example
    OVERLOADED = "overloaded"  # the server has no connection or memory left
    PROTOCOL = "protocol"  # the answer is not what the protocol allows
    TLS = "tls"  # the encrypted connection could not be set up
    INTERNAL = "internal"  # a defect of ours: please report


class SampleFailed(Exception):
    """A sampler got no answer that it can use.

    `advice` says to the user what to do next; `about` whose failure it is: the address of a store, or nothing.
    """

    def __init__(self, reason: Reason, message: str, advice: str = "", *, about: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.advice = advice
        self.about = about

    def __str__(self) -> str:
        return f"{self.message}; {self.advice}" if self.advice else self.message


class QueueKey(NamedTuple):
    """A queue as the labels name it: without `queue:` before it or a priority behind it."""

    queue: str
    priority: str

    @classmethod
    def parse(cls, full_name: str) -> QueueKey:
        """`queue:email-sending:high` and `email-sending:high` are (`email-sending`, `high`)."""
        name = full_name.removeprefix("queue:")
        head, colon, tail = name.rpartition(":")
        if colon and head and tail in PRIORITIES:
            return cls(head, tail)
        return cls(name, "normal")

    @property
    def full_name(self) -> str:
        """The name as configurations, people and Redis lists write it."""
        suffix = "" if self.priority == "normal" else f":{self.priority}"
        return f"queue:{self.queue}{suffix}"

    @property
    def labels(self) -> dict[str, str]:
        """As labels of a series."""
        return {"queue": self.queue, "priority": self.priority}


def priority_class(number: int) -> str:
    """Class of a numeric priority where lower runs first: ≤ 50 high, 51 to 150 normal, above low."""
    if number <= 50:
        return "high"
    return "normal" if number <= 150 else "low"


OTHER_QUEUE = QueueKey(OTHER, "normal")


@dataclass(frozen=True)
class Thresholds:
    """When a queue's depth or failures change its status (`warning`, `critical`) or wake someone (`page`)."""

    depth_warning: float = 100
    depth_critical: float = 1000
    depth_page: float = 10000
    failures_critical: float = 10  # failed jobs an hour
    failures_page: float = 0.05  # failed ÷ ended


@dataclass(frozen=True)
class Target:
    """What is expected of a queue. Seconds; None: not said."""

    seconds: float | None = None  # from ready to end
    time_limit: float | None = None  # of one attempt
    thresholds: Thresholds = Thresholds()


@dataclass(frozen=True)
class Remark:
    """Something that `check --connect` and the log tell a user about a source, and what to do about it."""

    subject: str
    text: str
    remedy: str = ""
    fatal: bool = False

    def __str__(self) -> str:
        return f"{self.subject}: {self.text}" + (f"\n    {self.remedy}" if self.remedy else "")


class Level(StrEnum):
    """How a line of a table stands; worst last."""

    GOOD = "good"
    UNKNOWN = "unknown"
    WARNING = "warning"
    BAD = "bad"
