"""One probe under way: its time limit, the phases that it went through, and what it has met."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from chassis.address import Address
from chassis.clock import Clock
from exporter.services.channel import Channel, Deadline
from exporter.services.failure import Fault, ProbeFailed, explain
from exporter.services.resolver import Family, Resolver
from exporter.services.tls import Contexts, TlsOptions, expiry

PHASES = ("resolve", "connect", "tls", "first_byte", "transfer")


@dataclass(frozen=True)
class Tools:
    """What all probes share."""

    clock: Clock
    resolver: Resolver = field(default_factory=Resolver)
    contexts: Contexts = field(default_factory=Contexts)


@dataclass(frozen=True)
class Result:
    """What one probe found. Seconds; `failure` None: all was as expected."""

    seconds: float
    phases: dict[str, float]
    code: str | None
    certificate_expiry: float | None
    failure: ProbeFailed | None


class Attempt:
    """Handed to a probe, which fills it in. Phases of several steps of one kind, such as redirects, add up."""

    def __init__(self, tools: Tools, seconds: float) -> None:
        self.tools = tools
        self.clock = tools.clock
        self.limit = seconds
        self.began = self.clock.monotonic()
        self.ended: float | None = None
        self.deadline = Deadline(self.clock, seconds)
        self.phases: dict[str, float] = {}
        self.code: str | None = None  # of an HTTP response
        self.certificate_expiry: float | None = None  # epoch seconds
        self.connected = False

    def done(self) -> None:
        """The target has done all that counts; what follows is politeness."""
        self.ended = self.clock.monotonic()

    def add(self, phase: str, seconds: float) -> None:
        """Count time to a phase."""
        self.phases[phase] = self.phases.get(phase, 0.0) + seconds

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """The block belongs to a phase, however it ends."""
        began = self.clock.monotonic()
        try:
            yield
        finally:
            self.add(name, self.clock.monotonic() - began)

    @contextmanager
    def exchange(self, channel: Channel) -> Iterator[None]:
        """The block asks and reads the answer: `first_byte` until that begins, `transfer` for the rest of it."""
        began = self.clock.monotonic()
        channel.answered_at = None
        try:
            yield
        finally:
            ended = self.clock.monotonic()
            self.add("first_byte", (channel.answered_at or ended) - began)
            if channel.answered_at is not None:
                self.add("transfer", ended - channel.answered_at)

    def dial(self, address: Address, family: Family = "any") -> Channel:
        """Connect to the first of a host's addresses that lets us in; each gets its share of the time left."""
        with self.phase("resolve"):
            places = self.tools.resolver.places(address.host, address.port, family, self.deadline.need())
        with self.phase("connect"):
            for position, (kind, place) in enumerate(places):
                rest = len(places) - position
                try:
                    return self._connect(kind, place, self.deadline.need() / rest)
                except OSError as error:
                    # Where IPv6 is switched off no address of ours goes there: the next one may be of the other family.
                    known = explain(error, connected=False) or error.errno == errno.EADDRNOTAVAIL
                    if rest == 1 or not known:
                        raise
        raise ProbeFailed(Fault.RESOLVE, f"{address.host}: no address")

    def dial_local(self, path: str) -> Channel:
        """Connect to a socket in the file system."""
        with self.phase("connect"):
            return self._connect(socket.AF_UNIX, path, self.deadline.need())

    def _connect(self, kind: socket.AddressFamily, place: object, seconds: float) -> Channel:
        connection = socket.socket(kind, socket.SOCK_STREAM)
        try:
            connection.settimeout(seconds)
            connection.connect(place)  # type: ignore[arg-type]  # of the family's own form
            if kind is not socket.AF_UNIX:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except BaseException:
            connection.close()
            raise
        self.connected = True
        return Channel(connection, self.deadline, self.clock)

    def secure(
        self, channel: Channel, options: TlsOptions, host: str, again: Callable[[Attempt], Channel], *, verify: bool
    ) -> None:
        """Encrypt a channel to `host`, and note when its certificate expires.

        `again` leads another attempt to the same point: a certificate that is refused is read on a second
        connection, since an expired one is the very one whose end is worth knowing.
        """
        with self.phase("tls"):
            name = options.server_name or host.partition("%")[0]
            context = self.tools.contexts.get(options, verify=verify)
            try:
                certificate = channel.start_tls(context, name)
            except (ProbeFailed, OSError) as error:
                failure = explain(error, connected=True)
                if failure and failure.fault is Fault.CERTIFICATE:
                    self.certificate_expiry = self._glimpse(options, name, again)
                raise
        self.certificate_expiry = expiry(certificate)

    def _glimpse(self, options: TlsOptions, name: str, again: Callable[[Attempt], Channel]) -> float | None:
        with suppress(ProbeFailed, OSError):
            channel = again(Attempt(self.tools, self.deadline.left))
            try:
                return expiry(channel.start_tls(self.tools.contexts.get(options, verify=False), name))
            finally:
                channel.close()
        return None


Probe = Callable[[Attempt], None]
"""Looks once, and raises ProbeFailed, OSError or SecretUnavailable if the target is not as expected."""


def attempt(probe: Probe, tools: Tools, seconds: float) -> Result:
    """Run a probe within its time limit. What it raises beside the target's failures is a defect, and is raised."""
    under_way = Attempt(tools, seconds)
    failure: ProbeFailed | None = None
    try:
        probe(under_way)
    except Exception as error:
        failure = explain(error, connected=under_way.connected)
        if failure is None:
            raise
        if failure.fault is Fault.TIMEOUT and isinstance(error, TimeoutError):
            failure = ProbeFailed(Fault.TIMEOUT, f"{_waited_for(under_way)} within {seconds:g} s")
    ended = under_way.ended or under_way.clock.monotonic()
    return Result(ended - under_way.began, under_way.phases, under_way.code, under_way.certificate_expiry, failure)


def _waited_for(under_way: Attempt) -> str:
    if not under_way.connected:
        return "no connection"
    return "the answer was not complete" if "transfer" in under_way.phases else "no answer"
