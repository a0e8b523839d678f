"""A DNS question under way, to one resolver or several: by UDP, by TCP where an answer was cut short.

Each goes from a port of its own, with a number of its own (RFC 5452), by a connected socket: a resolver that is not
there is known at once.
"""

from __future__ import annotations

import secrets
import selectors
import socket
import struct
from ipaddress import ip_address
from types import TracebackType
from typing import Self

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdataclass
import dns.rdatatype

from chassis.clock import Clock
from exporter.model import Reason
from exporter.reputation.options import Resolver
from exporter.reputation.verdict import Response

ANSWERS = ("NOERROR", "NXDOMAIN")
LARGEST = 65_535  # bytes of a datagram
HEADER = 12  # bytes before the question (RFC 1035, section 4.1.1)
RESPONSE = 0x80  # of the third byte
RCODE = 0x0F  # of the fourth
ASK = struct.pack("!5H", 0x0100, 1, 0, 0, 0)  # recursion is wanted; one question, nothing else
LEAST = 0.05  # seconds that TCP is given, however late the datagram came


class Question:
    """One name and type. `failed` has those who did not answer it, `said` what one of them said instead."""

    def __init__(self, name: str, kind: str, until: float, clock: Clock) -> None:
        """`until` is a monotonic moment."""
        self._name, self._kind = name, kind
        # Made by ourselves: by way of dnspython's objects it is a third of the work of a question.
        self._wire = secrets.token_bytes(2) + wire(name, kind)
        self._until = until
        self._clock = clock
        self._selector = selectors.PollSelector()
        self._open: dict[Resolver, socket.socket] = {}
        self.failed: dict[Resolver, Reason] = {}
        self.said: Response | None = None
        self.answerer: Resolver | None = None  # who gave `said`, where that is an answer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in list(self._open):
            self._close(server)
        self._selector.close()

    @property
    def waiting(self) -> list[Resolver]:
        """Who was asked and has said nothing yet."""
        return list(self._open)

    def put(self, server: Resolver) -> None:
        """Ask a resolver, or ask it again: the datagram may have been lost."""
        try:
            channel = self._open.get(server) or self._connect(server)
            channel.send(self._wire)
        except socket.gaierror:
            self._fail(server, Reason.RESOLVE)
        except OSError:
            self._fail(server, Reason.REFUSED)

    def hear(self, until: float) -> bool:
        """Wait for an answer until that moment; False also as soon as somebody has failed."""
        while self._open and (left := until - self._clock.monotonic()) > 0:
            for key, _ in self._selector.select(left):
                server: Resolver = key.data
                response = self._take(server)
                if server in self.failed:
                    return False
                if response is None:
                    continue
                self.said = response
                if response.rcode in ANSWERS:
                    self.answerer = server
                    return True
                self._fail(server, Reason.PROTOCOL)
                return False
        return False

    def _connect(self, server: Resolver) -> socket.socket:
        where = _address(server)
        channel = socket.socket(socket.AF_INET6 if ":" in where else socket.AF_INET, socket.SOCK_DGRAM)
        self._open[server] = channel
        channel.setblocking(False)
        channel.connect((where, server.port))
        self._selector.register(channel, selectors.EVENT_READ, server)
        return channel

    def _take(self, server: Resolver) -> Response | None:
        """What has come from a resolver; None if that is no answer of its, or it has failed."""
        channel = self._open[server]
        try:
            datagram = channel.recv(LARGEST)
            if not self._is_mine(datagram):
                return None  # forged, or meant for somebody else
            answer = dns.message.from_wire(datagram, ignore_trailing=True, continue_on_error=True)
            if answer.flags & dns.flags.TC:
                left = max(self._until - self._clock.monotonic(), LEAST)
                where, port = channel.getpeername()[:2]
                query = dns.message.make_query(self._name, self._kind)
                answer = dns.query.tcp(query, where, timeout=left, port=port)
        except BlockingIOError:
            return None
        except (TimeoutError, dns.exception.Timeout):
            self._fail(server, Reason.TIMEOUT)
        except (OSError, EOFError):
            self._fail(server, Reason.REFUSED)
        except dns.exception.DNSException:
            return None  # no DNS at all
        else:
            return read(answer)
        return None

    def _is_mine(self, datagram: bytes) -> bool:
        """Whether it is a response with our number to our question; refusals may leave the question out."""
        end = len(self._wire)
        if len(datagram) < HEADER or datagram[:2] != self._wire[:2] or not datagram[2] & RESPONSE:
            return False
        if datagram[4:6] == b"\0\0":
            return bool(datagram[3] & RCODE)
        return datagram[HEADER:end].lower() == self._wire[HEADER:].lower()

    def _fail(self, server: Resolver, reason: Reason) -> None:
        self.failed[server] = reason
        self._close(server)

    def _close(self, server: Resolver) -> None:
        channel = self._open.pop(server, None)
        if channel is not None:
            if channel.fileno() in self._selector.get_map():
                self._selector.unregister(channel)
            channel.close()


def wire(name: str, kind: str) -> bytes:
    """The question as it is sent, without its number; `name` has labels of 63 characters of ASCII at the most."""
    labels = b"".join(bytes([len(label)]) + label.encode("ascii") for label in name.rstrip(".").split("."))
    return ASK + labels + b"\0" + struct.pack("!HH", dns.rdatatype.from_text(kind), dns.rdataclass.IN)


def read(answer: dns.message.Message) -> Response:
    """What matters of an answer; its records behind aliases too."""
    rcode = dns.rcode.to_text(answer.rcode())
    if rcode not in ANSWERS or not isinstance(answer, dns.message.QueryMessage):
        return Response(rcode)
    try:
        chain = answer.resolve_chaining()
    except dns.exception.DNSException:
        return Response("FORMERR")
    records = chain.answer or ()
    told = bool(records) or any(rrset.rdtype == dns.rdatatype.SOA for rrset in answer.authority)
    return Response(
        rcode,
        addresses=tuple(record.address for record in records if record.rdtype == dns.rdatatype.A),
        texts=tuple(
            b"".join(record.strings).decode("utf-8", "replace")
            for record in records
            if record.rdtype == dns.rdatatype.TXT
        ),
        ttl=float(chain.minimum_ttl) if told else None,
    )


def _address(server: Resolver) -> str:
    """The resolver's own address. Raises gaierror for a name without one."""
    try:
        return str(ip_address(server.host))
    except ValueError:
        return str(socket.getaddrinfo(server.host, server.port, type=socket.SOCK_DGRAM)[0][4][0])
