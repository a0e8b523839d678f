"""The alerter, which kills itself by SIGKILL right before or after its Nth commit: `crashing.py N before|after …`."""

import itertools
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.engine import Connection

from alerter.__main__ import main
from alerter.store.engine import Store


def arm(number: int, moment: str) -> None:
    """From now on commits are counted; several may be one for the store."""
    numbers = itertools.count(1)
    write = Store.write

    @contextmanager
    def counted(store: Store) -> Iterator[Connection]:
        with write(store) as connection:
            yield connection
            mine = next(numbers)
            if mine == number and moment == "before":
                os.kill(os.getpid(), signal.SIGKILL)
        if mine == number:
            os.kill(os.getpid(), signal.SIGKILL)

    Store.write = counted  # type: ignore[method-assign, assignment]  # that is the point


if __name__ == "__main__":
    arm(int(sys.argv[1]), sys.argv[2])
    sys.exit(main(sys.argv[3:]))
