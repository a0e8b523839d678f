"""Probes under test: options as in a file, one probe at a time, and targets without threads."""

from typing import Any

import yaml

from chassis.board import Board
from chassis.clock import Clock, SystemClock
from chassis.exposition import Format
from chassis.settings import parse
from exporter.catalogue.services import SERVICES
from exporter.parts import PartContext
from exporter.services import Section, build, kind_of
from exporter.services.attempt import Result, Tools, attempt
from exporter.services.options import ServiceOptions
from exporter.services.part import Services
from tests.support.samples import Samples

LIMIT = 2.0  # seconds of a probe that is to succeed, or to fail by itself


def section(*services: dict[str, Any]) -> Section:
    """The configuration of services, as read from a file."""
    return parse(yaml.safe_dump({"services": list(services)}), Section, {})


def options(**given: Any) -> ServiceOptions:
    """One service's options."""
    (one,) = section({"name": "it", **given}).services
    assert isinstance(one, ServiceOptions)
    return one


def probe(limit: float = LIMIT, **given: Any) -> Result:
    """What one probe finds."""
    one = options(**given)
    tools = Tools(SystemClock())
    try:
        return attempt(kind_of(one).prepare(one, tools), tools, limit)
    finally:
        tools.resolver.stop()


def fault(limit: float = LIMIT, **given: Any) -> str | None:
    """The reason that one probe fails for; None if it does not."""
    result = probe(limit, **given)
    return result.failure.fault.value if result.failure else None


class Watched:
    """All services of a configuration as one part, without a daemon around it."""

    def __init__(self, *services: dict[str, Any], clock: Clock | None = None, depth: int | None = None) -> None:
        self.clock = clock or SystemClock()
        self.board = Board([metric.family for metric in SERVICES], self.clock)
        self.depth: int | None = depth
        context = PartContext(
            clock=self.clock, board=self.board, interval=5.0, timeout=3.0, stale_after=30.0, budget=0.005,
            labels={}, database=_none, store=_none, depth=lambda _source, _patterns: self.depth,
        )  # fmt: skip
        (part,) = build(section(*services), context)
        assert isinstance(part, Services)
        self.part = part

    def __enter__(self) -> "Watched":
        return self

    def __exit__(self, *_exception: object) -> None:
        self.part.stop(5.0)

    def look(self, times: int = 1) -> Samples:
        """Probes all of them so often, one after the other; then what is served."""
        for _ in range(times):
            assert self.part.schedule.all_now(30)
        return self.samples()

    def samples(self) -> Samples:
        """What is served."""
        return Samples(self.text())

    def text(self) -> str:
        """The same, as text."""
        return self.board.body(Format.TEXT).decode()

    def state(self, target: str) -> str | None:
        """The state of a service, by its series."""
        states = self.samples().by("state", "postwatch_service_state", target=target)
        assert set(states) == {"healthy", "degraded", "down"}
        now = [state for state, value in states.items() if value]
        assert len(now) <= 1
        return now[0] if now else None


def _none(*_arguments: Any) -> Any:
    raise AssertionError("services use no shared connections")
