"""Names to addresses, by the system's resolver, within a time limit that it does not know."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from ipaddress import ip_address
from typing import Any, Literal

from exporter.services.crew import HANGS, Crew
from exporter.services.failure import Fault, ProbeFailed

Family = Literal["any", "ipv4", "ipv6"]
Place = tuple[socket.AddressFamily, Any]  # a family and a socket address of it

# At a time, and as many again of names that hang: getaddrinfo cannot be ended, and waits up to half a minute for a
# silent server.
MOST_LOOKUPS = 16
MOST_SLOW = 1_000  # names that are remembered for having hung
FAMILIES = {"any": socket.AF_UNSPEC, "ipv4": socket.AF_INET, "ipv6": socket.AF_INET6}
_Answer = Sequence[tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]]


class Resolver:
    """Shared by all probes. All who ask for a name at a time wait for one lookup, so that a name whose servers are
    silent takes one thread, however many targets have it; and such names wait for each other, not the others for them.
    No answer is remembered: what a lookup takes is a phase."""

    def __init__(self) -> None:
        self._crew = Crew("resolve", MOST_LOOKUPS)
        self._slow: dict[tuple[str, str], None] = {}
        self._lock = threading.Lock()
        self._asked: dict[tuple[str, str], Future[_Answer]] = {}

    def places(self, host: str, port: int, family: Family, seconds: float) -> list[Place]:
        """Where `host` is, in the system's order of preference (RFC 6724). Raises ProbeFailed: `resolve`."""
        try:
            if _is_literal(host):
                found: _Answer = socket.getaddrinfo(
                    host, port, FAMILIES[family], socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
                )
            else:
                found = self._look_up(host, family).result(seconds)
        except socket.gaierror as error:
            raise ProbeFailed(Fault.RESOLVE, f"{host}: {_reason(error, family)}") from error
        except TimeoutError as error:
            raise ProbeFailed(Fault.RESOLVE, f"{host}: no answer from the resolver in time") from error
        except UnicodeError as error:
            raise ProbeFailed(Fault.RESOLVE, f"{host}: not a name of a host") from error
        return [(each[0], (each[4][0], port, *each[4][2:])) for each in found]

    def stop(self) -> None:
        """Look up nothing any more."""
        self._crew.stop()

    def _look_up(self, host: str, family: Family) -> Future[_Answer]:
        key = (host, family)
        with self._lock:
            future = self._asked.get(key)
            if future is None:
                future = self._asked[key] = Future()
                self._crew.submit(lambda: self._ask(key, future), patient=key in self._slow)
        return future

    def _ask(self, key: tuple[str, str], future: Future[_Answer]) -> None:
        host, family = key
        began = time.monotonic()
        try:
            answer: _Answer = socket.getaddrinfo(host, None, FAMILIES[family], socket.SOCK_STREAM)
        except BaseException as error:  # whatever it is, those who wait have to know
            outcome: BaseException | None = error
        else:
            outcome = None
        with self._lock:
            del self._asked[key]
            self._slow.pop(key, None)
            if time.monotonic() - began >= HANGS:
                self._slow[key] = None
                if len(self._slow) > MOST_SLOW:
                    del self._slow[next(iter(self._slow))]
        if outcome is None:
            future.set_result(answer)
        else:
            future.set_exception(outcome)


def _is_literal(host: str) -> bool:
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _reason(error: socket.gaierror, family: Family) -> str:
    if error.errno in (socket.EAI_ADDRFAMILY, socket.EAI_NODATA) and family != "any":
        return f"no {'IPv4' if family == 'ipv4' else 'IPv6'} address"
    text = error.strerror or str(error)
    return text[:1].lower() + text[1:]
