"""What is to be asked and when: spaced for all lists together and for each, slow lists in nobody's way."""

from __future__ import annotations

import heapq
import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from chassis.clock import Clock
from exporter.reputation.names import Ip


class Task(NamedTuple):
    """One question: `test` or `control` for a list's test entries, `look` for an address, `reason` for its text."""

    kind: str
    blocklist: str
    ip: Ip


@dataclass
class _Lane:
    """One list: its questions by the moment from which they may be asked."""

    spacing: float  # seconds between its questions
    tasks: list[tuple[float, int, Task]] = field(default_factory=list)  # a heap
    free_at: float = -math.inf
    asked_at: float = -math.inf
    open: int = 0  # questions without an answer yet


class Agenda:
    """Hands out tasks to several threads. Moments are monotonic seconds.

    `spacing` is the time between any two questions in seconds, `lanes` that between two to one list. At most
    `most_open` questions to one list are under way.
    """

    def __init__(self, spacing: float, lanes: Mapping[str, float], most_open: int, clock: Clock) -> None:
        self._spacing = spacing
        self._most_open = most_open
        self._clock = clock
        self._lanes = {name: _Lane(each) for name, each in lanes.items()}
        self._count = 0
        self._free_at = -math.inf
        self._wakes_at = math.inf  # when the waiting thread looks again by itself
        self._stopped = False
        self._ends = False
        self._until = math.inf
        self._turn = threading.Lock()  # one thread waits for the clock, the others for it
        self._changed = threading.Condition()

    def add(self, task: Task, due: float, *, first: bool = False) -> None:
        """Ask at `due` at the earliest; `first`: before all others that are due."""
        with self._changed:
            self._count += 1
            entry = (-math.inf if first else due, self._count, task)
            heapq.heappush(self._lanes[task.blocklist].tasks, entry)
            if entry[0] < self._wakes_at:
                self._changed.notify_all()

    def withdraw(self, blocklist: str, kind: str, version: int) -> list[Task]:
        """Take back tasks of a kind for addresses of an IP version; answers them."""
        with self._changed:
            lane = self._lanes[blocklist]
            gone = [e for e in lane.tasks if e[2].kind == kind and e[2].ip.version == version]
            lane.tasks = [e for e in lane.tasks if e not in gone]
            heapq.heapify(lane.tasks)
            self._changed.notify_all()
            return [task for _, _, task in gone]

    def end_when_done(self, until: float) -> None:
        """From now on `take` answers None once all tasks are done, or at the moment `until`."""
        with self._changed:
            self._ends, self._until = True, until
            self._changed.notify_all()

    def stop(self) -> None:
        """`take` answers None from now on."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def take(self) -> Task | None:
        """The next task, when it may be asked; None when there will be none. `done` has to follow."""
        with self._turn, self._changed:
            while True:
                now = self._clock.monotonic()
                if self._stopped or now >= self._until or (self._ends and self._over()):
                    return None
                lane, moment = self._next(now)
                if lane is not None and moment <= now:
                    task = heapq.heappop(lane.tasks)[2]
                    lane.open += 1
                    lane.asked_at = now
                    self._free_at = now + self._spacing
                    lane.free_at = now + lane.spacing
                    return task
                self._wakes_at = min(moment, self._until)
                wait = self._wakes_at - now
                self._changed.wait(None if wait == math.inf else max(wait, 0.0))

    def ready(self) -> float | None:
        """The moment from which the next task may be asked; None: there is none that could be."""
        with self._changed:
            lane, moment = self._next(self._clock.monotonic())
            return None if lane is None else moment

    def done(self, task: Task) -> None:
        """The question was answered, or given up."""
        with self._changed:
            lane = self._lanes[task.blocklist]
            lane.open -= 1
            # Whoever waits is woken for nothing otherwise, at each answer.
            if self._ends or lane.open == self._most_open - 1:
                self._changed.notify_all()

    def _over(self) -> bool:
        return all(not lane.tasks and not lane.open for lane in self._lanes.values())

    def _next(self, now: float) -> tuple[_Lane | None, float]:
        """The list whose turn it is and the moment from which it may be asked; the longest unasked one of those due."""
        best: _Lane | None = None
        rank = (math.inf, math.inf)
        for lane in self._lanes.values():
            if not lane.tasks or lane.open >= self._most_open:
                continue
            moment = max(lane.tasks[0][0], lane.free_at, self._free_at)
            mine = (max(moment, now), lane.asked_at)
            if mine < rank:
                best, rank = lane, mine
        return best, rank[0]
