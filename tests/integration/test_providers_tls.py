"""Providers are spoken to by TLS, through a proxy where the environment names one."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from alerter.model import Reason
from alerter.receivers.base import DeliveryFailed
from alerter.receivers.wire import Wire
from tests.support.certificates import Certificates, make_certificates
from tests.support.services import Handler, Listener, dripping, secured

TIMEOUT = 1.0  # seconds
BODY = b'{"ok": true}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("providers-certificates"))


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


def provider(answer: bytes) -> Handler:
    """Answers each request of a connection."""

    def handle(connection: socket.socket, _over: threading.Event) -> None:
        with connection.makefile("rb") as asked:
            while asked.readline():
                length = 0
                while line := asked.readline().strip().lower():
                    name, _, value = line.partition(b":")
                    length = int(value) if name == b"content-length" else length
                assert asked.read(length) == b"{}"
                connection.sendall(answer)

    return handle


@contextlib.contextmanager
def at(handle: Handler, certificates: Certificates) -> Iterator[tuple[Listener, str]]:
    """A server behind TLS, and its URL."""
    with secured(handle, certificates) as inside, Listener(inside) as server:
        yield server, f"https://{server.address}/v2/enqueue"


@contextlib.contextmanager
def wire(ca: Path) -> Iterator[Wire]:
    made = Wire(TIMEOUT, (), ca)
    yield made
    made.close()


def failure(made: Wire, url: str) -> DeliveryFailed:
    with pytest.raises(DeliveryFailed) as caught:
        made.post(url, b"{}", "application/json")
    return caught.value


def proxy(asked: list[bytes]) -> Handler:
    """Leads to where it is asked to (RFC 9110 section 9.3.6), and notes where that is."""

    def handle(connection: socket.socket, _over: threading.Event) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(65_536)
        asked.append(head.partition(b" HTTP/")[0])
        host, _, port = asked[-1].removeprefix(b"CONNECT ").decode().partition(":")
        with socket.create_connection((host, int(port))) as target:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            threading.Thread(target=relay, args=(target, connection), daemon=True).start()
            relay(connection, target)

    return handle


def relay(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)


@pytest.mark.parametrize("answer", [ANSWER, CHUNKED], ids=["of a length", "in chunks"])
def test_a_connection_is_kept_for_the_next_message(answer: bytes, certificates: Certificates) -> None:
    with at(provider(answer), certificates) as (server, url), wire(certificates.ca) as made:
        for _ in range(3):
            told = made.post(url, b"{}", "application/json")
            assert (told.status, told.content) == (200, {"ok": True})
        assert server.accepted == 1


@pytest.mark.parametrize(
    ("start", "drop"),
    [(b"HTTP/1.1 200 OK\r\nX-Wait: ", b"x"), (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b" ")],
    ids=["head", "body"],
)
def test_an_answer_a_drop_at_a_time_ends_in_time(start: bytes, drop: bytes, certificates: Certificates) -> None:
    with at(dripping(start, drop), certificates) as (_, url), wire(certificates.ca) as made:
        began = time.monotonic()
        failed = failure(made, url)
        assert (failed.reason, failed.retry) == (Reason.TIMEOUT, True)
        assert time.monotonic() - began < 10 * TIMEOUT


def test_a_handshake_a_drop_at_a_time_ends_in_time(certificates: Certificates) -> None:
    hello = b"\x16\x03\x03\x3e\x84\x02\x00\x3e\x80\x03\x03"  # the start of a ServerHello of 16,000 bytes
    with Listener(dripping(hello, b"\0")) as server, wire(certificates.ca) as made:
        began = time.monotonic()
        failed = failure(made, f"https://{server.address}/v2/enqueue")
        assert (failed.reason, failed.retry) == (Reason.TIMEOUT, True)
        assert time.monotonic() - began < 10 * TIMEOUT


def test_a_certificate_of_somebody_else_is_refused(certificates: Certificates, tmp_path: Path) -> None:
    other = make_certificates(tmp_path / "other")
    with at(provider(ANSWER), certificates) as (_, url), wire(other.ca) as made:
        failed = failure(made, url)
        assert (failed.reason, failed.retry) == (Reason.NETWORK, True)
        assert "127.0.0.1's certificate is refused" in failed.text


def test_a_proxy_of_the_environment_is_gone_through(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bytes] = []
    drops = dripping(b"HTTP/1.1 200 OK\r\nX-Wait: ", b"x")
    with Listener(proxy(asked)) as between, wire(certificates.ca) as made:
        monkeypatch.setenv("https_proxy", f"http://{between.address}")
        with at(provider(ANSWER), certificates) as (server, url):
            assert made.post(url, b"{}", "application/json").content == {"ok": True}
            assert asked == [f"CONNECT {server.address}".encode()]
        with at(drops, certificates) as (_, url):
            assert failure(made, url).reason is Reason.TIMEOUT
