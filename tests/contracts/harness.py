"""What the contract suite of queue sources asks of a queue system: a life for jobs, and the truth about them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import pytest

from tests.support.databases import Database

Job = Any  # whatever the system knows a job by


@dataclass(frozen=True)
class Abilities:
    """What a system's tables can tell; where it is not so, the suite demands that the metric is absent."""

    pauses: bool = False  # a queue can be paused, and a table says so
    delays: bool = True  # a job may be created with a run time in the future
    retries: bool = True  # a failed attempt that will be tried again leaves its trace
    fails: bool = True  # a job that failed for good leaves its trace, other than one that completed
    times: bool = True  # a row tells when its last attempt started and ended: durations, waits, last end
    marks_active: bool = True  # a running job's row tells when it was started
    late: bool = True  # an end that commits late is counted
    deletes: bool = True  # an ended job's row may be deleted; counted it stays
    flat: tuple[str, ...] = ("changes", "counts")  # samplers whose cost does not grow with ended rows


class Harness(Protocol):
    """One queue system in a fresh database. Every method has committed when it returns."""

    database: Database
    abilities: Abilities

    def source(self) -> dict[str, Any]:
        """An entry of `queues`, but for its name, as a role that may only read (and has pg_monitor)."""

    def create(self, *queues: str) -> None:
        """Make queues known, as the system does it."""

    def add(self, queue: str, count: int = 1, *, delay: float = 0) -> list[Job]:
        """New jobs; ready in `delay` seconds."""

    def start(self, queue: str, count: int = 1) -> list[Job]:
        """Start attempts of that many ready jobs, the oldest first."""

    def finish(self, queue: str, jobs: Sequence[Job]) -> None:
        """Running jobs complete."""

    def fail(self, queue: str, jobs: Sequence[Job], *, again: bool) -> None:
        """The attempts of running jobs fail with a `TypeError`; with `again` the jobs are ready anew at once."""

    def finish_late(self, queue: str, jobs: Sequence[Job]) -> AbstractContextManager[None]:
        """Running jobs complete in a transaction that writes when the block is entered and commits behind it."""

    def delete(self, queue: str, jobs: Sequence[Job]) -> None:
        """Rows of ended jobs go, as by the system's own tidying."""

    def pause(self, queue: str, paused: bool) -> None:
        """Pause or resume a queue; only asked for if `abilities.pauses`."""

    def ruin(self, queue: str) -> None:
        """Do the worst to one queue that befalls one: its table dropped, its row gone, nonsense in its jobs."""

    def fill(self, queue: str, ended: int) -> None:
        """That many more jobs which ended long ago; the tables are vacuumed and analysed afterwards."""

    def oldest_ready(self, queue: str) -> float:
        """Since when the oldest ready job waits: epoch seconds."""

    def oldest_started(self, queue: str) -> float:
        """When the longest-running job started: epoch seconds."""


# A harness for one test, ended with the block; servers by the fixtures of tests/conftest.py.
Maker = Callable[[pytest.FixtureRequest], AbstractContextManager[Harness]]
