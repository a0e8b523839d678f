"""Every end is counted once: `World` lives at random, the exporter reads it, and both books are compared."""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from exporter.queues.reading import by_time
from tests.unit.exporter.world import Watcher, World

PHASES = (Phase.explicit, Phase.reuse, Phase.generate)  # a seed has no simpler one
LENGTHS = (0.01, 0.2, 1.0, 3.0, 8.0, 30.0, 120.0)
STEPS = (0.3, 2.0, 10.0, 100.0, 1000.0, 3600.0)
# What leaves each end in its row, so that one may be read late; and what does not.
LASTING = ("create",) * 3 + ("finish",) * 5 + ("retry", "touch")
FLEETING = ("put back", "delete")


@dataclass(frozen=True)
class Life:
    """What may happen. Seconds; `first_write`: within so much of its begin a transaction writes."""

    span: float = 900.0
    longest: float = 880.0
    first_write: float = 900.0
    actions: tuple[str, ...] = LASTING + FLEETING
    steps: bool = False
    sees_all: bool = True


class Story:
    """One life, told in the order of time."""

    def __init__(self, life: Life, seed: int) -> None:
        self.life = life
        self.rng = random.Random(seed)
        self.world = World()
        self.watcher = Watcher(self.world, sees_all=life.sees_all)
        self._events: list[tuple[float, int, str, Any]] = []
        self._told = 0
        self._plan_transactions()
        self._plan_looks()

    def _add(self, time: float, what: str, subject: Any = None) -> None:
        self._told += 1
        heapq.heappush(self._events, (time, self._told, what, subject))

    def _plan_transactions(self) -> None:
        time = 0.0
        while time < self.life.span:
            time += self.rng.expovariate(1.0)
            choices = (*LENGTHS, self.life.longest)[: self.rng.choice((3, 4, 6, 8))]
            self._add(time, "begin", min(self.rng.choice(choices), self.life.longest) * self.rng.uniform(0.3, 1))

    def _plan_looks(self) -> None:
        time = self.rng.uniform(0, 200)
        stepped_back = False
        while time < self.life.span + 1000:
            self._add(time, "ask")
            time += self.rng.choice((0.0, 0.01, 0.1))
            self._add(time, "look", self.rng.random() < 0.05)
            if self.life.steps and self.rng.random() < 0.02:
                step = self.rng.choice(STEPS) * (1 if stepped_back else self.rng.choice((-1, 1)))
                stepped_back = stepped_back or step < 0
                self._add(time + self.rng.uniform(0.001, 0.9), "step", step)
            time += self.rng.choice((1.0, 5.0, 5.0, 5.0, 5.0, 10.0, 60.0, 200.0)) * self.rng.uniform(0.9, 1.1)

    def tell(self) -> Watcher:
        """Live it to the end, and on until nothing is left unread."""
        while self._events:
            time, _, what, subject = heapq.heappop(self._events)
            self.world.true = time
            self._happen(time, what, subject)
        for _ in range(3000):
            self.world.true += 5
            self.watcher.look()
            if not self.watcher.unread:
                return self.watcher
        raise AssertionError("old stretches are never read to their end")

    def _happen(self, time: float, what: str, subject: Any) -> None:
        match what:
            case "begin":
                self._begin(time, subject)
            case "write":
                self.world.write(subject, self.rng.choice(self.life.actions), self.rng.randrange(1000))
            case "prepare" if self.watcher.first:
                self.world.prepare(subject)
            case "end":
                self.world.end(subject, commit=self.rng.random() < 0.9)
            case "ask":
                self.watcher.ask()
            case "look":
                self.watcher.look(breaks_off=subject)
            case "step":
                self.world.step(subject)

    def _begin(self, time: float, length: float) -> None:
        one = self.world.begin(late=self.rng.random() < 0.5)
        for moment in self._writes(time, length):
            self._add(moment, "write", one)
        if self.life.sees_all and self.rng.random() < 0.05:
            self._add(time + length, "prepare", one)
            length += self.rng.uniform(0, min(100.0, 880.0 - length))
        self._add(time + length, "end", one)

    def _writes(self, time: float, length: float) -> Iterator[float]:
        moment = self.rng.uniform(0, min(length, self.life.first_write))
        for _ in range(self.rng.randint(1, 4)):
            yield time + moment
            moment = self.rng.uniform(moment, length)


def tell(life: Life, seed: int) -> Watcher:
    watcher = Story(life, seed).tell()
    wrong = {what: found for what, found in watcher.verdict().items() if found}
    assert not wrong, f"seed {seed}"
    return watcher


@settings(max_examples=10, deadline=None, phases=PHASES)
@given(seed=st.integers(0, 1 << 32))
def test_whatever_commits_late_or_out_of_order(seed: int) -> None:
    tell(Life(), seed)


def test_the_story_tests_something() -> None:
    watcher = tell(Life(), 1)
    assert sum(watcher.counted.values()) > 500
    assert watcher.history
    assert any(n > 30 for n in watcher.visible.values())


@settings(max_examples=5, deadline=None, phases=PHASES)
@given(seed=st.integers(0, 1 << 32))
def test_old_stretches_read_in_slices(seed: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(by_time, "REREAD_ROWS", 30)
        tell(Life(actions=LASTING), seed)


@settings(max_examples=5, deadline=None, phases=PHASES)
@given(seed=st.integers(0, 1 << 32))
def test_without_the_right_to_see_other_sessions(seed: int) -> None:
    """A start is then guessed from transaction ids, so that 15 minutes are a little less, and old rows come late."""
    tell(Life(longest=600.0, first_write=3.5, actions=LASTING, sees_all=False), seed)


@pytest.mark.parametrize("seed", range(16))
def test_over_steps_of_the_clock(seed: int) -> None:
    """Seeds are fixed: what was written shortly before a step back and is written over after it may fall on a time
    that the clock gives out a second time, and no reader can tell those two."""
    tell(Life(longest=60.0, steps=True), seed)
