"""What is served of a queue, in a form to compare."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.exporter import Exporter
from tests.support.samples import Samples

OUTCOMES = ("completed", "failed", "cancelled", "expired")

Watch = Callable[..., Exporter]


def value(samples: Samples, metric: str, name: str, **labels: str) -> float | None:
    return samples.get(f"postwatch_queue_{metric}", queue=name, priority="normal", **labels)


def states(samples: Samples, name: str) -> tuple[float | None, ...]:
    """Depth, scheduled, waiting, active."""
    jobs = (value(samples, "jobs", name, state=state) for state in ("scheduled", "waiting", "active"))
    return (value(samples, "depth", name), *jobs)


def flow(samples: Samples, name: str) -> tuple[float | None, ...]:
    """Enqueued, completed, failed, cancelled, retried."""
    ended = (value(samples, "jobs_finished_total", name, outcome=outcome) for outcome in OUTCOMES[:3])
    assert value(samples, "jobs_finished_total", name, outcome="expired") == 0
    return (value(samples, "jobs_enqueued_total", name), *ended, value(samples, "job_retries_total", name))
