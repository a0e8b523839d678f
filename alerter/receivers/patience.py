"""A time limit for a whole answer. A socket's own is for each piece of it: who drips would keep a receiver for ever."""

from __future__ import annotations

import http.client
import io
import smtplib
import socket
import time
from typing import Any

import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection


class _Limited(io.RawIOBase):
    """What comes from a socket until the time is up; TimeoutError then."""

    def __init__(self, pieces: Any, connection: socket.socket, seconds: float | None) -> None:
        super().__init__()
        self._pieces, self._connection, self._seconds = pieces, connection, seconds
        self._ends = 0.0
        self.begin()

    def begin(self) -> None:
        """An answer is awaited: its time runs from now."""
        self._ends = time.monotonic() + (self._seconds or 0.0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._seconds is not None:
            left = self._ends - time.monotonic()
            if left <= 0:
                raise TimeoutError("timed out")
            self._connection.settimeout(left)
        read: int | None = self._pieces.readinto(buffer)
        self._connection.settimeout(self._seconds)
        return read

    def close(self) -> None:
        self._pieces.close()
        super().close()


class _Answer(http.client.HTTPResponse):
    """Head and body together have the time that the socket has for a piece when they are first asked for."""

    def __init__(self, sock: socket.socket, *given: Any, **options: Any) -> None:
        super().__init__(sock, *given, **options)
        self.fp = io.BufferedReader(_Limited(self.fp.detach(), sock, sock.gettimeout()))


class _Plain(HTTPConnection):
    response_class = _Answer


class _Secure(HTTPSConnection):
    response_class = _Answer


class _PlainPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Plain


class _SecurePool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _Secure


class PatientAdapter(HTTPAdapter):
    """For a session of requests: its `timeout` is for the connection, and again for the whole answer."""

    def init_poolmanager(self, *given: Any, **options: Any) -> None:
        super().init_poolmanager(*given, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _PlainPool, "https": _SecurePool}

    def proxy_manager_for(self, *given: Any, **options: Any) -> Any:
        manager = super().proxy_manager_for(*given, **options)
        manager.pool_classes_by_scheme = {"http": _PlainPool, "https": _SecurePool}
        return manager


class PlainMail(smtplib.SMTP):
    """SMTP, until STARTTLS in the clear; each reply has the connection's time limit, however many lines it has."""

    def getreply(self) -> tuple[int, bytes]:
        """As smtplib has it."""
        _await_reply(self)
        return super().getreply()


class SecureMail(smtplib.SMTP_SSL):
    """SMTP by TLS from the first byte; each reply has the connection's time limit, however many lines it has."""

    def getreply(self) -> tuple[int, bytes]:
        """As smtplib has it."""
        _await_reply(self)
        return super().getreply()


def _await_reply(server: Any) -> None:
    if server.file is None:  # the first one, or the first since TLS
        pieces = server.sock.makefile("rb", 0)
        server.file = io.BufferedReader(_Limited(pieces, server.sock, server.sock.gettimeout()))
    server.file.raw.begin()
