"""The web shell over real sockets: who is let in, what is refused, how it ends."""

import gzip
import io
import json
import shutil
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import bcrypt
import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from chassis.address import Address
from chassis.log import configure, get_logger
from chassis.requests import DRAINED
from chassis.server import bind
from chassis.settings import SettingsError, parse
from chassis.web import ListenFailed, PortTaken, Ready, Server, WebSettings, build_app
from tests.support.certificates import Certificates, make_certificates
from tests.support.wait import eventually

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


@pytest.fixture
def logs() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    configure("debug", "json", stream)
    yield stream
    configure("warning", "json")


@pytest.fixture
def serve(tmp_path: Path, logs: io.StringIO) -> Iterator[Serve]:
    running: list[Shell] = []

    def start(text: str = "", **arguments: float) -> Shell:
        shell = Shell(text or "listen: 127.0.0.1:0", tmp_path, **arguments)
        running.append(shell)
        shell.server.start()
        return shell

    yield start
    for shell in running:
        shell.go_on.set()
        shell.server.stop(5)


def lines(logs: io.StringIO, event: str) -> list[dict[str, object]]:
    return [line for line in map(json.loads, logs.getvalue().splitlines()) if line["event"] == event]


class TestPages:
    def test_health_and_readiness_are_sentences(self, serve: Serve) -> None:
        shell = serve()
        assert shell.get("/healthz").status_code == 200
        assert (shell.get("/readyz").status_code, shell.get("/readyz").text) == (200, "all is well\n")
        shell.ready = Ready(False, "no source answered yet")
        assert (shell.get("/readyz").status_code, shell.get("/readyz").text) == (
            503,
            "no source answered yet\n",
        )
        assert shell.get("/healthz").status_code == 200

    def test_metrics_are_plain_or_compressed_as_asked(self, serve: Serve) -> None:
        shell = serve()
        for encoding, compressed in [
            ("gzip", "gzip"),
            ("deflate, gzip;q=0.5", "gzip"),
            ("*", "gzip"),
            ("identity", None),
            ("gzip;q=0", None),
            ("gzip;q=x", None),
            ("", None),
        ]:
            answer = shell.get("/metrics", headers={"Accept-Encoding": encoding})
            assert answer.content == EXPOSITION, encoding
            assert answer.headers.get("content-encoding") == compressed, encoding
            assert answer.headers["vary"] == "Accept, Accept-Encoding"
            assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"

    def test_the_endpoint_gets_what_was_accepted_and_named(self, serve: Serve) -> None:
        shell = serve()
        shell.get("/metrics?name[]=a&name[]=b&other=c", headers={"Accept": "application/openmetrics-text"})
        assert shell.metrics.asked == [("application/openmetrics-text", ("a", "b"))]

    def test_headers_tell_browsers_to_be_careful_and_nobody_what_runs_here(self, serve: Serve) -> None:
        for path in ("/", "/metrics", "/none", "/crash"):
            headers = serve().get(path).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["x-frame-options"] == "DENY"
            assert headers["content-security-policy"] == "default-src 'none'; style-src 'unsafe-inline'"
            assert "server" not in headers

    def test_what_is_not_there_or_not_allowed_is_told_in_json(self, serve: Serve) -> None:
        shell = serve()
        assert (shell.get("/none").status_code, shell.get("/none").json()["error"]) == (404, "Not Found")
        refused = httpx.post(shell.server.url + "/metrics")
        assert (refused.status_code, refused.json()["error"]) == (405, "Method Not Allowed")
        assert "GET" in refused.headers["allow"]

    def test_another_app_takes_over_between_requests(self, serve: Serve) -> None:
        shell = serve()
        shell.server.replace(PlainTextResponse("the new one"))
        assert shell.get("/").text == "the new one"


class TestRequests:
    @pytest.mark.parametrize("sane", ["abc-1.2_3", "x" * 128])
    def test_a_sane_request_id_is_kept(self, serve: Serve, logs: io.StringIO, sane: str) -> None:
        assert serve().get("/", headers={"X-Request-ID": sane}).headers["x-request-id"] == sane
        eventually(lambda: [line["request_id"] for line in lines(logs, "request")] == [sane])

    @pytest.mark.parametrize("insane", ["", "a b", "x" * 129, 'a"b', "<script>"])
    def test_any_other_is_replaced(self, serve: Serve, insane: str) -> None:
        answered = serve().get("/", headers={"X-Request-ID": insane}).headers["x-request-id"]
        assert len(answered) == 32
        assert answered != insane

    def test_a_request_is_logged_with_what_it_took(self, serve: Serve, logs: io.StringIO) -> None:
        serve().get("/none?secret=x")
        line = eventually(lambda: lines(logs, "request"))[0]
        assert (line["level"], line["method"], line["path"], line["status"]) == ("debug", "GET", "/none", 404)
        assert "duration_ms" in line

    def test_a_crash_is_one_line_and_no_traceback_for_the_client(self, serve: Serve, logs: io.StringIO) -> None:
        answer = serve().get("/crash", headers={"X-Request-ID": "id-1"})
        assert (answer.status_code, answer.json()) == (500, {"error": "internal error", "request_id": "id-1"})
        (line,) = eventually(lambda: lines(logs, "request failed"))
        assert (line["level"], line["request_id"]) == ("error", "id-1")
        assert "RuntimeError" in str(line["exception"])
        assert "hunter22" not in logs.getvalue()
        assert not [each for each in logs.getvalue().splitlines() if "ASGI" in each]

    def test_a_body_at_the_limit_passes(self, serve: Serve) -> None:
        shell = serve("{listen: '127.0.0.1:0', max_body: 1KiB}")
        assert httpx.post(shell.server.url + "/echo", content=b"x" * 1024).content == b"x" * 1024

    def test_a_larger_one_is_refused_before_it_is_sent(self, serve: Serve) -> None:
        shell = serve("{listen: '127.0.0.1:0', max_body: 1KiB}")
        with shell.connect() as client:
            client.sendall(b"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1025\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 413 ")

    def test_a_larger_one_of_unknown_length_is_refused(self, serve: Serve) -> None:
        shell = serve("{listen: '127.0.0.1:0', max_body: 1KiB}")
        answer = httpx.post(shell.server.url + "/echo", content=iter([b"x" * 600, b"x" * 600]))
        assert answer.status_code == 413
        assert "at most 1024 bytes" in answer.json()["error"]
        assert answer.json()["request_id"] == answer.headers["X-Request-ID"]

    @pytest.mark.parametrize("announced", [True, False])
    def test_who_sends_it_all_before_he_listens_hears_of_the_refusal(self, serve: Serve, announced: bool) -> None:
        shell = serve("{listen: '127.0.0.1:0', max_body: 1KiB}")
        size, piece = 64 << 20, b"x" * (1 << 20)
        length = f"Content-Length: {size}" if announced else "Transfer-Encoding: chunked"
        with shell.connect() as client:
            client.sendall(f"POST /echo HTTP/1.1\r\nHost: h\r\n{length}\r\n\r\n".encode())
            for _ in range(size // len(piece)):
                client.sendall(piece if announced else b"%x\r\n%s\r\n" % (len(piece), piece))
            if not announced:
                client.sendall(b"0\r\n\r\n")
            answer = b""
            while received := client.recv(65536):
                answer += received
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b"at most 1024 bytes" in answer

    def test_a_refused_body_without_end_is_cut(self, serve: Serve) -> None:
        shell = serve("{listen: '127.0.0.1:0', max_body: 1KiB}")
        with shell.connect() as client, pytest.raises(ConnectionError):
            client.sendall(b"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000000000\r\n\r\n")
            for _ in range(2 * DRAINED // (1 << 20)):
                client.sendall(b"x" * (1 << 20))

    def test_who_asks_before_he_sends_is_told_not_to(self, serve: Serve) -> None:
        shell = serve("{listen: '127.0.0.1:0', max_body: 1KiB}")
        with shell.connect() as client:
            client.sendall(b"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1025\r\nExpect: 100-continue\r\n\r\n")
            answer = b""
            while received := client.recv(65536):
                answer += received
        assert answer.startswith(b"HTTP/1.1 413 ")

    @pytest.mark.parametrize(
        "begun", [b"", b"GET / HT", b"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nx"]
    )
    def test_a_client_that_takes_its_time_is_cut(self, serve: Serve, begun: bytes) -> None:
        shell = serve(request_timeout=0.3)
        with shell.connect() as client:
            client.sendall(begun)
            assert client.recv(100) == b""

    def test_a_client_that_drips_is_cut_as_well(self, serve: Serve) -> None:
        shell = serve(request_timeout=0.5)
        with shell.connect() as client:
            client.settimeout(0.05)
            client.sendall(b"GET / HTTP/1.1\r\n")

            def dripped_until_cut() -> bool:
                try:
                    client.sendall(b"a: b\r\n")
                    return client.recv(100) == b""
                except TimeoutError:
                    return False
                except ConnectionError:
                    return True

            eventually(dripped_until_cut, within=5)

    def test_a_slow_answer_is_no_slow_request(self, serve: Serve) -> None:
        shell = serve(request_timeout=0.2)
        with shell.connect() as client:
            client.sendall(b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n")
            client.settimeout(0.6)
            with pytest.raises(TimeoutError):
                client.recv(100)
            shell.go_on.set()
            client.settimeout(10)
            assert client.recv(100).startswith(b"HTTP/1.1 200 ")


class TestAuthentication:
    def test_a_user_with_the_right_password_is_let_in(self, serve: Serve) -> None:
        shell = serve(f"{{listen: '127.0.0.1:0', basic_auth: {{jo: {HASH}}}}}")
        assert shell.get("/metrics", auth=("jo", PASSWORD)).status_code == 200
        for refused in [
            ("jo", "wrong"),
            ("jo", ""),
            ("al", PASSWORD),
            ("", ""),
            ("jo\0", PASSWORD),
            ("jo", "\0"),
        ]:
            assert shell.get("/metrics", auth=refused).status_code == 401, refused

    def test_what_is_no_proof_is_refused_with_a_challenge(self, serve: Serve) -> None:
        shell = serve(f"{{listen: '127.0.0.1:0', basic_auth: {{jo: {HASH}}}, bearer_token: t0ken}}")
        for header in (
            "",
            "Basic",
            "Basic !!!",
            "Basic am8=",
            "Bearer",
            "Bearer t0ke",
            "Digest x",
            "Bearer \xff",
        ):
            answer = shell.get("/metrics", headers={"Authorization": header.encode("latin-1")})
            assert answer.status_code == 401, header
            assert "Basic realm=" in answer.headers["www-authenticate"]
            assert "Bearer realm=" in answer.headers["www-authenticate"]
            assert "x-request-id" in answer.headers

    def test_a_bearer_of_the_token_is_let_in_beside_users(self, serve: Serve) -> None:
        shell = serve(f"{{listen: '127.0.0.1:0', basic_auth: {{jo: {HASH}}}, bearer_token: t0ken}}")
        assert shell.get("/", headers={"Authorization": "Bearer t0ken"}).status_code == 200
        assert shell.get("/", auth=("jo", PASSWORD)).status_code == 200

    def test_everything_but_the_probes_is_closed(self, serve: Serve) -> None:
        shell = serve("{listen: '127.0.0.1:0', bearer_token: t0ken}")
        statuses = {path: shell.get(path).status_code for path in ("/", "/metrics", "/none", "/healthz/", "/crash")}
        assert set(statuses.values()) == {401}
        assert shell.get("/healthz").status_code == shell.get("/readyz").status_code == 200

    def test_hash_and_token_are_read_anew_when_they_rotate(self, serve: Serve, tmp_path: Path) -> None:
        (tmp_path / "hash").write_text(HASH + "\n")
        (tmp_path / "token").write_text("first\n")
        shell = serve("{listen: '127.0.0.1:0', basic_auth: {jo_file: hash}, bearer_token_file: token}")
        assert shell.get("/", auth=("jo", PASSWORD)).status_code == 200
        assert shell.get("/", headers={"Authorization": "Bearer first"}).status_code == 200
        (tmp_path / "hash").write_text(bcrypt.hashpw(b"other", bcrypt.gensalt(4)).decode())
        (tmp_path / "token").write_text("second")
        assert shell.get("/", auth=("jo", PASSWORD)).status_code == 401
        assert shell.get("/", auth=("jo", "other")).status_code == 200
        assert shell.get("/", headers={"Authorization": "Bearer first"}).status_code == 401
        assert shell.get("/", headers={"Authorization": "Bearer second"}).status_code == 200

    def test_a_missing_file_lets_nobody_in_and_is_said_once(self, serve: Serve, logs: io.StringIO) -> None:
        shell = serve("{listen: '127.0.0.1:0', basic_auth: {jo_file: none}, bearer_token_file: none}")
        for _ in range(3):
            assert shell.get("/", auth=("jo", PASSWORD)).status_code == 401
        assert len(lines(logs, "secret unavailable, so nobody is let in with it")) == 1

    def test_a_proven_password_costs_no_bcrypt_again(self, serve: Serve) -> None:
        slow = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(12)).decode()  # about 200 ms
        shell = serve(f"{{listen: '127.0.0.1:0', basic_auth: {{jo: {slow}}}}}")
        with httpx.Client(base_url=shell.server.url, auth=("jo", PASSWORD)) as client:
            first = timed(lambda: client.get("/"))
            again = sorted(timed(lambda: client.get("/")) for _ in range(9))[4]
        assert again < first / 3

    def test_an_unknown_user_takes_as_long_as_a_known_one(self, serve: Serve) -> None:
        slow = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(12)).decode()
        shell = serve(f"{{listen: '127.0.0.1:0', basic_auth: {{jo: {slow}}}}}")
        known = min(timed(lambda: shell.get("/", auth=("jo", "wrong"))) for _ in range(3))
        unknown = min(timed(lambda: shell.get("/", auth=("al", "wrong"))) for _ in range(3))
        assert unknown > known / 2

    @pytest.mark.parametrize("bad", ["jo: plaintext", "jo: '$1$abc'"])
    def test_what_is_no_hash_is_a_mistake(self, tmp_path: Path, bad: str) -> None:
        with pytest.raises(SettingsError, match=r"basic_auth\.jo is no bcrypt hash; make one with: htpasswd"):
            Shell(f"basic_auth: {{{bad}}}", tmp_path)


def timed(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


class TestTls:
    TLS = "{listen: '127.0.0.1:0', tls: {cert_file: server.crt, key_file: server.key}}"
    MUTUAL = "{listen: '127.0.0.1:0', tls: {cert_file: server.crt, key_file: server.key, client_ca_file: ca.crt}}"

    @pytest.fixture
    def certificates(self, tmp_path: Path) -> Certificates:
        return make_certificates(tmp_path)

    def test_a_client_that_trusts_the_ca_is_answered(self, serve: Serve, certificates: Certificates) -> None:
        shell = serve(self.TLS)
        assert shell.server.url.startswith("https://127.0.0.1:")
        assert shell.get("/", verify=ssl.create_default_context(cafile=certificates.ca)).text == "landing"

    def test_mutual_tls_lets_in_only_certificates_of_the_ca(
        self, serve: Serve, certificates: Certificates, tmp_path: Path
    ) -> None:
        shell = serve(self.MUTUAL)
        stranger = make_certificates(tmp_path / "other")
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError, httpx.ConnectError)):
            shell.get("/healthz", verify=context_of(certificates, None))
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError, httpx.ConnectError)):
            shell.get("/healthz", verify=context_of(certificates, stranger))
        assert shell.get("/", verify=context_of(certificates, certificates)).status_code == 200

    def test_renewed_files_count_from_the_next_connection(
        self, serve: Serve, certificates: Certificates, tmp_path: Path, logs: io.StringIO
    ) -> None:
        shell = serve(self.MUTUAL)
        old = context_of(certificates, certificates)
        assert shell.get("/", verify=old).status_code == 200
        (tmp_path / "server.crt").write_text("half written")
        assert shell.get("/", verify=old).status_code == 200
        assert len(lines(logs, "changed TLS files cannot be used; the earlier stay")) == 1
        renewed = make_certificates(tmp_path / "renewed")
        trusts_the_old_server = context_of(certificates, renewed)
        for file in (renewed.ca, renewed.cert, renewed.key):
            shutil.copy(file, tmp_path)
        assert shell.get("/", verify=context_of(renewed, renewed)).status_code == 200
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            shell.get("/", verify=trusts_the_old_server)
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError, httpx.ConnectError)):
            shell.get("/", verify=old_client_of(renewed, tmp_path))

    def test_unusable_files_are_told_at_the_start(self, tmp_path: Path, certificates: Certificates) -> None:
        certificates.cert.write_text("none")
        with pytest.raises(ListenFailed, match=r"the TLS files cannot be used .*server\.crt"):
            Shell(self.TLS, tmp_path).server.start()


def context_of(trusted: Certificates, client: Certificates | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=trusted.ca)
    if client:
        context.load_cert_chain(client.client_cert, client.client_key)
    return context


def old_client_of(renewed: Certificates, folder: Path) -> ssl.SSLContext:
    """Trusts the renewed server but shows a certificate of the CA that was replaced."""
    context = ssl.create_default_context(cafile=renewed.ca)
    context.load_cert_chain(folder / "client.crt", folder / "client.key")
    return context


class TestListening:
    def test_a_taken_port_says_what_to_do(self, serve: Serve, tmp_path: Path) -> None:
        port = serve().server.port
        with pytest.raises(PortTaken, match=f"127.0.0.1:{port} is in use .* set web.listen to another port"):
            Shell(f"listen: 127.0.0.1:{port}", tmp_path).server.start()

    @pytest.mark.parametrize("listen", ["192.0.2.1:0", "no-such-host.invalid:0"])
    def test_an_address_of_another_machine_is_told(self, tmp_path: Path, listen: str) -> None:
        with pytest.raises(ListenFailed, match=r"this machine has no address .* correct web\.listen"):
            Shell(f"listen: {listen}", tmp_path).server.start()

    @pytest.mark.parametrize("listen", ["0.0.0.0:0", ":0"])
    def test_every_interface_is_reached(self, serve: Serve, listen: str) -> None:
        shell = serve(f"listen: '{listen}'")
        assert shell.server.url == f"http://127.0.0.1:{shell.server.port}"
        assert shell.get("/").status_code == 200

    @pytest.mark.parametrize("host", ["127.0.0.1", ""])
    def test_an_answer_is_not_held_back_until_its_head_is_acknowledged(self, host: str) -> None:
        with (
            bind(Address(host, 0)) as listening,
            socket.create_connection(("127.0.0.1", listening.getsockname()[1])),
            listening.accept()[0] as accepted,
        ):
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    def test_ipv6_is_listened_on(self, serve: Serve) -> None:
        try:
            socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        except OSError:
            pytest.skip("this machine has no IPv6")
        shell = serve("listen: '[::1]:0'")
        assert shell.server.url.startswith("http://[::1]:")
        assert shell.get("/").status_code == 200

    @pytest.mark.parametrize(
        ("text", "warned"),
        [
            ("listen: 0.0.0.0:0", True),
            ("{listen: '0.0.0.0:0', bearer_token: t0ken}", False),
            (f"{{listen: '0.0.0.0:0', basic_auth: {{jo: {HASH}}}}}", False),
            ("listen: 127.0.0.1:0", False),
        ],
        ids=["anybody", "token", "users", "loopback"],  # a hash is another one in each worker of the tests
    )
    def test_an_open_door_is_warned_of(self, serve: Serve, logs: io.StringIO, text: str, warned: bool) -> None:
        serve(text)
        found = [line for line in map(json.loads, logs.getvalue().splitlines()) if line["level"] == "warning"]
        assert bool(found) == warned
        assert not warned or "is let in; set web.basic_auth or web.bearer_token" in found[0]["event"]


class TestTheEnd:
    def test_a_request_under_way_is_answered_and_no_new_one_accepted(self, serve: Serve) -> None:
        shell = serve()
        with shell.connect() as client:
            client.sendall(b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n")
            assert shell.entered.wait(10)
            stopping = threading.Thread(target=shell.server.stop, args=(10,))
            stopping.start()
            eventually(lambda: refuses(shell))
            shell.go_on.set()
            answer = b"".join(iter(lambda: client.recv(1000), b""))
        stopping.join(10)
        assert not stopping.is_alive()
        assert answer.endswith(b"done at last")

    def test_idle_connections_do_not_delay_it(self, serve: Serve) -> None:
        shell = serve()
        with httpx.Client(base_url=shell.server.url) as client, shell.connect():
            client.get("/")
            assert timed(lambda: shell.server.stop(10)) < 3

    def test_a_request_without_end_is_cut(self, serve: Serve, logs: io.StringIO) -> None:
        shell = serve()
        with shell.connect() as client:
            client.sendall(b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n")
            assert shell.entered.wait(10)
            assert timed(lambda: shell.server.stop(0.5)) < 5
            assert lines(logs, "requests still under way were cut off")
            with pytest.raises(ConnectionError):
                expect_data(client)

    def test_stopping_twice_or_before_the_start_does_nothing(self, serve: Serve, tmp_path: Path) -> None:
        shell = serve()
        shell.server.stop(5)
        shell.server.stop(5)
        Shell("listen: 127.0.0.1:0", tmp_path).server.stop(5)

    def test_the_port_is_free_again(self, serve: Serve, tmp_path: Path) -> None:
        shell = serve()
        shell.get("/")
        shell.server.stop(5)
        again = Shell(f"listen: 127.0.0.1:{shell.server.port}", tmp_path)
        again.server.start()
        again.server.stop(5)


def refuses(shell: Shell) -> bool:
    try:
        shell.connect().close()
    except ConnectionRefusedError:
        return True
    return False


def expect_data(client: socket.socket) -> None:
    if client.recv(100) == b"":
        raise ConnectionError
