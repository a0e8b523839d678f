"""The five queues of the email platform: how much comes in, how long it takes, what goes wrong."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

# As a worker writes them: the exception's class, then words that must never become a label.
_SMTP_ERRORS = (
    "SMTPServerDisconnected: Connection unexpectedly closed: [Errno 104] Connection reset by peer",
    "SMTPResponseException: (451, b'4.7.1 Greylisted, try again later')",
    "TimeoutError: no answer from mx1.example.net:25 within 30 seconds",
)
DIVISION = "ZeroDivisionError: division by zero in MRR calculation"


@dataclass(frozen=True)
class Queue:
    """One pair of name and priority, which is one Redis list."""

    name: str
    priority: int
    key: str
    per_second: float
    seconds: tuple[float, float]  # how long a job runs, from and to
    error_ratio: float  # of attempts
    errors: tuple[str, ...]
    max_attempts: int = 3

    @property
    def level(self) -> str:
        """The priority as the metrics name it."""
        return "high" if self.priority <= 50 else "normal" if self.priority <= 150 else "low"


HIGH = Queue("email-sending", 10, "queue:email-sending:high", 1.5, (0.1, 0.6), 0.02, _SMTP_ERRORS)
NORMAL = Queue("email-sending", 100, "queue:email-sending", 4, (0.2, 0.9), 0.05, _SMTP_ERRORS)
LOW = Queue("email-sending", 200, "queue:email-sending:low", 2, (0.2, 0.9), 0.05, _SMTP_ERRORS)
ANALYTICS = Queue(
    "analytics:daily-aggregate",
    100,
    "queue:analytics:daily-aggregate",
    0.4,
    (0.8, 2.5),
    0.03,
    ("OperationalError: canceling statement due to statement timeout",),
    max_attempts=2,
)
WARMUP = Queue(
    "warmup:process",
    100,
    "queue:warmup:process",
    0.6,
    (0.4, 1.5),
    0.05,
    ("ConnectionRefusedError: [Errno 111] Connection refused",),
)
QUEUES: Sequence[Queue] = (HIGH, NORMAL, LOW, ANALYTICS, WARMUP)


@dataclass(frozen=True)
class NewJob:
    """A job whose fate is written in its payload: what each attempt ends with, and after how long."""

    queue: Queue
    seconds: float
    errors: Sequence[str | None] = field(default=())  # by attempt; None and what is missing: it succeeds
    max_attempts: int = 3
    delay: float = 0.0  # seconds until it may run

    @property
    def payload(self) -> dict[str, Any]:
        return {"seconds": self.seconds, "errors": list(self.errors)}


def draw_job(queue: Queue, rng: random.Random, broken: str | None = None) -> NewJob:
    """A job as they come in real life; with `broken`, every attempt ends with that message."""
    errors = [
        broken or (rng.choice(queue.errors) if rng.random() < queue.error_ratio else None)
        for _ in range(queue.max_attempts)
    ]
    return NewJob(
        queue,
        seconds=round(rng.uniform(*queue.seconds), 3),
        errors=errors,
        max_attempts=queue.max_attempts,
        delay=rng.uniform(5, 40) if rng.random() < 0.04 else 0.0,
    )
