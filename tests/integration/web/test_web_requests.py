"""Requests to the web shell: what is logged of them, and those that are too large, too slow, or end in a crash."""

import io

import httpx
import pytest

from chassis.requests import DRAINED
from tests.integration.web.shell import Serve, lines
from tests.support.wait import eventually


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
