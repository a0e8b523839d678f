"""What is particular to mail servers, PostgreSQL, Redis and plain TCP, against real ones."""

import datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

from demo.servers import Postgres
from tests.support.certificates import Certificates, make_certificates
from tests.support.probes import fault, probe
from tests.support.servers import RedisServer
from tests.support.services import Listener, echoing, file_with, mail_server, saying, secured


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def trusted(certificates: Certificates) -> dict[str, Any]:
    return {"ca_file": str(certificates.ca)}


def smtp(port: int, **given: Any) -> dict[str, Any]:
    return {"kind": "smtp", "address": f"localhost:{port}", "ip": "ipv4", **given}


class TestSmtp:
    def test_it_greets_and_leaves_and_sends_nothing(self) -> None:
        with mail_server(ident="mx1 is here") as (port, box):
            assert fault(10, **smtp(port, expect="mx1 is here")) is None
            assert fault(10, **smtp(port, expect="mx2 is here")) == "body"
            assert fault(10, **smtp(port, ehlo="postwatch.example.com")) is None
        assert [*box.commands[:3], box.commands[-3]] == [
            "EHLO [127.0.0.1]",
            "NOOP",
            "QUIT",
            "EHLO postwatch.example.com",
        ]
        assert box.messages == 0

    @pytest.mark.parametrize(
        ("starttls", "trust", "wanted", "encrypted"),
        [
            ("required", True, None, True),
            ("required", False, "certificate", True),
            ("optional", False, None, True),
            ("off", True, None, False),
        ],
    )
    def test_starttls(
        self, certificates: Certificates, trusted: dict[str, Any], starttls: str, trust: bool, wanted: str | None,
        encrypted: bool,
    ) -> None:  # fmt: skip
        with mail_server(certificates=certificates) as (port, box):
            result = probe(10, **smtp(port, starttls=starttls, tls=trusted if trust else {}))
        assert (result.failure and result.failure.fault) == wanted
        assert ("tls" in result.phases) == encrypted
        assert (result.certificate_expiry is not None) == encrypted
        if wanted is None and encrypted:
            assert len([command for command in box.commands if command.startswith("EHLO")]) == 2

    def test_starttls_that_is_not_offered(self) -> None:
        with mail_server() as (port, _box):
            assert fault(10, **smtp(port, starttls="required")) == "tls"
            assert fault(10, **smtp(port, starttls="optional")) is None

    def test_a_certificate_can_be_asked_for_where_encryption_is_optional(self, certificates: Certificates) -> None:
        with mail_server(certificates=certificates) as (port, _box):
            assert fault(10, **smtp(port, tls={"verify": True})) == "certificate"

    def test_an_expired_certificate(self, tmp_path: Path) -> None:
        old = make_certificates(tmp_path, datetime.timedelta(days=-3))
        with mail_server(certificates=old) as (port, _box):
            result = probe(10, **smtp(port, starttls="required", tls={"ca_file": str(old.ca)}))
        assert result.failure
        assert result.failure.fault == "certificate"
        three_days_ago = datetime.datetime.now(datetime.UTC).timestamp() - 3 * 86_400
        assert result.certificate_expiry == pytest.approx(three_days_ago, abs=120)

    def test_tls_from_the_start(self, certificates: Certificates, trusted: dict[str, Any]) -> None:
        with mail_server(certificates=certificates, implicit=True) as (port, _box):
            assert fault(10, **smtp(port, implicit_tls=True, tls=trusted)) is None
            assert fault(10, **smtp(port, implicit_tls=True)) == "certificate"

    def test_auth_is_looked_for_and_never_used(self, certificates: Certificates, trusted: dict[str, Any]) -> None:
        with mail_server(certificates=certificates) as (port, _box):
            assert fault(10, **smtp(port, auth=["plain", "LOGIN"], tls=trusted)) is None
            assert fault(10, **smtp(port, auth=["PLAIN", "XOAUTH2"], tls=trusted)) == "auth"
            # It is offered once the connection is encrypted.
            assert fault(10, **smtp(port, auth=["PLAIN"], starttls="off")) == "auth"

    @pytest.mark.parametrize(
        ("replies", "wanted"),
        [
            ([b"554 no service here\r\n"], "status"),
            ([b"421 later\r\n"], "status"),
            ([b"220 hi\r\n", b"550 not you\r\n"], "status"),
            ([b"220 hi\r\n", b"502 what?\r\n", b"250 hi\r\n", b"250 ok\r\n", b"221 bye\r\n"], None),
            ([b"220 hi\r\n", b"250 hi\r\n", b"421 too long\r\n"], "status"),
            ([b"220 hi\r\n", b"250 hi\r\n", b"250 ok\r\n"], None),  # and no word to QUIT
            ([b"220-a\r\n220 b\r\n", b"250-x\r\n250 AUTH=PLAIN\r\n", b"250 ok\r\n", b"221 bye\r\n"], None),
            ([b"220 hi\r\n", b"250-x\r\n250 STARTTLS\r\n", b"454 no TLS now\r\n"], "tls"),
            ([b"220 hi\r\n", b"250-x\r\n250 STARTTLS\r\n", b"220 go\r\n250 in the clear\r\n"], "protocol"),
            ([b"220 hi\r\n", b"250-x\r\n250 STARTTLS\r\n", b"220 go\r\n", b"no handshake"], "tls"),
            ([b"220-" + b"x" * 5000 + b"\r\n"], "protocol"),
            ([b"220-x\r\n" * 200], "protocol"),
            ([b"SSH-2.0-OpenSSH\r\n"], "protocol"),
        ],
    )  # fmt: skip
    def test_dialogues(self, replies: list[bytes], wanted: str | None) -> None:
        with Listener(saying(*replies)) as server:
            assert fault(10, kind="smtp", address=server.address) == wanted


class TestPostgres:
    @pytest.mark.parametrize(
        ("given", "wanted"),
        [
            ({}, None),
            ({"query": "select not pg_is_in_recovery()", "expect": "t"}, None),
            ({"query": "select 1; -- and a remark", "expect": "1"}, None),
            ({"query": "select count(*) from generate_series(1, 3)", "expect": "4"}, "body"),
            ({"query": "select 1 where false", "expect": "1"}, "body"),
            ({"query": "select null", "expect": ""}, "body"),
            ({"query": "select from nowhere"}, "status"),
            ({"query": "create table made_by_a_probe ()"}, "status"),
            ({"query": "commit; select 1"}, None),
            ({"query": "select pg_sleep(60)"}, "timeout"),
            ({"query": "select repeat('x', 1000), n from generate_series(1, 20000) n"}, None),
        ],
    )
    def test_queries(self, pg15: Postgres, given: dict[str, Any], wanted: str | None) -> None:
        limit = 1.0 if wanted == "timeout" else 10
        assert fault(limit, kind="postgres", url=pg15.url(), **given) == wanted

    def test_connecting_is_told_apart(self, pg15: Postgres) -> None:
        result = probe(10, kind="postgres", url=pg15.url(), query="select pg_sleep(0.3)")
        assert result.phases["first_byte"] + result.phases["transfer"] >= 0.3
        assert 0 < result.phases["connect"] < result.seconds - 0.3

    def test_who_may_not_come_in(self, pg15: Postgres) -> None:
        with psycopg.connect(pg15.url(), autocommit=True) as owner:
            owner.execute("create role full_up login connection limit 0")
        try:
            assert fault(10, kind="postgres", url=pg15.url(user="full_up")) == "refused"
            assert fault(10, kind="postgres", url=pg15.url(user="nobody_at_all")) == "auth"
            assert fault(10, kind="postgres", url=pg15.url("no_such_database")) == "auth"
        finally:
            with psycopg.connect(pg15.url(), autocommit=True) as owner:
                owner.execute("drop role full_up")

    def test_several_hosts_are_tried_in_turn(self, pg15: Postgres) -> None:
        url = f"postgresql://postgres@nowhere.invalid:1,127.0.0.1:1,127.0.0.1:{pg15.port}/postgres"
        assert fault(10, kind="postgres", url=url) is None

    def test_no_connection_is_left_behind(self, pg15: Postgres) -> None:
        for _ in range(3):
            assert fault(10, kind="postgres", url=pg15.url() + "?application_name=counted") is None
        with psycopg.connect(pg15.url()) as admin:
            row = admin.execute(
                "select count(*) from pg_stat_activity where application_name = 'counted' and state <> 'idle'"
            ).fetchone()
        assert row == (0,)


class TestRedis:
    def test_keys(self, redis_server: RedisServer, store: "redis.Redis") -> None:
        store.set("here", "1")
        assert fault(10, kind="redis", url=redis_server.url, key="here") is None
        assert fault(10, kind="redis", url=redis_server.url, key="gone") == "body"

    def test_rights(self) -> None:
        with RedisServer(password="p4ssword", users={"watch": "on >s3cret ~* -@all +ping"}) as server:
            assert fault(10, kind="redis", url=server.url) is None
            assert fault(10, kind="redis", url=server.url_as("watch", "s3cret")) is None
            assert fault(10, kind="redis", url=server.url_as("watch", "wrong")) == "auth"
            assert fault(10, kind="redis", url=server.url_as("watch", "s3cret"), key="x") == "auth"
            assert fault(10, kind="redis", url=f"redis://127.0.0.1:{server.port}") == "auth"

    def test_an_error_for_an_answer(self) -> None:
        loading = b"-LOADING Redis is loading the dataset in memory\r\n"
        with Listener(saying(b"", loading)) as server:
            assert fault(10, kind="redis", url=f"redis://{server.address}") == "status"
        with Listener(saying(b"-ERR max number of clients reached\r\n")) as server:
            assert fault(10, kind="redis", url=f"redis://{server.address}") == "refused"

    def test_tls(self) -> None:
        with RedisServer(tls=True) as server:
            assert server.certificates
            ca = str(server.certificates.ca)
            plain = server.url.partition("?")[0]
            result = probe(10, kind="redis", url=plain, tls={"ca_file": ca})
            assert result.failure is None
            assert result.certificate_expiry
            assert fault(10, kind="redis", url=f"{plain}?ssl_ca_certs={ca}") is None
            assert fault(10, kind="redis", url=f"{plain}?ssl_cert_reqs=none") is None
            assert fault(10, kind="redis", url=plain) == "certificate"

    def test_a_socket_in_the_file_system(self, tmp_path: Path) -> None:
        assert fault(10, kind="redis", url=f"unix://{tmp_path}/no.sock") == "refused"
        with RedisServer(settings={"unixsocket": "r.sock"}) as server:
            assert fault(10, kind="redis", url=f"unix://{server.folder}/r.sock") is None


class TestTcp:
    @pytest.mark.parametrize(
        ("given", "wanted"),
        [
            ({}, None),
            ({"send": "marco\n"}, None),
            ({"send": "marco\n", "expect": "marco"}, None),
            ({"send": "marco\n", "regex": "^mar.o$"}, None),
            ({"send": "marco\n", "expect": "polo"}, "timeout"),
            ({"send": "x" * 20_000, "expect": "polo"}, "body"),
        ],
    )
    def test_send_and_expect(self, given: dict[str, Any], wanted: str | None) -> None:
        limit = 0.5 if wanted == "timeout" else 10
        with Listener(echoing) as server:
            assert fault(limit, kind="tcp", address=server.address, **given) == wanted

    def test_an_end_without_what_was_expected(self) -> None:
        with Listener(saying(b"220 hello\r\n")) as server:
            assert fault(10, kind="tcp", address=server.address, expect="220") is None
            assert fault(10, kind="tcp", address=server.address, expect="221") == "body"

    def test_tls(self, certificates: Certificates, trusted: dict[str, Any]) -> None:
        with secured(echoing, certificates) as handler, Listener(handler) as server:
            given = {"kind": "tcp", "address": server.address, "send": "a", "expect": "a"}
            result = probe(10, **given, tls=trusted)
            assert result.failure is None
            assert result.certificate_expiry
            assert result.phases["tls"] > 0
            assert fault(10, **given, tls={}) == "certificate"


@pytest.mark.parametrize(
    ("kind", "address"),
    [
        ("http", "https://watch:hunter22@h/"),
        ("http", "no address: hunter22"),
        ("postgres", "postgresql://watch:hunter22@x@h/"),
        ("postgres", "password=hunter22 nonsense"),
        ("redis", "redis://:hunter22@x@h"),
        ("redis", "redis+cluster://:hunter22@h:1"),
    ],
)
def test_a_broken_address_in_a_file_is_not_quoted(tmp_path: Path, kind: str, address: str) -> None:
    """What stands in a file is looked at when it is used."""
    path = file_with(tmp_path, "address", address)
    result = probe(10, kind=kind, url_file=str(path))
    assert result.failure
    assert result.failure.fault == "protocol"
    assert "hunter22" not in repr(result)
