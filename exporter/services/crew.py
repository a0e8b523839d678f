"""Threads that are made when there is work for them, up to a bound."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable


class Crew:
    """Runs tasks in order of their coming. Its threads never keep the process from ending.

    A ThreadPoolExecutor would: it waits for its threads at exit, and one may be in a probe of minutes.
    """

    def __init__(self, name: str, most: int) -> None:
        self._name = name
        self._most = most
        self._tasks: deque[Callable[[], None]] = deque()
        self._work = threading.Condition()
        self._threads = 0
        self._idle = 0
        self._stopping = False

    @property
    def threads(self) -> int:
        """How many there are now."""
        return self._threads

    def submit(self, task: Callable[[], None]) -> None:
        """Have it done; it must not raise. Dropped once the crew is stopped."""
        with self._work:
            if self._stopping:
                return
            self._tasks.append(task)
            if self._idle >= len(self._tasks):
                self._work.notify()
            elif self._threads < self._most:
                self._threads += 1
                threading.Thread(target=self._run, name=f"{self._name}-{self._threads}", daemon=True).start()

    def stop(self) -> None:
        """Begin no further task; threads end with what they are at."""
        with self._work:
            self._stopping = True
            self._tasks.clear()
            self._work.notify_all()

    def _run(self) -> None:
        while True:
            with self._work:
                while not self._tasks:
                    if self._stopping:
                        self._threads -= 1
                        return
                    self._idle += 1
                    self._work.wait()
                    self._idle -= 1
                task = self._tasks.popleft()
            task()
