"""The web side of a daemon over real sockets, with routes that misbehave on demand."""

import gzip
import io
import json
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import bcrypt
import httpx
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from chassis.log import get_logger
from chassis.settings import parse
from chassis.web import Ready, Server, WebSettings, build_app

PASSWORD = "correct horse"
HASH = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
EXPOSITION = b"up 1\n"


@dataclass
class Metrics:
    asked: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)

    def body(self, accept: str, names: tuple[str, ...]) -> tuple[bytes, str]:
        self.asked.append((accept, names))
        return EXPOSITION, "text/plain; version=0.0.4; charset=utf-8"

    def gzipped(self, accept: str, names: tuple[str, ...]) -> tuple[bytes, str]:
        body, content_type = self.body(accept, names)
        return gzip.compress(body), content_type


class Shell:
    """A daemon's web side with routes that misbehave on demand."""

    def __init__(self, text: str, folder: Path, request_timeout: float = 30.0) -> None:
        self.settings = parse(text, WebSettings, {}, origin=str(folder / "config.yml"))
        self.metrics = Metrics()
        self.ready = Ready(True, "all is well")
        self.entered, self.go_on = threading.Event(), threading.Event()
        routes = [
            Route("/", lambda _: PlainTextResponse("landing")),
            Route("/crash", self._crash),
            Route("/slow", self._slow),
            Route("/echo", self._echo, methods=["POST"]),
        ]
        logger = get_logger("test.web")
        app = build_app(routes, self.settings, metrics=self.metrics, ready=lambda: self.ready, logger=logger)
        self.server = Server(app, self.settings, logger, request_timeout=request_timeout)

    def _crash(self, _request: Request) -> Response:
        raise RuntimeError("redis://:hunter22@h is down")

    def _slow(self, _request: Request) -> Response:
        self.entered.set()
        self.go_on.wait(30)
        return PlainTextResponse("done at last")

    async def _echo(self, request: Request) -> Response:
        return Response(await request.body())

    def get(self, path: str, **arguments: object) -> httpx.Response:
        return httpx.get(self.server.url + path, timeout=10, **arguments)  # type: ignore[arg-type]  # passed on

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.server.port), timeout=10)


Serve = Callable[..., Shell]


def lines(logs: io.StringIO, event: str) -> list[dict[str, object]]:
    return [line for line in map(json.loads, logs.getvalue().splitlines()) if line["event"] == event]


def timed(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began
