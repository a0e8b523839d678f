"""Waiting for a condition instead of for time."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(check: Callable[[], T], within: float = 10.0, every: float = 0.05) -> T:
    """The first truthy answer of `check`, or None of a check that only asserts and stops failing.

    An AssertionError of the check counts as "not yet"; the last one is raised when `within` seconds are over.
    Any other exception is a mistake in the test and raised at once.
    """
    until = time.monotonic() + within
    pause = threading.Event()
    while True:
        problem: AssertionError | None = None
        answer: T | None = None
        try:
            answer = check()
        except AssertionError as error:
            problem = error
        if problem is None and (answer is None or answer):
            return answer  # type: ignore[return-value] # None is what an asserting check answers
        if time.monotonic() > until:
            name = getattr(check, "__name__", repr(check))
            why = f": {problem}" if problem else f", last answer: {answer!r}"
            raise AssertionError(f"{name} was not true within {within} s{why}") from problem
        pause.wait(every)
