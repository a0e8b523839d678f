"""Ends a wait for a server that has fallen silent.

A frozen or half-open server honours no `statement_timeout`. A guard shuts the socket down when the time is
over; the blocked call then fails at once.
"""

from __future__ import annotations

import os
import socket
import threading
from types import TracebackType
from typing import Any

import psycopg


class Guard:
    """Watches over one connection for `seconds`, longer if renewed. `fired` tells whether it had to act."""

    def __init__(self, connection: psycopg.Connection[Any], seconds: float) -> None:
        self._connection = connection
        self._seconds = seconds
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._over = False
        self.fired = False

    def __enter__(self) -> Guard:
        self._arm()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._over = True
            if self._timer:
                self._timer.cancel()

    def renew(self) -> None:
        """Start the time anew: there was progress."""
        with self._lock:
            if self._timer:
                self._timer.cancel()
        self._arm()

    def give_up(self) -> None:
        """End the wait now."""
        self._fire()

    def _arm(self) -> None:
        self._timer = threading.Timer(self._seconds, self._fire)
        self._timer.daemon = True
        self._timer.start()

    def _fire(self) -> None:
        # Under the lock: once the block has ended, the descriptor may belong to someone else.
        with self._lock:
            if self._over or self._connection.closed:
                return
            self.fired = True
            with socket.socket(fileno=os.dup(self._connection.pgconn.socket)) as duplicate:
                duplicate.shutdown(socket.SHUT_RDWR)
