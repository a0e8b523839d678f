"""What every kind of probe keeps, against real servers."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from demo.servers import Postgres
from exporter.services import KINDS
from exporter.services.failure import Fault
from tests.support.probes import Watched, fault, probe
from tests.support.servers import RedisServer
from tests.support.services import (
    Handler,
    Listener,
    closed_port,
    dripping,
    echoing,
    mail_server,
    saying,
    silent,
    web_server,
)

SECRET = "hunter2-and-more"
LIMIT = 0.5  # seconds, where a probe has to be ended
SLACK = 1.5  # seconds beside it that a busy machine may take
Given = dict[str, Any]


@dataclass(frozen=True)
class Harness:
    """What the suite has to know of a kind."""

    at: Callable[[str, int], Given]  # options for a host and a port
    healthy: Callable[[pytest.FixtureRequest, int], AbstractContextManager[int]]  # a server at a port, or any; its port
    drip: Handler  # what keeps a client waiting for ever, a little at a time
    secret: Callable[[int], Given]  # options that hold SECRET
    refuses: Callable[[pytest.FixtureRequest], AbstractContextManager[int]]  # a server that does not take SECRET
    refusal: str = "auth"
    nonsense: tuple[str, ...] = ("protocol",)  # reasons for an answer that is none


def hello(request: Request) -> Response:
    return PlainTextResponse("ok") if "authorization" not in request.headers else PlainTextResponse("no", 401)


@contextmanager
def http_server(_request: pytest.FixtureRequest, port: int = 0) -> Iterator[int]:
    with web_server(Starlette(routes=[Route("/", hello)]), port) as given:
        yield given


@contextmanager
def echo_server(_request: pytest.FixtureRequest, port: int = 0) -> Iterator[int]:
    with Listener(echoing, port) as server:
        yield server.port


@contextmanager
def silent_server(_request: pytest.FixtureRequest) -> Iterator[int]:
    with Listener(saying(b"", b"no\n")) as server:
        yield server.port


@contextmanager
def smtp_server(_request: pytest.FixtureRequest, port: int = 0) -> Iterator[int]:
    with mail_server(port=port) as (given, _box):
        yield given


@contextmanager
def postgres_server(request: pytest.FixtureRequest, port: int = 0) -> Iterator[int]:
    if not port:
        yield request.getfixturevalue("pg15").port
        return
    with Postgres(port=port):
        yield port


@contextmanager
def redis_with_password(_request: pytest.FixtureRequest) -> Iterator[int]:
    with RedisServer(password="another") as server:
        yield server.port


@contextmanager
def plain_redis(request: pytest.FixtureRequest, port: int = 0) -> Iterator[int]:
    if not port:
        yield request.getfixturevalue("redis_server").port
        return
    with RedisServer(port=port):
        yield port


HARNESSES = {
    "http": Harness(
        at=lambda host, port: {"url": f"http://{host}:{port}/"},
        healthy=http_server,
        drip=dripping(b"HTTP/1.1 200 OK\r\n", b"x"),
        secret=lambda port: {"url": f"http://127.0.0.1:{port}/?token={SECRET}", "bearer_token": SECRET},
        refuses=http_server,
    ),
    "tcp": Harness(
        at=lambda host, port: {"address": f"{host}:{port}", "send": "marco", "expect": "marco"},
        healthy=echo_server,
        drip=dripping(b"", b"x"),
        secret=lambda port: {"address": f"127.0.0.1:{port}", "send": SECRET, "expect": "yes"},
        refuses=silent_server,
        refusal="body",
        nonsense=("body",),
    ),
    "smtp": Harness(
        at=lambda host, port: {"address": f"{host}:{port}"},
        healthy=smtp_server,
        drip=dripping(b"", b"220-wait\r\n"),
        secret=lambda port: {"address": f"127.0.0.1:{port}", "auth": ["XOAUTH2"]},  # it takes no secret
        refuses=smtp_server,
    ),
    "postgres": Harness(
        at=lambda host, port: {"url": f"postgresql://postgres@{host}:{port}/postgres?sslmode=disable"},
        healthy=postgres_server,
        drip=dripping(b"R\0\0\x07\xd0", b"x"),  # a request to log in that never ends
        secret=lambda port: {"url": f"postgresql://nobody:{SECRET}@127.0.0.1:{port}/postgres"},
        refuses=postgres_server,
        nonsense=("protocol", "refused"),
    ),
    "redis": Harness(
        at=lambda host, port: {"url": f"redis://{host}:{port}/1"},
        healthy=plain_redis,
        drip=dripping(b"$100000\r\n", b"x"),
        secret=lambda port: {"url": f"redis://:{SECRET}@127.0.0.1:{port}/0"},
        refuses=redis_with_password,
    ),
}


@pytest.fixture(params=[kind.KIND for kind in KINDS])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def harness(kind: str) -> Harness:
    return HARNESSES[kind]


def test_every_kind_has_a_harness() -> None:
    assert set(HARNESSES) == {kind.KIND for kind in KINDS}


def test_healthy(kind: str, harness: Harness, request: pytest.FixtureRequest) -> None:
    with harness.healthy(request, 0) as port:
        result = probe(10, kind=kind, **harness.at("127.0.0.1", port))
    assert result.failure is None
    assert 0 < result.seconds < 10
    assert {"resolve", "connect", "first_byte"} <= set(result.phases)
    assert sum(result.phases.values()) == pytest.approx(result.seconds, abs=0.2)


def test_a_name_is_resolved_and_the_family_kept_to(kind: str, harness: Harness, request: pytest.FixtureRequest) -> None:
    with harness.healthy(request, 0) as port:
        # Where localhost is ::1 first, nobody listens there, and the next address is taken.
        assert fault(10, kind=kind, **harness.at("localhost", port)) is None
        assert fault(10, kind=kind, ip="ipv4", **harness.at("localhost", port)) is None
        assert fault(10, kind=kind, ip="ipv6", **harness.at("127.0.0.1", port)) == "resolve"


def test_refused(kind: str, harness: Harness) -> None:
    result = probe(kind=kind, **harness.at("127.0.0.1", closed_port()))
    assert result.failure
    assert result.failure.fault is Fault.REFUSED


def test_a_name_without_an_address(kind: str, harness: Harness) -> None:
    result = probe(kind=kind, **harness.at("nowhere.invalid", 1))
    assert result.failure
    assert result.failure.fault is Fault.RESOLVE


@pytest.mark.parametrize("way", ["silent", "drip"])
def test_the_time_limit_holds(kind: str, harness: Harness, way: str) -> None:
    """Of a server that says nothing, and of one that says a little, again and again."""
    with Listener(silent if way == "silent" else harness.drip) as server:
        began = time.monotonic()
        result = probe(LIMIT, kind=kind, **harness.at("127.0.0.1", server.port))
        took = time.monotonic() - began
    assert result.failure
    assert result.failure.fault is Fault.TIMEOUT
    assert LIMIT * 0.9 <= took < LIMIT + SLACK


def test_nobody_takes_us_in(kind: str, harness: Harness) -> None:
    """A server whose queue of connections is full does not even refuse."""
    with ExitStack() as stack, Full(stack) as port:
        began = time.monotonic()
        result = probe(LIMIT, kind=kind, **harness.at("127.0.0.1", port))
        took = time.monotonic() - began
    assert result.failure
    assert result.failure.fault is Fault.TIMEOUT
    assert took < LIMIT + SLACK


@pytest.mark.parametrize("said", [b"", b"\x00\xff nonsense, and no protocol of anybody\r\n"])
def test_what_is_no_answer(kind: str, harness: Harness, said: bytes) -> None:
    with Listener(saying(said)) as server:
        reason = fault(kind=kind, **harness.at("127.0.0.1", server.port))
    assert reason in harness.nonsense


def test_down_and_back(kind: str, harness: Harness, request: pytest.FixtureRequest) -> None:
    port = closed_port()
    given = {"name": "it", "kind": kind, "down_after": 2, "recover_after": 2, "timeout": "10s"}
    with Watched({**given, **harness.at("127.0.0.1", port)}) as watched:
        watched.look()
        assert watched.state("it") == "degraded"
        samples = watched.look()
        assert watched.state("it") == "down"
        assert samples.get("postwatch_service_up", target="it", kind=kind) == 0
        assert samples.value("postwatch_service_failures_total", target="it", reason="refused") == 2
        with harness.healthy(request, port):
            samples = watched.look()
            assert samples.get("postwatch_service_up", target="it", kind=kind) == 1
            assert watched.state("it") == "down"
            watched.look()
            assert watched.state("it") == "healthy"


def test_all_reasons_states_and_counters_are_there_before_the_first_probe(kind: str, harness: Harness) -> None:
    with Watched({"name": "it", "kind": kind, "labels": {"team": "a"}, **harness.at("127.0.0.1", 1)}) as watched:
        (target,) = watched.part.targets
        target.publish(watched.board)
        samples = watched.samples()
        labels = {"target": "it", "kind": kind, "team": "a"}
        reasons = samples.by("reason", "postwatch_service_failures_total", **labels)
        assert reasons == {each.value: 0 for each in Fault}
        assert samples.by("state", "postwatch_service_state", **labels) == dict.fromkeys(
            ("healthy", "degraded", "down"), 0
        )
        assert samples.value("postwatch_service_probes_total", **labels) == 0
        assert samples.value("postwatch_service_response_seconds_count", **labels) == 0
        assert samples.get("postwatch_service_up", **labels) is None


def test_no_secret_is_told(kind: str, harness: Harness, request: pytest.FixtureRequest) -> None:
    with (
        structlog.testing.capture_logs() as log,
        harness.refuses(request) as port,
        Watched({"name": "it", "kind": kind, "down_after": 1, "timeout": "10s", **harness.secret(port)}) as watched,
    ):
        watched.look()
        (target,) = watched.part.targets
        assert target.last
        assert target.last.failure
        assert target.last.failure.fault == harness.refusal
        told = [str(target.last.failure), repr(target.last), watched.text(), str(log), str(watched.part.table())]
        assert all(SECRET not in text for text in told)
        assert "service_state" in str(log)


class Full:
    """A port whose queue of connections is full: what comes next gets no answer at all."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def __enter__(self) -> int:
        server = self._stack.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        port: int = server.getsockname()[1]
        for _ in range(4):
            client = self._stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", port))
        return port

    def __exit__(self, *_exception: object) -> None:
        self._stack.close()
