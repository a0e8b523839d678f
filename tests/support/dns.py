"""Blocklists of the tests' own: rbldnsd serves them, unbound resolves, a relay between it and the exporter watches."""

import os
import pwd
import signal
import socket
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import dns.exception
import dns.message
import dns.query
import dns.rdatatype

from demo.process import ServerError, free_port, unprivileged
from demo.server import Server

TEST_ENTRIES = {"2.0.0.127": ["127.0.0.2"]}
# ::ffff:7f00:2, reversed by nibbles.
TEST_ENTRIES_6 = {"2.0.0.0.0.0.f.7.f.f.f.f" + ".0" * 20: ["127.0.0.2"]}


class Zone(NamedTuple):
    """A list: answers by reversed address, texts by the same; times to live in seconds."""

    entries: Mapping[str, Iterable[str]]
    texts: Mapping[str, str] = {}
    ttl: int = 1
    negative_ttl: int = 1


def blocklist(
    listed: Mapping[str, Iterable[str]] = {},  # never written to
    texts: Mapping[str, str] = {},
    *,
    tested: bool = True,
    ipv6: bool = False,
    ttl: int = 1,
    negative_ttl: int = 1,
) -> Zone:
    """A list as RFC 5782 wants it; `tested` and `ipv6`: with the test entries."""
    entries = {**(TEST_ENTRIES if tested else {}), **(TEST_ENTRIES_6 if ipv6 else {}), **listed}
    return Zone(entries, texts, ttl, negative_ttl)


def reverse(address: str) -> str:
    """`192.0.2.1` as a list is asked for it."""
    return ".".join(reversed(address.split(".")))


def alive(port: int) -> bool:
    """Whether a DNS server answers there, with whatever."""
    try:
        dns.query.udp(dns.message.make_query("version.bind.", "TXT", "CH"), "127.0.0.1", timeout=0.2, port=port)
    except (dns.exception.DNSException, OSError):
        return False
    return True


class Rbldnsd(Server):
    """Debian's rbldnsd with these zones."""

    kind = "rbldnsd"

    def __init__(self, zones: Mapping[str, Zone]) -> None:
        super().__init__()
        self.zones = dict(zones)

    def user(self) -> pwd.struct_passwd | None:
        return unprivileged()

    def prepare(self) -> None:
        self.folder.chmod(0o755)
        for name, zone in self.zones.items():
            self._write(name, zone)

    def command(self) -> list[str]:
        binary = Path("/usr/sbin/rbldnsd")
        if not binary.exists():
            raise ServerError("rbldnsd is missing: install the package rbldnsd")
        zones = [f"{name}:generic:{name}" for name in self.zones]
        return [str(binary), "-n", "-c", "1s", "-w", str(self.folder), "-b", f"127.0.0.1/{self.port}", *zones]

    def answers(self) -> bool:
        return alive(self.port)

    def change(self, name: str, zone: Zone) -> None:
        """Replace one of its zones, now."""
        self.zones[name] = zone
        self._write(name, zone)
        if self._process is not None:
            os.kill(self._process.pid, signal.SIGHUP)

    def _write(self, name: str, zone: Zone) -> None:
        lines = [f"$SOA {zone.negative_ttl} ns.lists.example. me.lists.example. 0 60 60 60 {zone.negative_ttl}"]
        lines.append(f"$TTL {zone.ttl}")
        lines += [f"{key} A {code}" for key, codes in zone.entries.items() for code in codes]
        lines += [f'{key} TXT "{text}"' for key, text in zone.texts.items()]
        fresh = self.folder / f".{name}"
        fresh.write_text("\n".join(lines) + "\n")
        fresh.chmod(0o644)
        fresh.replace(self.folder / name)


class Unbound(Server):
    """Debian's unbound before an rbldnsd; `settings` are further lines of its `server:` clause."""

    kind = "unbound"

    def __init__(self, lists: Rbldnsd, *, settings: Iterable[str] = (), stubs: Mapping[str, int] | None = None) -> None:
        """`stubs`: ports of other servers, by zone."""
        super().__init__()
        self.lists = lists
        self.settings = tuple(settings)
        self.stubs = stubs or {}

    @property
    def address(self) -> str:
        """As the configuration names it."""
        return f"127.0.0.1:{self.port}"

    def user(self) -> pwd.struct_passwd | None:
        return unprivileged()

    def prepare(self) -> None:
        self.folder.chmod(0o755)

    def command(self) -> list[str]:
        binary = Path("/usr/sbin/unbound")
        if not binary.exists():
            raise ServerError("unbound is missing: install the package unbound")
        ports = {**dict.fromkeys(self.lists.zones, self.lists.port), **self.stubs}
        stubs = "".join(
            f'stub-zone:\n  name: "{name}."\n  stub-addr: 127.0.0.1@{port}\n' for name, port in ports.items()
        )
        more = "".join(f"  {line}\n" for line in self.settings)
        config = self.folder / "unbound.conf"
        config.write_text(
            f"server:\n  interface: 127.0.0.1\n  port: {self.port}\n  directory: {self.folder}\n"
            '  chroot: ""\n  username: ""\n  pidfile: ""\n  use-syslog: no\n  logfile: ""\n  verbosity: 0\n'
            '  module-config: "iterator"\n  do-not-query-localhost: no\n  num-threads: 1\n  do-ip6: no\n'
            f"  so-reuseport: no\n{more}{stubs}"
            # Nothing outside is ever asked.
            'stub-zone:\n  name: "."\n  stub-addr: 127.0.0.1@1\nremote-control:\n  control-enable: no\n'
        )
        return [str(binary), "-d", "-c", str(config)]

    def answers(self) -> bool:
        return alive(self.port)


class Question(NamedTuple):
    """What the relay saw: monotonic seconds, the name without its last dot, the type."""

    at: float
    name: str
    kind: str


class Relay:
    """Hands datagrams on to a resolver and writes down what was asked. Zones may be slow or be lost."""

    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        self.seen: list[Question] = []
        self.delays: dict[str, float] = {}  # seconds by the end of a name
        self.lost: set[str] = set()  # ends of names whose questions are dropped
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", free_port()))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def address(self) -> str:
        """As the configuration names it."""
        return f"127.0.0.1:{self.port}"

    def asked(self, zone: str, kind: str = "A") -> list[Question]:
        """Questions below a zone."""
        return [each for each in list(self.seen) if each.name.endswith(f".{zone}") and each.kind == kind]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join(5)
        self._socket.close()

    def _run(self) -> None:
        while datagram := self._socket.recvfrom(65_535):
            wire, client = datagram
            if not wire:
                return
            question = dns.message.from_wire(wire).question[0]
            name = question.name.to_text(omit_final_dot=True)
            self.seen.append(Question(time.monotonic(), name, dns.rdatatype.to_text(question.rdtype)))
            if any(name.endswith(end) for end in self.lost):
                continue
            delay = next((each for end, each in self.delays.items() if name.endswith(end)), 0.0)
            timer = threading.Timer(delay, self._hand_on, (wire, client))
            timer.daemon = True
            timer.start()

    def _hand_on(self, wire: bytes, client: tuple[str, int]) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
            way.settimeout(5)
            way.connect(("127.0.0.1", self.upstream))
            try:
                way.send(wire)
                self._socket.sendto(way.recv(65_535), client)
            except OSError:
                pass  # the resolver is down, or we are
