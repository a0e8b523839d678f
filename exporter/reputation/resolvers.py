"""Asks resolvers: one after the other until one answers, by TCP where an answer was cut short.

Each question leaves from a port of its own, with a number of its own (RFC 5452), by a connected socket: a resolver
that is not there is known at once.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence
from ipaddress import ip_address

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.resolver

from chassis.clock import Clock
from exporter.model import Reason
from exporter.reputation.options import DNS_PORT, Resolver
from exporter.reputation.verdict import Response

ANSWERS = ("NOERROR", "NXDOMAIN")
LARGEST = 65_535  # bytes of a datagram
SAME_FIRST = 60.0  # seconds for which a resolver that failed is not asked first again
ATTEMPTS = 2  # at the least: a datagram may be lost
ALIVE = "localhost."  # every resolver answers it by itself (RFC 6761, section 6.3)


class Unanswered(Exception):
    """No resolver answered in time. `reason` is that of the last one asked."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason


def system_resolvers() -> tuple[Resolver, ...]:
    """Those of /etc/resolv.conf; none if it cannot be read."""
    try:
        found = dns.resolver.Resolver()
    except (dns.resolver.NoResolverConfiguration, OSError):
        return ()
    return tuple(Resolver(str(server), found.port or DNS_PORT) for server in found.nameservers)


class Resolvers:
    """The way to all lists. Thread-safe."""

    def __init__(self, given: Sequence[Resolver], clock: Clock) -> None:
        """`given` in order of preference; none: the system's, read again when they do not answer."""
        self._given = tuple(given)
        self._clock = clock
        self._lock = threading.Lock()
        self._servers = self._given or system_resolvers()
        self._failed_at: dict[Resolver, float] = {}
        self.unanswered = 0  # questions in a row to which no resolver said anything at all

    @property
    def servers(self) -> tuple[Resolver, ...]:
        """Whom it asks, the preferred first."""
        now = self._clock.monotonic()
        with self._lock:
            failed = {server for server, at in self._failed_at.items() if now - at < SAME_FIRST}
            return tuple(sorted(self._servers, key=lambda server: server in failed))

    def ask(self, name: str, kind: str, limit: float) -> Response:
        """The answer to a question for `A` or `TXT` within `limit` seconds. Raises Unanswered.

        A resolver that fails or refuses is no reason to believe it: the next one is asked. What the last of them
        said is the answer then.
        """
        until = self._clock.monotonic() + limit
        servers = self.servers
        silent: list[Resolver] = []
        said: Response | None = None
        reason = Reason.RESOLVE if not servers else Reason.TIMEOUT
        rounds = max(len(servers), ATTEMPTS)
        for attempt in range(rounds if servers else 0):
            server = servers[attempt % len(servers)]
            left = until - self._clock.monotonic()
            if left <= 0:
                break
            if said is not None and attempt >= len(servers):
                break  # it failed a moment ago, and would again
            try:
                response = self._exchange(server, name, kind, left / (rounds - attempt))
            except Unanswered as error:
                silent.append(server)
                reason = error.reason
                continue
            said = response
            if response.rcode in ANSWERS:
                break
            silent.append(server)
        self._note(silent, answered=said is not None)
        if said is None:
            raise Unanswered(reason)
        return said

    def alive(self, limit: float) -> bool:
        """Whether any resolver says anything, asked for what each knows by itself."""
        try:
            self.ask(ALIVE, "A", limit)
        except Unanswered:
            return False
        return True

    def _note(self, silent: Sequence[Resolver], *, answered: bool) -> None:
        with self._lock:
            if answered:
                self.unanswered = 0
                # Where all were silent, it is the list that does not answer, or the network: no reason to prefer one.
                now = self._clock.monotonic()
                self._failed_at.update(dict.fromkeys(silent, now))
                return
            self.unanswered += 1
        if not self._given and (fresh := system_resolvers()):
            with self._lock:
                self._servers = fresh

    def _exchange(self, server: Resolver, name: str, kind: str, limit: float) -> Response:
        query = dns.message.make_query(dns.name.from_text(name), dns.rdatatype.from_text(kind))
        until = self._clock.monotonic() + limit
        try:
            where = _address(server)
            answer = self._by_udp(query, where, server.port, until)
            if answer.flags & dns.flags.TC:
                left = max(until - self._clock.monotonic(), 0.05)
                answer = dns.query.tcp(query, where, timeout=left, port=server.port)
        except socket.gaierror:
            raise Unanswered(Reason.RESOLVE) from None
        except (TimeoutError, dns.exception.Timeout):
            raise Unanswered(Reason.TIMEOUT) from None
        except OSError:
            raise Unanswered(Reason.REFUSED) from None
        except (dns.exception.DNSException, EOFError):
            raise Unanswered(Reason.PROTOCOL) from None
        return read(answer)

    def _by_udp(self, query: dns.message.Message, where: str, port: int, until: float) -> dns.message.Message:
        wire = query.to_wire()
        family = socket.AF_INET6 if ":" in where else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as channel:
            channel.connect((where, port))
            channel.send(wire)
            while True:
                left = until - self._clock.monotonic()
                if left <= 0:
                    raise TimeoutError
                channel.settimeout(left)
                try:
                    answer = dns.message.from_wire(
                        channel.recv(LARGEST), ignore_trailing=True, continue_on_error=True, one_rr_per_rrset=False
                    )
                except dns.exception.DNSException:
                    continue  # no DNS at all: somebody else's, or forged
                if query.is_response(answer):
                    return answer


def read(answer: dns.message.Message) -> Response:
    """What matters of an answer; its records behind aliases too."""
    rcode = dns.rcode.to_text(answer.rcode())
    if rcode not in ANSWERS or not isinstance(answer, dns.message.QueryMessage):
        return Response(rcode)
    try:
        chain = answer.resolve_chaining()
    except dns.exception.DNSException:
        return Response("FORMERR")
    ttl = float(chain.minimum_ttl) if chain.answer is not None or _has_soa(answer) else None
    records = chain.answer or ()
    return Response(
        rcode,
        addresses=tuple(record.address for record in records if record.rdtype == dns.rdatatype.A),
        texts=tuple(
            b"".join(record.strings).decode("utf-8", "replace")
            for record in records
            if record.rdtype == dns.rdatatype.TXT
        ),
        ttl=ttl,
    )


def _has_soa(answer: dns.message.Message) -> bool:
    return any(rrset.rdtype == dns.rdatatype.SOA for rrset in answer.authority)


def _address(server: Resolver) -> str:
    """The resolver's own address. Raises gaierror for a name without one."""
    try:
        return str(ip_address(server.host))
    except ValueError:
        return str(socket.getaddrinfo(server.host, server.port, type=socket.SOCK_DGRAM)[0][4][0])
