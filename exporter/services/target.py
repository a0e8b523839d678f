"""One service under watch: what its probes found, counted and served."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from chassis.board import Board
from chassis.exposition import Distribution, Reading
from chassis.log import get_logger
from exporter.jobs.histogram import Histogram
from exporter.model import OTHER
from exporter.services.attempt import Probe, Result, Tools, attempt
from exporter.services.failure import Fault
from exporter.services.options import ServiceOptions
from exporter.services.state import Rules, Seen, Standing, State, decide

log = get_logger(__name__)

MOST_CODES = 20  # HTTP status codes a service; what comes later is `_other`


@dataclass
class Tally:
    """All probes so far."""

    times: Histogram
    probes: int = 0
    failures: dict[Fault, int] = field(default_factory=lambda: dict.fromkeys(Fault, 0))
    codes: dict[str, int] = field(default_factory=dict)
    last: Result | None = None
    standing: Standing = field(default_factory=Standing)

    def count(self, result: Result) -> None:
        """Add one."""
        self.probes += 1
        self.times.observe(result.seconds)
        self.last = result
        if result.failure:
            self.failures[result.failure.fault] += 1
        if result.code is not None:
            code = result.code if result.code in self.codes or len(self.codes) < MOST_CODES else OTHER
            self.codes[code] = self.codes.get(code, 0) + 1


class Target:
    """A service, its probe and its tally. `look` runs in any thread, one at a time; all else at any time."""

    def __init__(
        self,
        kind: str,
        options: ServiceOptions,
        probe: Probe,
        *,
        limit: float,
        stale_after: float,
        labels: dict[str, str],
        codes: tuple[str, ...],
        depth: Callable[[], int | None],
    ) -> None:
        """`limit`: seconds of a probe; `codes`: those to be served before they are met; `depth`: of the backlog."""
        self.kind = kind
        self.name = options.name
        self.interval = options.interval
        self.limit = limit
        self._lifetime = max(stale_after, 3 * options.interval + limit)
        self._rules = Rules(
            options.degraded_after,
            options.error_limit,
            options.down_after,
            options.recover_after,
            options.backlog.degraded if options.backlog else None,
        )
        self._probe = probe
        self._depth = depth
        self._lock = threading.Lock()
        self._retired = False
        self._tally = Tally(Histogram(options.buckets), codes=dict.fromkeys(codes, 0))
        # Made once: they are rendered again with each probe.
        self._labels = {**labels, "target": self.name, "kind": kind}
        self._by_fault = {fault: {**self._labels, "reason": fault.value} for fault in Fault}
        self._by_state = {state: {**self._labels, "state": state.value} for state in State}

    @property
    def owner(self) -> str:
        """Of what it publishes; no other's owner starts with it."""
        return f"services: [{self.name}]"

    def look(self, tools: Tools, board: Board) -> float:
        """Probe once, count and publish; answers the seconds it took. Raises only what is a defect of ours."""
        result = attempt(self._probe, tools, self.limit)
        backlog = self._depth()
        with self._lock:
            if self._retired:
                return result.seconds  # what is served is another's by now
            before = self._tally.standing
            seen = Seen(result.seconds, result.failure.message if result.failure else "", backlog)
            self._tally.count(result)
            self._tally.standing = after = decide(before, seen, self._rules, tools.clock.now())
            self._publish(board)
        if after.state is not before.state:
            self._tell(before.state, after)
        return result.seconds

    def publish(self, board: Board) -> None:
        """Serve what is known, so that counters are there before the first probe."""
        with self._lock:
            if not self._retired:
                self._publish(board)

    def retire(self) -> None:
        """Count and publish nothing any more."""
        with self._lock:
            self._retired = True

    def take_over(self, before: Target) -> None:
        """Go on from a retired target: counters never fall, and a state stays until a probe changes it."""
        theirs, mine = before._tally, self._tally
        if theirs.times.bounds == mine.times.bounds:
            mine.times = theirs.times
        mine.probes, mine.failures = theirs.probes, theirs.failures
        mine.codes = {**mine.codes, **theirs.codes}
        mine.last, mine.standing = theirs.last, theirs.standing

    @property
    def last(self) -> Result | None:
        """What the last probe found."""
        return self._tally.last

    @property
    def standing(self) -> Standing:
        """How it stands."""
        return self._tally.standing

    def _publish(self, board: Board) -> None:
        board.publish(self.owner, self._readings(), self._lifetime)

    def _readings(self) -> list[Reading]:
        tally, labels = self._tally, self._labels
        readings = [
            Reading("postwatch_service_response_seconds", labels, Distribution(*tally.times.snapshot())),
            Reading("postwatch_service_probes_total", labels, tally.probes),
        ]
        readings += [
            Reading("postwatch_service_failures_total", self._by_fault[fault], count)
            for fault, count in tally.failures.items()
        ]
        readings += [
            Reading("postwatch_service_state", each, float(state is tally.standing.state))
            for state, each in self._by_state.items()
        ]
        readings += [
            Reading("postwatch_service_http_responses_total", {**labels, "code": code}, count)
            for code, count in tally.codes.items()
        ]
        if last := tally.last:
            readings.append(Reading("postwatch_service_up", labels, float(last.failure is None)))
            readings += [
                Reading("postwatch_service_phase_seconds", {**labels, "phase": phase}, seconds)
                for phase, seconds in last.phases.items()
            ]
            if last.certificate_expiry is not None:
                expiry = Reading(
                    "postwatch_service_certificate_expiry_timestamp_seconds", labels, last.certificate_expiry
                )
                readings.append(expiry)
        return readings

    def _tell(self, before: State | None, after: Standing) -> None:
        if after.state is None or (before is None and after.state is State.HEALTHY):
            return  # that all is well from the start is no news
        tell = log.info if after.state is State.HEALTHY else log.warning
        was = before.value if before else "unknown"
        tell("service_state", target=self.name, kind=self.kind, state=after.state.value, was=was, because=after.because)
