"""What all stand-ins are: an HTTP server on a free port of this machine, with faults to order."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from demo.providers.exchange import Fault, Reply, Request

_LARGEST = 8 << 20  # bytes; beyond it nobody reads on


class Limit:
    """A rate: so many in so many seconds, counted in a sliding window."""

    def __init__(self, count: int, seconds: float) -> None:
        self.count = count
        self.seconds = seconds
        self._taken: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def take(self, key: str, now: float) -> float:
        """0 if one more is within the limit, which is then taken; else the seconds until it is."""
        with self._lock:
            taken = self._taken.setdefault(key, deque())
            while taken and taken[0] <= now - self.seconds:
                taken.popleft()
            if len(taken) >= self.count:
                return max(taken[0] + self.seconds - now, 0.001)
            taken.append(now)
            return 0.0


class StandIn:
    """A server from `start` (or `with`) to `stop`; started again it is at the same port, with what it had."""

    def __init__(self, *, delay: float = 0.0) -> None:
        """`delay` in seconds before each answer."""
        self.requests: list[Request] = []
        self.lost_answers: list[Request] = []  # those that were processed, of which the sender cannot know
        self.port = 0
        self._delay = delay
        self._faults: deque[Fault] = deque()
        self._fault: Callable[[Request], Fault | None] = lambda _request: None
        self._server: _Server | None = None
        self._closing = threading.Event()
        self.lock = threading.RLock()

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def answer(self, request: Request) -> Reply:
        """What a well provider answers. Called with the lock held."""
        raise NotImplementedError

    def inject(self, *faults: Fault) -> None:
        """The next requests go wrong so, one after the other."""
        with self.lock:
            self._faults.extend(faults)

    def always(self, fault: Fault | Callable[[Request], Fault | None] | None) -> None:
        """From now on every request goes wrong so, or as the function says; None: none does."""
        self._fault = fault if callable(fault) else lambda _request: fault

    def start(self) -> Self:
        """Answer from now on."""
        self._closing.clear()
        self._server = _Server(("127.0.0.1", self.port), _Handler, self)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), name="stand-in", daemon=True).start()
        return self

    def stop(self) -> None:
        """Refuse connections, and cut those that are open."""
        server, self._server = self._server, None
        if server is not None:
            self._closing.set()
            server.shutdown()
            server.server_close()
            server.cut()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def handle(self, request: Request) -> Reply | None:
        """The answer; None: the connection is to be cut."""
        with self.lock:
            self.requests.append(request)
            fault = self._faults.popleft() if self._faults else self._fault(request)
            reply = fault.reply if fault else None
            if fault is None or fault.processed:
                done = self.answer(request)
                reply = reply or (done if fault is None else None)
                if fault is not None:
                    self.lost_answers.append(request)
        if wait := (fault.delay if fault else 0.0) or self._delay:
            self._closing.wait(wait)
        return reply


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler], stand_in: StandIn) -> None:
        self.stand_in = stand_in
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is its own affair."""

    def cut(self) -> None:
        with self._lock:
            for each in self._open:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if length > _LARGEST:
            self._send(Reply(413, "too large"))
            self.close_connection = True
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, headers, self.rfile.read(length), time.monotonic())
        reply = self.server.stand_in.handle(request)
        if reply is None:
            # Without lingering, closing sends a reset.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            return
        self._send(reply)

    def do_GET(self) -> None:
        self.do_POST()

    def _send(self, reply: Reply) -> None:
        body = reply.body
        kind = "text/plain; charset=utf-8" if isinstance(reply.content, str) else "application/json; charset=utf-8"
        self.send_response(reply.status)
        for name, value in ({"Content-Type": kind} | dict(reply.headers)).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing to standard error."""
