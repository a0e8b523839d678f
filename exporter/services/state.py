"""Whether a service is healthy, degraded or down: decided by what probes found, with hysteresis."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

WINDOW = 20  # probes that the share of errors is taken of


class State(StrEnum):
    """How a service stands."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    DOWN = "down"


@dataclass(frozen=True)
class Rules:
    """When a service changes its state. None: never for that reason."""

    degraded_after: float | None = None  # seconds of a probe
    error_limit: float = 0.1  # failures among the last WINDOW probes, as a ratio of WINDOW
    down_after: int = 3  # failures in a row
    recover_after: int = 2  # successes in a row
    backlog: int | None = None  # jobs


@dataclass(frozen=True)
class Seen:
    """What one probe found. `failure` in words, empty for none; `backlog` None: not known."""

    seconds: float
    failure: str = ""
    backlog: int | None = None


@dataclass(frozen=True)
class Standing:
    """A state, since when (epoch seconds) and because of what, and what the next decision goes by."""

    state: State | None = None  # None: not probed yet
    since: float = 0.0
    because: str = ""
    failures: int = 0  # in a row
    successes: int = 0  # in a row
    well: int = 0  # successes in a row without anything that degrades
    recent: tuple[bool, ...] = ()  # of the last WINDOW probes, whether each failed


def decide(before: Standing, seen: Seen, rules: Rules, now: float) -> Standing:
    """How a service stands after one more probe.

    Down after `down_after` failures in a row, until `recover_after` successes in a row; fewer failures leave a
    state as it is, but a service that was never seen well starts as degraded. Degraded at once by a slow
    answer, a backlog or too many failures lately, until `recover_after` probes in a row met none of that.
    """
    failed = bool(seen.failure)
    recent = (*before.recent, failed)[-WINDOW:]
    failures = before.failures + 1 if failed else 0
    successes = 0 if failed else before.successes + 1
    ended = before.state is State.DOWN and successes >= rules.recover_after
    if ended:
        recent = recent[-successes:]  # what is over counts no more
    trouble = _trouble(seen, recent, rules)
    well = 0 if failed or trouble else before.well + 1

    state, because = before.state, before.because
    if failures >= rules.down_after:
        state, because = State.DOWN, seen.failure
    elif before.state is State.DOWN and not ended:
        pass
    elif trouble:
        state, because = State.DEGRADED, trouble
    elif failed:
        if before.state is None:
            state, because = State.DEGRADED, seen.failure
    elif before.state is not State.DEGRADED or well >= rules.recover_after:
        state, because = State.HEALTHY, ""
    since = before.since if state is before.state else now
    return Standing(state, since, because, failures, successes, well, recent)


def _trouble(seen: Seen, recent: tuple[bool, ...], rules: Rules) -> str:
    """What makes a service degraded now, or nothing."""
    if not seen.failure and rules.degraded_after is not None and seen.seconds > rules.degraded_after:
        return f"took {seen.seconds * 1000:.0f} ms, more than {rules.degraded_after * 1000:g} ms"
    if rules.backlog is not None and seen.backlog is not None and seen.backlog > rules.backlog:
        return f"{seen.backlog:,} jobs wait for it, more than {rules.backlog:,}"
    if sum(recent) / WINDOW > rules.error_limit:
        return f"{sum(recent)} of the last {WINDOW} probes failed"
    return ""
