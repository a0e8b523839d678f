"""The alerter, which kills itself by SIGKILL right before or after its Nth commit: `crashing.py N before|after …`."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.engine import Connection

from alerter.__main__ import main
from alerter.store.engine import Store


def arm(number: int, moment: str) -> None:
    """From now on commits are counted."""
    count, lock = 0, threading.Lock()
    write = Store.write

    def here(when: str) -> None:
        nonlocal count
        with lock:
            count += when == "before"
            if count == number and when == moment:
                os.kill(os.getpid(), signal.SIGKILL)

    @contextmanager
    def counted(store: Store) -> Iterator[Connection]:
        with write(store) as connection:
            yield connection
            here("before")
        here("after")

    Store.write = counted  # type: ignore[method-assign, assignment]  # that is the point


if __name__ == "__main__":
    arm(int(sys.argv[1]), sys.argv[2])
    sys.exit(main(sys.argv[3:]))
