"""A connection under a deadline that holds for all of it: also where a server sends one byte a second.

Libraries for HTTP, SMTP and Redis limit each read of a socket, so that a server that drips keeps them for ever.
Here every read and write gets what is left until the deadline.
"""

from __future__ import annotations

import io
import socket
import ssl
from typing import Any

from chassis.clock import Clock
from exporter.services.failure import Fault, ProbeFailed

CHUNK = 16_384


class Deadline:
    """A moment by which something has to be done. `left` is seconds, `need` the same if there are any."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._end = clock.monotonic() + seconds

    @property
    def left(self) -> float:
        return max(0.0, self._end - self._clock.monotonic())

    def need(self) -> float:
        """Seconds left; raises TimeoutError if there are none."""
        left = self._end - self._clock.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def part(self, seconds: float) -> Deadline:
        """Another one, at most `seconds` from now and not behind this one."""
        return Deadline(self._clock, min(seconds, self.left))


class Channel:
    """An open connection. Everything raises TimeoutError at the deadline, other OSErrors as sockets do."""

    def __init__(self, sock: socket.socket, deadline: Deadline, clock: Clock) -> None:
        self._sock = sock
        self._clock = clock
        self._rest = b""  # received behind the line that was asked for
        self.deadline = deadline
        self.answered_at: float | None = None  # monotonic moment of the first byte since it was last set to None

    @property
    def local_host(self) -> str:
        """Our own address as the other side sees it."""
        name = self._sock.getsockname()
        return str(name[0]) if isinstance(name, tuple) else "localhost"

    def send(self, data: bytes) -> None:
        """All of it."""
        view = memoryview(data)
        while view:
            self._sock.settimeout(self.deadline.need())
            view = view[self._sock.send(view) :]

    def receive_into(self, buffer: Any) -> int:
        """The next bytes; 0 at the end."""
        self._sock.settimeout(self.deadline.need())
        count = self._sock.recv_into(buffer)
        if count and self.answered_at is None:
            self.answered_at = self._clock.monotonic()
        return count

    def receive(self) -> bytes:
        """The next bytes, as many as are there; none at the end."""
        if self._rest:
            data, self._rest = self._rest, b""
            return data
        self._sock.settimeout(self.deadline.need())
        data = self._sock.recv(CHUNK)
        if data and self.answered_at is None:
            self.answered_at = self._clock.monotonic()
        return data

    def line(self, limit: int = 4_096) -> bytes:
        """The next line without its end. Raises ProbeFailed if it is longer than `limit` bytes, or cut short."""
        data = b""
        while True:
            head, end, tail = data.partition(b"\n")
            if end and len(head) <= limit:
                self._rest = tail
                return head.rstrip(b"\r")
            if len(data) > limit:
                raise ProbeFailed(Fault.PROTOCOL, f"a line of more than {limit} bytes")
            more = self.receive()
            if not more:
                raise ProbeFailed(Fault.PROTOCOL, "the server ended the connection")
            data += more

    def makefile(self, *_mode: Any, **_more: Any) -> io.BufferedReader:
        """What http.client reads a response from."""
        return io.BufferedReader(_Reading(self), CHUNK)

    def start_tls(self, context: ssl.SSLContext, name: str) -> bytes:
        """Encrypt from now on; answers the server's certificate (DER). `name`: whom it has to be for."""
        if self._rest:
            # It came in the clear, and would be taken for encrypted (CVE-2011-0411).
            raise ProbeFailed(Fault.PROTOCOL, "the server went on in the clear where TLS should begin")
        self._sock.settimeout(self.deadline.need())
        try:
            secured = context.wrap_socket(self._sock, server_hostname=name, do_handshake_on_connect=False)
            self._sock = secured
            secured.do_handshake()
        except ssl.SSLError:  # which may be a ValueError too
            raise
        except ConnectionError as error:
            raise ProbeFailed(Fault.TLS, "the server ended the connection in the handshake") from error
        except ValueError as error:  # of a name that can stand in no certificate
            raise ProbeFailed(Fault.TLS, "the server's name can stand in no certificate") from error
        return secured.getpeercert(binary_form=True) or b""

    def close(self) -> None:
        """At once, without a word."""
        self._sock.close()


class _Reading(io.RawIOBase):
    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._channel.receive_into(buffer)
