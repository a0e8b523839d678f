"""When each target is probed, and by which thread: one dispatcher, one crew.

A thousand targets at their own intervals need no timer each. The dispatcher keeps them by their next moment and
hands over who is due. Whoever kept a thread for long the last time is told to be patient, and who does so now is
counted as such while it does: targets that hang wait for each other, and not the others for them.
"""

from __future__ import annotations

import heapq
import random
import threading
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from chassis.clock import Clock
from chassis.log import get_logger
from exporter.services.crew import HANGS, Crew
from exporter.services.target import Target

log = get_logger(__name__)

MOST_THREADS = 64  # and as many again for targets that hang
START_GAP = 0.015  # seconds between first probes, so that a thousand are not all due in one moment


@dataclass
class Slot:
    """A target's place in the schedule. Moments are monotonic seconds."""

    target: Target
    due: float = 0.0
    busy: bool = False
    slow: bool = False


class Schedule:
    """Probes targets from `start` to `stop`. `look` probes one and answers the seconds it took."""

    def __init__(self, targets: Sequence[Target], look: Callable[[Target], float], clock: Clock) -> None:
        self.slots = [Slot(target) for target in targets]
        self._look = look
        self._clock = clock
        self._rng = random.Random()
        self._crew = Crew("probe", MOST_THREADS, clock)
        self._wake = threading.Condition()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._late = 0.0
        self.defect = ""  # what a probe raised last that is no fault of its target's

    def start(self, due: dict[str, float]) -> None:
        """Begin. `due`: moments at which known targets (by name) come next; the others are spread from now on."""
        now = self._clock.monotonic()
        fresh = [slot for slot in self.slots if slot.target.name not in due]
        self._rng.shuffle(fresh)
        for position, slot in enumerate(fresh):
            # Over the interval at most: then the spread is even, and stays.
            slot.due = now + min(START_GAP, slot.target.interval / len(fresh)) * position
        for slot in self.slots:
            if slot.target.name in due:
                slot.due = min(max(due[slot.target.name], now), now + slot.target.interval)
        self._thread = threading.Thread(target=self._dispatch, name="services", daemon=True)
        self._thread.start()

    @property
    def started(self) -> bool:
        return self._thread is not None

    @property
    def alive(self) -> bool:
        """Whether it goes on as it should."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def threads(self) -> int:
        """How many probe now, or wait for work."""
        return self._crew.threads

    def due(self) -> dict[str, float]:
        """By name, when each target comes next."""
        return {slot.target.name: slot.due for slot in self.slots} if self.started else {}

    def latest(self) -> float:
        """Seconds by which the latest probe of a prompt target came late since this was last asked."""
        with self._wake:
            late, self._late = self._late, 0.0
        return late

    def stop(self, timeout: float) -> None:
        """Start no further probe. Those under way end by their own limits, and nothing waits for them."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        self._crew.stop()
        if self._thread:
            self._thread.join(timeout)

    def all_now(self, timeout: float) -> bool:
        """Probe every target once, at the same time as far as threads go; whether that was done in `timeout` s."""
        left = len(self.slots)
        done = threading.Condition()

        def look(slot: Slot) -> None:
            nonlocal left
            self._probe(slot)
            with done:
                left -= 1
                done.notify()

        for slot in self.slots:
            self._crew.submit(partial(look, slot))
        with done:
            return done.wait_for(lambda: left == 0, timeout)

    def _dispatch(self) -> None:
        heap = [(slot.due, position) for position, slot in enumerate(self.slots)]
        heapq.heapify(heap)
        while heap:
            with self._wake:
                while not self._stopping and (wait := heap[0][0] - self._clock.monotonic()) > 0:
                    self._wake.wait(wait)
                if self._stopping:
                    return
            due, position = heap[0]
            slot = self.slots[position]
            now = self._clock.monotonic()
            # At fixed moments, whatever a probe takes; after a pause of the whole machine not all that was missed.
            slot.due = (due if now - due <= slot.target.interval else now) + slot.target.interval
            heapq.heapreplace(heap, (slot.due, position))
            if slot.busy:
                continue  # longer than its interval: the next one comes at its own time
            slot.busy = True
            self._crew.submit(partial(self._turn, slot, due), patient=slot.slow)

    def _turn(self, slot: Slot, due: float) -> None:
        if not slot.slow:
            late = self._clock.monotonic() - due
            with self._wake:
                self._late = max(self._late, late)
        self._probe(slot)
        slot.busy = False

    def _probe(self, slot: Slot) -> None:
        try:
            slot.slow = self._look(slot.target) >= HANGS
        except Exception as error:  # a defect, or a limit of this machine: told by the sampler, never a reason to end
            # What another library says may quote an address with its password; the system's words do not.
            words = error.strerror if isinstance(error, OSError) else None
            self.defect = f"{slot.target.name}: {words or type(error).__name__}"
            log.debug("probe_defect", target=slot.target.name, stack=traceback.format_exc())
