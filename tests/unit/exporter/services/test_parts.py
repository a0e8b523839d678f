"""Parts of a probe that need no server: channels, certificates, threads, statements about failures."""

import datetime
import errno
import socket
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from chassis.address import Address
from chassis.clock import ManualClock, SystemClock
from exporter.services.attempt import Attempt, Tools
from exporter.services.channel import Channel, Deadline
from exporter.services.crew import HANGS, Crew
from exporter.services.failure import Fault, ProbeFailed, explain
from exporter.services.resolver import MOST_LOOKUPS, Resolver
from exporter.services.tls import expiry
from tests.support.certificates import make_certificates
from tests.support.services import Listener, silent
from tests.support.wait import eventually


@pytest.mark.parametrize("days", [1, 365, 40 * 365])  # the last one is past 2049: another form of time
def test_expiry_of_a_certificate(tmp_path: Path, days: int) -> None:
    files = make_certificates(tmp_path, datetime.timedelta(days=days))
    certificate = x509.load_pem_x509_certificate(files.cert.read_bytes())
    assert expiry(certificate.public_bytes(Encoding.DER)) == certificate.not_valid_after_utc.timestamp()


@pytest.mark.parametrize("data", [b"", b"\x30", b"\x30\x82\xff\xff", b"nonsense of some length, but no certificate"])
def test_what_is_no_certificate_has_no_expiry(data: bytes) -> None:
    assert expiry(data) is None


@pytest.mark.parametrize(
    ("error", "connected", "wanted"),
    [
        (ConnectionRefusedError(), False, Fault.REFUSED),
        (OSError(errno.EHOSTUNREACH, "No route to host"), False, Fault.REFUSED),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), True, Fault.PROTOCOL),
        (TimeoutError(), False, Fault.TIMEOUT),
        (ssl.SSLError(1, "x"), True, Fault.TLS),
        (OSError(errno.EMFILE, "Too many open files"), False, None),
        (OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address"), False, None),
        (KeyError("x"), True, None),
    ],
)
def test_failures_have_names(error: Exception, connected: bool, wanted: Fault | None) -> None:
    failure = explain(error, connected=connected)
    assert (failure and failure.fault) == wanted


def test_lines_of_a_channel() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        channel = Channel(ours, Deadline(SystemClock(), 5), SystemClock())
        theirs.sendall(b"one\r\ntwo\nth")
        assert (channel.line(), channel.line()) == (b"one", b"two")
        theirs.sendall(b"ree\n" + b"x" * 20)
        assert channel.line() == b"three"
        with pytest.raises(ProbeFailed, match="more than 10 bytes"):
            channel.line(10)


def test_an_address_that_this_machine_has_no_way_to_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """As that of localhost in a container where IPv6 is switched off."""
    connect = Attempt._connect

    def without_ipv6(self: Attempt, kind: socket.AddressFamily, place: Any, seconds: float) -> Channel:
        if kind is socket.AF_INET6:
            raise OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")
        return connect(self, kind, place, seconds)

    monkeypatch.setattr(Attempt, "_connect", without_ipv6)
    six = (socket.AF_INET6, ("::1", 1, 0, 0))
    attempt = Attempt(Tools(SystemClock()), 10)
    with Listener(silent) as server:
        four = (socket.AF_INET, ("127.0.0.1", server.port))
        monkeypatch.setattr(Resolver, "places", lambda *_: [six, four])
        attempt.dial(Address("localhost", server.port)).close()
    monkeypatch.setattr(Resolver, "places", lambda *_: [six])
    with pytest.raises(OSError, match="Cannot assign"):
        attempt.dial(Address("localhost", 1))


def test_a_crew_grows_with_its_work_and_not_beyond_its_bound() -> None:
    crew, over, running, done = Crew("test", 3, ManualClock()), threading.Event(), [], []

    def task() -> None:
        running.append(threading.current_thread())
        over.wait(20)
        done.append(1)

    for _ in range(5):
        crew.submit(task)
    eventually(lambda: len(running) == 3)
    assert crew.threads == 3
    over.set()
    eventually(lambda: len(done) == 5)
    crew.submit(task)
    eventually(lambda: len(done) == 6)
    assert crew.threads == 3
    crew.stop()
    crew.submit(task)
    eventually(lambda: crew.threads == 0)
    assert len(done) == 6


def test_a_task_that_hangs_keeps_no_other_waiting() -> None:
    clock, over, running = ManualClock(), threading.Event(), []
    crew = Crew("test", 2, clock)

    def task() -> None:
        running.append(1)
        over.wait(30)

    for expected in (2, 4, 4):  # and no more threads than twice as many
        for _ in range(3):
            crew.submit(task)
        eventually(lambda most=expected: len(running) == most)  # type: ignore[misc]  # no type for a default
        assert crew.threads == expected
        clock.advance(HANGS)
    over.set()
    eventually(lambda: len(running) == 9)
    assert crew.threads == 4
    crew.stop()


class Leaping(SystemClock):
    """Each look at it finds it later by more than half of the time from which on a task is taken to hang."""

    at = 0.0

    def monotonic(self) -> float:
        self.at += 0.6 * HANGS
        return self.at


def test_a_task_that_is_submitted_as_another_begins_to_hang_is_done() -> None:
    crew, begun, over, done = Crew("test", 1, Leaping()), threading.Event(), threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        over.wait(30)

    crew.submit(hang)
    assert begun.wait(20)
    crew.submit(done.set)
    assert done.wait(20)
    over.set()
    crew.stop()


def test_who_is_known_to_hang_waits_for_the_others_of_its_kind() -> None:
    crew, over, running, done = Crew("test", 2, ManualClock()), threading.Event(), [], []

    def task() -> None:
        running.append(1)
        over.wait(30)

    for _ in range(5):
        crew.submit(task, patient=True)
    for _ in range(5):
        crew.submit(lambda: done.append(1))
    eventually(lambda: len(done) == 5)
    assert len(running) == 2
    over.set()
    eventually(lambda: len(running) == 5)
    crew.stop()


def test_names_that_nobody_answers_for_keep_no_other_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    over, real = threading.Event(), socket.getaddrinfo

    def lookup(host: str, *more: object, **named: object) -> object:
        if host.startswith("silent"):
            over.wait(30)
        return real("127.0.0.1", None)

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    resolver = Resolver()
    for number in range(MOST_LOOKUPS + 8):
        with pytest.raises(ProbeFailed, match="no answer from the resolver in time"):
            resolver.places(f"silent-{number}.test", 80, "any", 0.01)
    assert resolver.places("good.test", 80, "any", 20)[0][1][0] == "127.0.0.1"
    assert not over.is_set()
    over.set()
    resolver.stop()


def test_one_lookup_serves_all_who_ask_for_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    answered, asked = threading.Event(), []
    real = socket.getaddrinfo

    def slow(host: str, *more: object, **named: object) -> object:
        asked.append(host)
        answered.wait(20)
        return real("127.0.0.1", None)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    resolver, found = Resolver(), []
    threads = [
        threading.Thread(target=lambda: found.append(resolver.places("a.test", 80, "any", 20))) for _ in range(9)
    ]
    for thread in threads:
        thread.start()
    eventually(lambda: asked)
    with pytest.raises(ProbeFailed, match="no answer from the resolver in time"):
        resolver.places("a.test", 80, "any", 0.05)
    answered.set()
    for thread in threads:
        thread.join(20)
    assert len(asked) == 1
    assert [places[0][1] for places in found] == [("127.0.0.1", 80)] * 9
    resolver.stop()
