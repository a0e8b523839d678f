"""Parts of a probe that need no server: channels, certificates, threads, statements about failures."""

import datetime
import errno
import socket
import ssl
import threading
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from chassis.clock import SystemClock
from exporter.services.channel import Channel, Deadline
from exporter.services.crew import Crew
from exporter.services.failure import Fault, ProbeFailed, explain
from exporter.services.resolver import Resolver
from exporter.services.tls import expiry
from tests.support.certificates import make_certificates
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


def test_a_crew_grows_with_its_work_and_not_beyond_its_bound() -> None:
    crew, over, running, done = Crew("test", 3), threading.Event(), [], []

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
