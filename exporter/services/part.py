"""All services of a configuration as one part: probed by threads of its own, accounted for by one sampler."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import ceil

from chassis.clock import Clock
from chassis.exposition import Reading
from chassis.units import format_age
from exporter.model import Reason, Remark, SampleFailed
from exporter.parts import Level, Line, Part, PartContext, Table
from exporter.sampling.sampler import Run, Sampler
from exporter.services.attempt import Tools
from exporter.services.schedule import MOST_THREADS, Schedule
from exporter.services.state import State
from exporter.services.target import Target

NAME = "services"
LEVELS = {State.HEALTHY: Level.GOOD, State.DEGRADED: Level.WARNING, State.DOWN: Level.BAD}
COLUMNS = ("service", "kind", "#response", "#since", "#certificate", "what is wrong")
LONGEST = 100  # characters of what is wrong, in a table
DAY = 86_400.0
GRACE = 1.0  # seconds beside the probes' own limits


@dataclass
class Probing:
    """The sampler. Once the part has started, its runs only tell whether the probes are made, and in time."""

    schedule: Schedule
    tools: Tools
    labels: dict[str, str]
    interval: float
    timeout: float
    stale_after: float
    kind: str = NAME
    source: str = ""
    account: str = field(default="", init=False)

    def sample(self, run: Run) -> None:
        """Probes everything if nothing else does. Raises SampleFailed, but not because a target is down."""
        if not self.schedule.started:
            if not self.schedule.all_now(run.left):
                raise SampleFailed(Reason.TIMEOUT, f"not every service was probed within {run.limit:g} s")
        elif not self.schedule.alive:
            raise SampleFailed(Reason.INTERNAL, "the thread that hands out probes has ended", "please report it")
        defect, self.schedule.defect = self.schedule.defect, ""
        if defect:
            raise SampleFailed(
                Reason.INTERNAL, f"a probe could not be made: {defect}", "look at limits of open files and memory"
            )
        late = self.schedule.latest()
        if late > self.interval:
            raise SampleFailed(
                Reason.OVERLOADED, f"a probe came {late:.1f} s late", "give the exporter more processor time"
            )


class Services:
    """The part."""

    name = NAME

    def __init__(self, targets: list[Target], tools: Tools, context: PartContext) -> None:
        self.targets = targets
        self._tools = tools
        self._context = context
        self._clock: Clock = context.clock
        self.schedule = Schedule(targets, lambda target: target.look(tools, context.board), context.clock)
        self._due: dict[str, float] = {}

    def samplers(self) -> list[Sampler]:
        batches = ceil(len(self.targets) / MOST_THREADS)
        interval = min(target.interval for target in self.targets)
        return [
            Probing(
                self.schedule,
                self._tools,
                dict(self._context.labels),
                interval,
                batches * max(target.limit for target in self.targets) + GRACE,
                self._context.stale_after,
            )
        ]

    def start(self) -> None:
        for target in self.targets:
            target.publish(self._context.board)
        self.schedule.start(self._due)

    def stop(self, timeout: float) -> None:
        for target in self.targets:
            target.retire()
        self.schedule.stop(timeout)
        self._tools.resolver.stop()

    def continue_from(self, before: Part) -> None:
        if not isinstance(before, Services):
            return
        self._due = before.schedule.due()
        known = {target.name: target for target in before.targets}
        for target in self.targets:
            old = known.pop(target.name, None)
            if old and old.kind == target.kind:
                target.take_over(old)
        for old in known.values():
            self._context.board.withdraw(old.owner)

    def settings(self) -> Iterator[Reading]:
        return iter(())

    def table(self) -> Table:
        now = self._clock.now()
        return Table("Services", COLUMNS, tuple(_line(target, now) for target in self.targets)).worst_first()

    def check(self, run: Run) -> list[Remark]:
        """Probes everything; a service that is not as expected is a remark, since it may be mended by tomorrow."""
        whole = self.schedule.all_now(run.left)
        remarks = [
            Remark(target.name, f"{target.name} ({target.kind}): {target.last.failure.fault}: {target.last.failure}")
            for target in self.targets
            if target.last and target.last.failure
        ]
        if not whole:
            remarks.append(Remark(NAME, f"not every service answered within {run.limit:g} s"))
        return remarks


def _line(target: Target, now: float) -> Line:
    last, standing = target.last, target.standing
    if last is None or standing.state is None:
        return Line((target.name, target.kind, "–", "–", "–", ""), "unknown", Level.UNKNOWN)
    word, level = standing.state.value, LEVELS[standing.state]
    wrong = standing.because
    if last.failure:
        wrong = f"{last.failure.fault}: {last.failure}"
        if standing.state is not State.DOWN:
            word, level = "failing", Level.BAD
    certificate = "–" if last.certificate_expiry is None else f"{(last.certificate_expiry - now) / DAY:.0f} d"
    cells = (
        target.name,
        target.kind,
        f"{last.seconds * 1000:,.1f} ms",
        format_age(max(now - standing.since, 0.0)),
        certificate,
        wrong if len(wrong) <= LONGEST else wrong[: LONGEST - 1] + "…",
    )
    return Line(cells, word, level)
