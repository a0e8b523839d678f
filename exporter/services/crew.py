"""Threads that are made when there is work for them, up to a bound; tasks that hang delay no others."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable

from chassis.clock import Clock, SystemClock

HANGS = 1.0  # seconds from which on a task is taken to hang


class Crew:
    """Runs tasks in order of their coming. Its threads never keep the process from ending.

    A ThreadPoolExecutor would: it waits for its threads at exit, and one may be in a probe of minutes.

    `most` tasks run at a time, and beside them those that hang: one that does is not counted among the first any more,
    and another begins in its place. `patient` tasks, which are known to hang, are never counted among the first; they
    begin as long as fewer than `most` hang, so that they wait for each other and nobody for them. There are never more
    than twice `most` threads.
    """

    def __init__(self, name: str, most: int, clock: Clock | None = None) -> None:
        self._name = name
        self._most = most
        self._clock = clock or SystemClock()
        self._prompt: deque[Callable[[], None]] = deque()
        self._patient: deque[Callable[[], None]] = deque()
        lock = threading.Lock()
        self._work = threading.Condition(lock)
        self._tick = threading.Condition(lock)  # for the watch alone: it would take a worker's call otherwise
        self._since: dict[int, float] = {}  # by thread, when its task began (monotonic); a patient one began long ago
        self._threads = 0
        self._watched = False
        self._stopping = False

    @property
    def threads(self) -> int:
        """How many there are now."""
        return self._threads

    def submit(self, task: Callable[[], None], *, patient: bool = False) -> None:
        """Have it done; it must not raise. Dropped once the crew is stopped."""
        with self._work:
            if self._stopping:
                return
            (self._patient if patient else self._prompt).append(task)
            if self._call() and not self._watched:
                self._watched = True
                threading.Thread(target=self._watch, name=f"{self._name}-watch", daemon=True).start()

    def stop(self) -> None:
        """Begin no further task; threads end with what they are at."""
        with self._work:
            self._stopping = True
            self._prompt.clear()
            self._patient.clear()
            self._work.notify_all()
            self._tick.notify_all()

    def _room(self) -> tuple[int, int]:
        """How many more tasks may begin, prompt and patient ones."""
        hanging = sum(since <= self._clock.monotonic() - HANGS for since in self._since.values())
        return self._most - (len(self._since) - hanging), max(self._most - hanging, 0)

    def _call(self) -> bool:
        """Somebody for each task that may begin: who is idle, or a new thread, which is idle until it takes one.

        Answers whether prompt tasks are left that wait until others have ended, or are known to hang. One moment
        decides both: what begins to hang between two would leave a task that nobody is called for, nor watches.
        """
        prompt, patient = self._room()
        able = min(len(self._prompt), prompt) + min(len(self._patient), patient)
        idle = self._threads - len(self._since)
        self._work.notify(able)
        for _ in range(min(able - idle, 2 * self._most - self._threads)):
            self._threads += 1
            threading.Thread(target=self._run, name=f"{self._name}-{self._threads}", daemon=True).start()
        return len(self._prompt) > prompt

    def _take(self) -> Callable[[], None] | None:
        """The next task that may begin, for this thread."""
        prompt, patient = self._room()
        if self._prompt and prompt > 0:
            self._since[threading.get_ident()] = self._clock.monotonic()
            return self._prompt.popleft()
        if self._patient and patient > 0:
            self._since[threading.get_ident()] = -math.inf
            return self._patient.popleft()
        return None

    def _run(self) -> None:
        while True:
            with self._work:
                while (task := self._take()) is None:
                    if self._stopping:
                        self._threads -= 1
                        return
                    self._work.wait()
            task()
            with self._work:
                del self._since[threading.get_ident()]
                self._call()  # there may be room for more than what this thread takes

    def _watch(self) -> None:
        """As long as prompt tasks wait: as soon as one of those before them hangs, begin the next."""
        with self._tick:
            while not self._stopping and self._call():
                now = self._clock.monotonic()
                ages = [now - since for since in self._since.values() if since > now - HANGS]
                self._tick.wait(HANGS - max(ages, default=0.0))
            self._watched = False
