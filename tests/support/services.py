"""Servers for probes to meet: good ones, silent ones, and those that drip."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult

from demo.process import free_port
from tests.support.certificates import Certificates
from tests.support.wait import eventually

Handler = Callable[[socket.socket, threading.Event], None]


class Listener:
    """Takes connections on a free port of 127.0.0.1, and leaves each to `handle` in a thread, until it is stopped."""

    def __init__(self, handle: Handler, port: int = 0, host: str = "127.0.0.1") -> None:
        self._handle = handle
        self._over = threading.Event()
        self._open: list[socket.socket] = []
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family, backlog=512)
        self.port: int = self._socket.getsockname()[1]
        self.accepted = 0
        self._thread = threading.Thread(target=self._accept, daemon=True)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def __enter__(self) -> "Listener":
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._over.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes who accepts
        self._socket.close()
        self._thread.join(5)
        for each in self._open:
            each.close()

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.accepted += 1
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            self._handle(connection, self._over)


def silent(_connection: socket.socket, over: threading.Event) -> None:
    """Takes everybody in, and says nothing."""
    over.wait()


def saying(*pieces: bytes) -> Handler:
    """Says each piece, after having heard something before all but the first; then ends the connection."""

    def handle(connection: socket.socket, _over: threading.Event) -> None:
        for position, piece in enumerate(pieces):
            if position:
                connection.recv(65_536)
            connection.sendall(piece)
        connection.shutdown(socket.SHUT_WR)
        connection.recv(65_536)  # a reset would take what was said along
        connection.close()

    return handle


def answering(answer: bytes) -> Handler:
    """Hears something, and answers."""
    return saying(b"", answer)


def dripping(start: bytes, drop: bytes, every: float = 0.1) -> Handler:
    """Says `start`, and then `drop` again and again, for ever."""

    def handle(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(start)
        while not over.wait(every):
            connection.sendall(drop)

    return handle


def echoing(connection: socket.socket, _over: threading.Event) -> None:
    """Says what it hears."""
    while data := connection.recv(65_536):
        connection.sendall(data)


@contextmanager
def secured(handle: Handler, certificates: Certificates) -> Iterator[Handler]:
    """`handle` behind TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.cert, certificates.key)

    def wrapped(connection: socket.socket, over: threading.Event) -> None:
        with context.wrap_socket(connection, server_side=True) as inside:
            handle(inside, over)

    yield wrapped


@contextmanager
def web_server(app: Any, port: int = 0, **options: Any) -> Iterator[int]:
    """`app` (ASGI) on uvicorn, in a thread; its port."""
    port = port or free_port()
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None, access_log=False, lifespan="off", **options)
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        eventually(lambda: server.started, within=20)
        yield port
    finally:
        server.should_exit = True
        thread.join(10)


def with_tls(certificates: Certificates, *, ask_client: bool = False) -> dict[str, Any]:
    """Options of `web_server` for https."""
    given = {"ssl_certfile": str(certificates.cert), "ssl_keyfile": str(certificates.key)}
    more = {"ssl_ca_certs": str(certificates.ca), "ssl_cert_reqs": ssl.CERT_REQUIRED} if ask_client else {}
    return {**given, **more}


class Mailbox:
    """Handler of aiosmtpd that counts what must never come."""

    def __init__(self) -> None:
        self.commands: list[str] = []
        self.messages = 0

    async def handle_EHLO(self, server: SMTP, session: Any, envelope: Any, hostname: str, responses: Any) -> Any:  # noqa: N802
        self.commands.append(f"EHLO {hostname}")
        session.host_name = hostname
        return responses

    async def handle_MAIL(self, *_more: Any) -> str:  # noqa: N802
        self.messages += 1
        return "250 OK"

    async def handle_NOOP(self, server: SMTP, session: Any, envelope: Any, arg: str) -> str:  # noqa: N802
        self.commands.append("NOOP")
        return "250 OK"

    async def handle_QUIT(self, server: SMTP, session: Any, envelope: Any) -> str:  # noqa: N802
        self.commands.append("QUIT")
        return "221 Bye"


@contextmanager
def mail_server(
    *, certificates: Certificates | None = None, implicit: bool = False, port: int = 0, **options: Any
) -> Iterator[tuple[int, Mailbox]]:
    """aiosmtpd on a free port; with certificates it offers STARTTLS, or speaks TLS from the start if `implicit`."""
    box, port = Mailbox(), port or free_port()
    context = None
    if certificates:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates.cert, certificates.key)
    given: dict[str, Any] = {"hostname": "127.0.0.1", "port": port, "ready_timeout": 20.0, **options}
    if implicit:
        given["ssl_context"] = context
    elif context:
        given["tls_context"] = context
    controller = Controller(box, authenticator=lambda *_: AuthResult(success=False), **given)
    controller.start()
    try:
        yield port, box
    finally:
        controller.stop()


def closed_port() -> int:
    """A port on which nobody listens."""
    return free_port()


def file_with(folder: Path, name: str, text: str) -> Path:
    """A file for a secret."""
    path = folder / name
    path.write_text(text)
    return path
