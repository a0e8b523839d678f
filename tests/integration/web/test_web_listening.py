"""Where the web shell listens, and how it ends."""

import io
import json
import socket
import threading
from pathlib import Path

import httpx
import pytest

from chassis.address import Address
from chassis.server import bind
from chassis.web import ListenFailed, PortTaken
from tests.integration.web.shell import HASH, Serve, Shell, lines, timed
from tests.support.wait import eventually


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

    def test_ipv6_is_listened_on_or_its_absence_is_told(self, serve: Serve, tmp_path: Path) -> None:
        try:
            socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        except OSError:  # a machine without IPv6
            with pytest.raises(ListenFailed, match=r"this machine has no address .* correct web\.listen"):
                Shell("listen: '[::1]:0'", tmp_path).server.start()
            return
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
