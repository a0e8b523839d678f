"""Probes over HTTP: what is sent, what is expected, redirects, against uvicorn."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from tests.support.probes import Watched, fault, probe
from tests.support.services import Listener, answering, file_with, web_server

METHODS = ["GET", "HEAD", "POST", "PUT", "OPTIONS"]


class Api:
    """An application that remembers what it was asked."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.elsewhere = ""
        routes = [
            Route("/ok", self.answer(PlainTextResponse("all is ok")), methods=METHODS),
            Route("/health", self.answer(JSONResponse(DOCUMENT, headers={"X-Version": "Build 7"}))),
            Route("/status/{code:int}", self.status),
            Route("/moved", self.answer(RedirectResponse("/ok")), methods=METHODS),
            Route("/seen", self.answer(RedirectResponse("/ok", 303)), methods=METHODS),
            Route("/loop", self.answer(RedirectResponse("/loop"))),
            Route("/away", self.away),
            Route(
                "/latin", self.answer(Response("caf\xe9".encode("latin-1"), media_type="text/plain; charset=latin-1"))
            ),
            Route("/large", self.answer(PlainTextResponse("x" * 3_000_000 + "end"))),
        ]
        self.app = Starlette(routes=routes)

    async def remember(self, request: Request) -> None:
        body = await request.body()
        self.requests.append((request.method, str(request.url), dict(request.headers), body))

    def answer(self, response: Response) -> Any:
        async def handler(request: Request) -> Response:
            await self.remember(request)
            return response

        return handler

    async def status(self, request: Request) -> Response:
        return PlainTextResponse("", request.path_params["code"])

    async def away(self, request: Request) -> Response:
        await self.remember(request)
        return RedirectResponse(self.elsewhere)


DOCUMENT = {"status": "ok", "checks": {"db": [{"ok": True, "lag": 1.5}], "none": None}, "count": 1}


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Api, int]]:
    api = Api()
    with web_server(api.app) as port:
        yield api, port


@pytest.fixture
def api(served: tuple[Api, int]) -> Api:
    served[0].requests.clear()
    return served[0]


@pytest.fixture
def url(served: tuple[Api, int]) -> str:
    return f"http://127.0.0.1:{served[1]}"


@pytest.mark.parametrize(
    ("path", "expect", "wanted"),
    [
        ("/ok", {}, None),
        ("/ok", {"status": 200, "body": "is ok"}, None),
        ("/ok", {"status": [204, "2xx"]}, None),
        ("/ok", {"status": 204}, "status"),
        ("/ok", {"body": "is well"}, "body"),
        ("/ok", {"regex": "^all .* ok$"}, None),
        ("/ok", {"regex": "^ok"}, "body"),
        ("/status/500", {}, "status"),
        ("/status/503", {"status": 503}, None),
        ("/status/401", {}, "auth"),
        ("/status/403", {}, "auth"),
        ("/status/404", {}, "status"),
        ("/health", {"json": {"status": "ok", "checks.db[0].ok": True, "checks.db[0].lag": 1.5}}, None),
        ("/health", {"json": {"checks.none": None, "count": 1}}, None),
        ("/health", {"json": {"count": True}}, "body"),
        ("/health", {"json": {"checks.db[0].ok": 1}}, "body"),
        ("/health", {"json": {"checks.db[1].ok": True}}, "body"),
        ("/health", {"json": {"status.more": "ok"}}, "body"),
        ("/ok", {"json": {"status": "ok"}}, "body"),
        ("/health", {"headers": {"x-version": "build", "Content-Type": "application/json"}}, None),
        ("/health", {"headers": {"x-version": "8"}}, "body"),
        ("/health", {"headers": {"x-other": "7"}}, "body"),
        ("/latin", {"body": "café"}, None),
        ("/large", {"body": "xxx"}, None),  # of which 1 MiB is read
        ("/large", {"body": "end"}, "body"),
    ],
)
def test_expectations(api: Api, url: str, path: str, expect: dict[str, Any], wanted: str | None) -> None:
    assert fault(10, kind="http", url=url + path, expect=expect) == wanted


def test_the_answer_is_never_quoted(api: Api, url: str) -> None:
    result = probe(10, kind="http", url=f"{url}/ok", expect={"body": "nothing of this"})
    assert result.failure
    assert str(result.failure) == "'nothing of this' is not in the body of 9 bytes"


@pytest.mark.parametrize("method", METHODS)
def test_what_is_sent(api: Api, url: str, tmp_path: Path, method: str) -> None:
    token = file_with(tmp_path, "token", "t0ken-of-a-file\n")
    given = {
        "headers": {"Accept": "application/json", "Host-Hint": "a"}, "secret_headers": {"X-Key_file": str(token)},
        "bearer_token_file": str(token), "body": "ping",
    }  # fmt: skip
    assert fault(10, kind="http", url=f"{url}/ok?a=b%20c&d=\u00fc", method=method, **given) is None
    ((seen, where, headers, body),) = api.requests
    assert (seen, where.partition("?")[2], body) == (method, "a=b%20c&d=%C3%BC", b"ping")
    assert headers["accept"] == "application/json"
    assert headers["x-key"] == "t0ken-of-a-file"
    assert headers["authorization"] == "Bearer t0ken-of-a-file"
    assert headers["host"] == url.removeprefix("http://")


def test_a_secret_file_is_read_at_each_probe(api: Api, url: str, tmp_path: Path) -> None:
    password = file_with(tmp_path, "password", "old")
    given = {"name": "it", "kind": "http", "url": f"{url}/ok", "timeout": "10s",
             "basic_auth": {"username": "watch", "password_file": str(password)}}  # fmt: skip
    with Watched(given) as watched:
        watched.look()
        password.write_text("new")
        watched.look()
        password.unlink()
        samples = watched.look()
    assert [headers["authorization"] for _, _, headers, _ in api.requests] == [
        "Basic d2F0Y2g6b2xk",
        "Basic d2F0Y2g6bmV3",
    ]
    assert samples.value("postwatch_service_failures_total", reason="auth") == 1


class TestRedirects:
    def test_they_are_followed(self, api: Api, url: str) -> None:
        assert fault(10, kind="http", url=f"{url}/moved", expect={"body": "is ok"}) is None
        assert len(api.requests) == 2

    def test_but_not_if_their_status_is_expected(self, api: Api, url: str) -> None:
        assert fault(10, kind="http", url=f"{url}/moved", expect={"status": 307}) is None
        assert len(api.requests) == 1

    def test_nor_for_ever(self, api: Api, url: str) -> None:
        result = probe(10, kind="http", url=f"{url}/loop", redirects=3)
        assert result.failure
        assert (result.failure.fault, result.code) == ("status", "307")
        assert len(api.requests) == 4

    def test_nor_at_all_if_so_told(self, api: Api, url: str) -> None:
        assert fault(10, kind="http", url=f"{url}/moved", redirects=0) == "status"

    def test_a_post_becomes_a_get_where_browsers_do_so(self, api: Api, url: str) -> None:
        assert fault(10, kind="http", url=f"{url}/seen", method="POST", body="x") is None
        assert fault(10, kind="http", url=f"{url}/moved", method="POST", body="x") is None
        assert [(method, body) for method, _, _, body in api.requests] == [
            ("POST", b"x"), ("GET", b""), ("POST", b"x"), ("POST", b"x"),
        ]  # fmt: skip

    def test_what_is_secret_stays_with_the_configured_origin(self, api: Api, url: str) -> None:
        other = Api()
        with web_server(other.app) as port:
            api.elsewhere = f"http://127.0.0.1:{port}/ok"
            given = {"secret_headers": {"X-Key": "s3cret"}, "bearer_token": "s3cret", "headers": {"Cookie": "s3cret"}}
            assert fault(10, kind="http", url=f"{url}/away", **given) is None
        ((_, _, told, _),) = api.requests
        assert (told["x-key"], told["authorization"], told["cookie"]) == ("s3cret", "Bearer s3cret", "s3cret")
        ((_, _, elsewhere, _),) = other.requests
        assert "s3cret" not in str(elsewhere)

    def test_to_nowhere(self, api: Api, url: str) -> None:
        api.elsewhere = "ftp://example.com/"
        assert fault(10, kind="http", url=f"{url}/away") == "protocol"


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", "protocol"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "protocol"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "protocol"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n", "protocol"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n", "protocol"),
        (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", None),
        (b"HTTP/1.1 204 No Content\r\n\r\n", None),
    ],
)  # fmt: skip
def test_odd_answers(answer: bytes, wanted: str | None) -> None:
    with Listener(answering(answer)) as server:
        assert fault(10, kind="http", url=f"http://{server.address}/") == wanted


def test_an_address_of_ipv6() -> None:
    answer = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    try:
        server = Listener(answer, host="::1")
    except OSError:  # a machine without IPv6: that is its defect, and says nothing of any target
        with pytest.raises(OSError, match="Cannot assign"):
            probe(10, kind="http", url="http://[::1]:1/")
        return
    with server:
        url = f"http://[::1]:{server.port}/"
        assert fault(10, kind="http", url=url, expect={"body": "ok"}) is None
        assert fault(10, kind="http", url=url, ip="ipv6") is None
        assert fault(10, kind="http", url=url, ip="ipv4") == "resolve"


def test_codes_are_counted_and_bounded(url: str, api: Api) -> None:
    def answer(code: int) -> bytes:
        return f"HTTP/1.1 {code} X\r\nContent-Length: 0\r\n\r\n".encode()

    codes = iter(range(400, 430))
    with Listener(lambda sock, over: answering(answer(next(codes)))(sock, over)) as server:
        given = {"name": "it", "kind": "http", "url": f"http://{server.address}/", "timeout": "10s"}
        with Watched(given) as watched:
            (target,) = watched.part.targets
            target.publish(watched.board)
            assert watched.samples().by("code", "postwatch_service_http_responses_total") == {"200": 0}
            counted = watched.look(30).by("code", "postwatch_service_http_responses_total")
    assert counted.pop("_other") == 11
    assert counted == {"200": 0, **{str(code): 1 for code in range(400, 419)}}
