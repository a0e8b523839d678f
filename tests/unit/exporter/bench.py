"""Samplers that are run by hand, and what they have published."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client.parser import text_string_to_metric_families as read_text

from chassis.board import Board
from chassis.clock import Clock, ManualClock
from chassis.exposition import Format
from exporter.catalogue import CATALOGUE
from exporter.model import Reason, SampleFailed
from exporter.queues.base import Work
from exporter.sampling.budget import Budget
from exporter.sampling.outcome import Outcome
from exporter.sampling.sampler import Run
from exporter.sampling.scheduler import Sampling

DEPTH = "postwatch_queue_depth"
REFUSED = SampleFailed(Reason.REFUSED, "db:5432: refused", "check the address", about="db:5432")


def nothing(_run: Run) -> None:
    """A run that succeeds."""


def work(do: Callable[[Run], None], kind: str = "counts", interval: float = 5.0, **more: Any) -> Work:
    given: dict[str, Any] = {"source": "mail", "timeout": 3.0, "stale_after": 30.0, "account": "", "labels": {}, **more}
    return Work(kind, interval=interval, work=do, **given)


def new_board(clock: Clock) -> Board:
    return Board([metric.family for metric in CATALOGUE], clock)


def told(board: Board, metric: str) -> dict[tuple[tuple[str, str], ...], float]:
    return {
        tuple(sorted(sample.labels.items())): sample.value
        for family in read_text(board.body(Format.TEXT).decode())
        for sample in family.samples
        if sample.name == metric
    }


@dataclass
class Bench:
    """Samplers that are run by hand, on a clock that stands still."""

    clock: ManualClock
    board: Board
    sampling: Sampling

    @classmethod
    def of(cls, *samplers: Work, ratio: float | None = None, before: Mapping[str, Outcome] | None = None) -> Bench:
        clock = ManualClock()
        board = new_board(clock)
        budgets = {"db": Budget(ratio, clock)} if ratio else {}
        return cls(clock, board, Sampling(samplers, budgets, board, clock, before))

    def of_sampler(self, metric: str, kind: str = "counts") -> float:
        name = f"postwatch_sampler_{metric}"
        (value,) = [v for labels, v in told(self.board, name).items() if ("sampler", kind) in labels]
        return value
