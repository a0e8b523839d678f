"""What stands around the platform: an API, a mail server, and the DNS of blocklists. They run inside the demo."""

import http.server
import socketserver
import threading
import time
from ipaddress import ip_address
from types import TracebackType
from typing import ClassVar, Self

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

# Addresses for documentation (RFC 5737), and zones that exist nowhere else (RFC 6761).
SENDERS = ("203.0.113.12", "203.0.113.25")
BLOCKLIST, WARNLIST = "blocklist.demo.test", "warnings.demo.test"
ZONES = (BLOCKLIST, WARNLIST)
LISTED_CODE = "127.0.0.2"
LIFETIME = 1  # seconds that an answer of theirs may be remembered


class Temper:
    """How a server behaves now."""

    def __init__(self) -> None:
        self.delay = 0.0  # seconds before it answers
        self.broken = False
        self._ending = threading.Event()

    def as_ever(self) -> None:
        self.delay, self.broken = 0.0, False

    def wait(self) -> None:
        """For as long as it takes now."""
        if self.delay:
            self._ending.wait(self.delay)

    def end(self) -> None:
        """Nobody waits any more."""
        self._ending.set()


class _Api(http.server.BaseHTTPRequestHandler):
    server: "_ApiServer"
    timeout = 10

    def do_GET(self) -> None:
        temper = self.server.temper
        temper.wait()
        body = b"out of order\n" if temper.broken else b"ok\n"
        self.send_response(503 if temper.broken else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """The demo's screen is for other things."""


class _ApiServer(http.server.ThreadingHTTPServer):
    daemon_threads = True
    temper: Temper

    def handle_error(self, request: object, client_address: object) -> None:
        """Whoever asked has gone."""


class _Mail(socketserver.StreamRequestHandler):
    server: "_MailServer"
    timeout = 10
    REPLIES: ClassVar[dict[str, str]] = {
        "EHLO": "250-mail.demo.test\r\n250 SIZE 10485760",
        "HELO": "250 mail.demo.test",
        "NOOP": "250 2.0.0 as you were",
        "QUIT": "221 2.0.0 bye",
    }

    def handle(self) -> None:
        temper = self.server.temper
        temper.wait()
        self._say("421 4.3.2 too busy" if temper.broken else "220 mail.demo.test ESMTP")
        while line := self.rfile.readline(1000):
            verb = line.split(maxsplit=1)[0].decode("ascii", "replace").upper() if line.split() else ""
            self._say(self.REPLIES.get(verb, "502 5.5.1 this one takes no mail"))
            if verb == "QUIT":
                return

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode("ascii"))


class _MailServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    temper: Temper

    def handle_error(self, request: object, client_address: object) -> None:
        """Whoever asked has gone."""


class _Names(socketserver.BaseRequestHandler):
    server: "_NameServer"

    def handle(self) -> None:
        data, socket = self.request
        try:
            query = dns.message.from_wire(data)
        except dns.exception.DNSException:
            return
        if len(query.question) != 1:
            return
        socket.sendto(self.server.answer(query).to_wire(), self.client_address)


class _NameServer(socketserver.ThreadingUDPServer):
    """Blocklists by RFC 5782: an address's octets reversed before the zone; 127.0.0.2 is always listed."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Names)
        self.listed: dict[str, set[str]] = {zone: {LISTED_CODE} for zone in ZONES}
        self.first_told: dict[str, float] = {}  # when an address was first said to be listed, by the monotonic clock

    def answer(self, query: dns.message.Message) -> dns.message.Message:
        response = dns.message.make_response(query, recursion_available=True)
        response.flags |= dns.flags.AA
        question = query.question[0]
        zone = next((zone for zone in ZONES if question.name.is_subdomain(dns.name.from_text(zone))), None)
        if zone is None:
            response.set_rcode(dns.rcode.REFUSED)
            return response
        apex = dns.name.from_text(zone)
        octets = question.name.relativize(apex).to_text().split(".")
        address = ".".join(reversed(octets))
        if address in self.listed[zone]:
            self.first_told.setdefault(address, time.monotonic())
            kind = dns.rdatatype.to_text(question.rdtype)
            told = {"A": LISTED_CODE, "TXT": f'"Listed by {zone}: see https://{zone}/"'}.get(kind)
            if told is not None:
                response.answer.append(dns.rrset.from_text(question.name, LIFETIME, "IN", kind, told))
                return response
        elif question.name != apex:
            response.set_rcode(dns.rcode.NXDOMAIN)
        start = f"ns.{zone}. postmaster.{zone}. 1 60 60 60 {LIFETIME}"
        response.authority.append(dns.rrset.from_text(apex, LIFETIME, "IN", "SOA", start))
        return response


class Outside:
    """All three, at work inside a `with` block, each on a free port of 127.0.0.1."""

    def __init__(self) -> None:
        self._api = _ApiServer(("127.0.0.1", 0), _Api)
        self._mail = _MailServer(("127.0.0.1", 0), _Mail)
        self._names = _NameServer()
        self.api = self._api.temper = Temper()
        self.mail = self._mail.temper = Temper()

    def __enter__(self) -> Self:
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.1,), name="outside", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for temper in (self.api, self.mail):
            temper.end()
        for server in self._servers:
            server.shutdown()
            server.server_close()

    @property
    def _servers(self) -> tuple[socketserver.BaseServer, ...]:
        return self._api, self._mail, self._names

    @property
    def ports(self) -> dict[str, int]:
        """By what listens there: `api`, `mail`, `names`."""
        servers = {"api": self._api, "mail": self._mail, "names": self._names}
        return {name: int(server.server_address[1]) for name, server in servers.items()}

    def list_address(self, ip: str, zone: str = BLOCKLIST) -> None:
        """From now on the list lists it."""
        self._names.listed[zone].add(str(ip_address(ip)))

    def delist(self, ip: str, zone: str = BLOCKLIST) -> None:
        """Removal was asked for, and granted."""
        self._names.listed[zone].discard(ip)
        self._names.first_told.pop(ip, None)

    def listed_at(self, ip: str) -> float | None:
        """When somebody who asked was first told that it is listed, by the monotonic clock."""
        return self._names.first_told.get(ip)
