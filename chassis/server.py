"""Uvicorn in a thread of its own, on a socket that was bound before."""

import asyncio
import errno
import os
import socket
import ssl
import threading

import h11
import structlog
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from chassis.address import Address
from chassis.log import get_logger
from chassis.tls import RenewedTls
from chassis.websettings import WebSettings

_KEEP_ALIVE = 75  # seconds; longer than the usual scrape interval, so that scrapes share a connection
REQUEST_TIMEOUT = 30.0  # seconds for a whole request, head and body, to arrive
_CONNECTIONS = 256  # beyond that 503; each holds a file descriptor
_ABORT = 1.0  # seconds for the thread to end once its connections were cut


class ListenFailed(Exception):
    """The address cannot be listened on; the text says why and what to do next."""


class PortTaken(ListenFailed):
    """Another process, or this one, listens there already."""


class Server:
    """Serves an app as the settings say, from `start()` to `stop()`; `replace()` swaps the app meanwhile."""

    def __init__(
        self,
        app: ASGIApp,
        settings: WebSettings,
        logger: structlog.stdlib.BoundLogger | None = None,
        *,
        request_timeout: float = REQUEST_TIMEOUT,
    ) -> None:
        self._app = app
        self._protocol = type("Protocol", (_TimedProtocol,), {"_timeout": request_timeout})
        self._settings = settings
        self._logger = logger or get_logger("chassis.server")
        self._thread: threading.Thread | None = None
        self._uvicorn: _Uvicorn | None = None
        self._address = settings.listen

    def replace(self, app: ASGIApp) -> None:
        """Requests from now on go to `app`; those under way end where they began."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)

    @property
    def port(self) -> int:
        """The port in use, also if the settings left it to the system (0)."""
        return self._address.port

    @property
    def url(self) -> str:
        """Where a browser on this machine finds it."""
        host = "127.0.0.1" if self._address.is_wildcard else self._address.host
        return f"{'https' if self._settings.tls else 'http'}://{Address(host, self.port)}"

    def start(self) -> None:
        """Listens, and answers from now on. Raises PortTaken or ListenFailed."""
        tls = self._tls_context()
        bound = bind(self._settings.listen)
        self._address = Address(self._settings.listen.host, bound.getsockname()[1])
        config = uvicorn.Config(
            self,
            http=self._protocol,
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE,
            limit_concurrency=_CONNECTIONS,
            ssl_context_factory=(lambda _config, _default: tls) if tls else None,
        )
        self._uvicorn = _Uvicorn(config)
        self._thread = threading.Thread(target=self._uvicorn.run, args=([bound],), name="web", daemon=True)
        self._thread.start()
        self._uvicorn.ready.wait()
        self._logger.info("listening", url=self.url)
        if not self._settings.listen.is_loopback and not self._settings.authenticates:
            self._logger.warning(
                "anyone who reaches this address is let in; set web.basic_auth or web.bearer_token",
                listen=str(self._address),
            )

    def stop(self, timeout: float) -> None:
        """Accepts nothing more, lets requests under way end for at most `timeout` seconds, cuts the rest."""
        if self._thread is None or self._uvicorn is None:
            return
        self._uvicorn.should_exit = True
        self._thread.join(timeout)
        if self._thread.is_alive():
            self._logger.warning("requests still under way were cut off", waited=timeout)
            self._uvicorn.abort()
            self._thread.join(_ABORT)
        self._thread = None

    def _tls_context(self) -> ssl.SSLContext | None:
        if self._settings.tls is None:
            return None
        try:
            return RenewedTls(self._settings.tls, self._logger).context()
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            files = f"{self._settings.tls.cert_file}, {self._settings.tls.key_file}"
            raise ListenFailed(f"the TLS files cannot be used ({files}): {error}") from error


def bind(address: Address) -> socket.socket:
    """A socket that listens on `address`, on IPv4 and IPv6 where its host is empty."""
    try:
        if not address.host and socket.has_dualstack_ipv6():
            bound = socket.create_server(("", address.port), family=socket.AF_INET6, dualstack_ipv6=True)
        else:
            family, _, _, _, where = socket.getaddrinfo(
                address.host or None, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            bound = socket.create_server((str(where[0]), address.port), family=family)
    except OSError as error:
        raise _failure(address, error) from error
    # Connections inherit it. Else the end of an answer waits until its head is acknowledged, which may take 40 ms.
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return bound


def _failure(address: Address, error: OSError) -> ListenFailed:
    if error.errno == errno.EADDRINUSE:
        return PortTaken(
            f"{address} is in use by another process; `ss -ltnp sport = :{address.port}` shows which."
            " Stop it, or set web.listen to another port"
        )
    if error.errno == errno.EACCES:
        return ListenFailed(f"no permission to listen on {address}; set web.listen to a port from 1024 up")
    if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        return ListenFailed(f"this machine has no address {address.host}; correct web.listen ({address})")
    reason = os.strerror(error.errno) if error.errno else str(error)
    return ListenFailed(f"cannot listen on {address}: {reason}")


class _Uvicorn(uvicorn.Server):
    """Tells when it answers, and can be cut short from another thread."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            super().run(sockets)
        finally:
            self.ready.set()  # also if it never came so far, or start() would wait for ever

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    def abort(self) -> None:
        """Waits for nothing and nobody any more."""
        self.force_exit = True
        for connection in list(self.server_state.connections):
            loop, transport = connection.loop, connection.transport
            loop.call_soon_threadsafe(transport.abort)


class _TimedProtocol(H11Protocol):
    """Cuts a client that takes its time with a request; uvicorn has a limit only for the time between two."""

    _deadline: asyncio.TimerHandle | None = None
    _timeout = REQUEST_TIMEOUT

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        self._begin()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state in (h11.IDLE, h11.SEND_BODY):
            self._begin()  # more of the same request does not extend it
        else:
            self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._end()

    def _begin(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self._timeout, self.transport.close)

    def _end(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
