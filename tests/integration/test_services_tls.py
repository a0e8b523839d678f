"""Probes over TLS: certificates that are good, untrusted, another's or expired, and those of clients."""

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from exporter.services.attempt import Tools
from exporter.services.tls import TlsOptions
from tests.support.certificates import Certificates, make_certificates
from tests.support.probes import Watched, fault, probe
from tests.support.services import web_server, with_tls


def ok(_request: Request) -> Response:
    return PlainTextResponse("ok")


OK = Starlette(routes=[Route("/ok", ok)])


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("good"))


@pytest.fixture(scope="module")
def secure(certificates: Certificates) -> Iterator[int]:
    with web_server(OK, **with_tls(certificates)) as port:
        yield port


def test_a_valid_certificate(secure: int, certificates: Certificates) -> None:
    given = {"kind": "http", "tls": {"ca_file": str(certificates.ca)}}
    for host in ("localhost", "127.0.0.1"):
        result = probe(10, url=f"https://{host}:{secure}/ok", **given)
        assert result.failure is None, result.failure
        assert result.phases["tls"] > 0
        assert result.certificate_expiry == pytest.approx(_in(days=1), abs=120)


def test_a_certificate_of_an_authority_that_is_not_trusted(secure: int) -> None:
    result = probe(10, kind="http", url=f"https://localhost:{secure}/ok")
    assert result.failure
    assert result.failure.fault == "certificate"
    assert result.certificate_expiry == pytest.approx(_in(days=1), abs=120)
    assert fault(10, kind="http", url=f"https://localhost:{secure}/ok", tls={"verify": False}) is None


def test_a_certificate_for_another_name(secure: int, certificates: Certificates, tmp_path: Path) -> None:
    other = make_certificates(tmp_path, names=("mail.example.com",))
    tls = {"ca_file": str(other.ca)}
    with web_server(OK, **with_tls(other)) as port:
        result = probe(10, kind="http", url=f"https://localhost:{port}/ok", tls=tls)
        assert result.failure
        assert result.failure.fault == "certificate"
        assert "localhost" in str(result.failure)
        named = {**tls, "server_name": "mail.example.com"}
        assert fault(10, kind="http", url=f"https://localhost:{port}/ok", tls=named) is None


def test_a_certificate_that_has_expired(tmp_path: Path) -> None:
    old = make_certificates(tmp_path, datetime.timedelta(days=-2))
    given = {"name": "it", "kind": "http", "tls": {"ca_file": str(old.ca)}, "timeout": "10s"}
    with (
        web_server(OK, **with_tls(old)) as port,
        Watched({**given, "url": f"https://localhost:{port}/ok"}) as watched,
    ):
        samples = watched.look()
        (line,) = watched.part.table().lines
    assert samples.value("postwatch_service_failures_total", reason="certificate") == 1
    expiry = samples.value("postwatch_service_certificate_expiry_timestamp_seconds", target="it")
    assert expiry == pytest.approx(_in(days=-2), abs=120)
    assert "-2 d" in line.cells
    assert "expired" in line.cells[-1]


def test_a_client_certificate(certificates: Certificates) -> None:
    ours = {"cert_file": str(certificates.client_cert), "key_file": str(certificates.client_key)}
    with web_server(OK, **with_tls(certificates, ask_client=True)) as port:
        url = f"https://localhost:{port}/ok"
        assert fault(10, kind="http", url=url, tls={"ca_file": str(certificates.ca), **ours}) is None
        assert fault(10, kind="http", url=url, tls={"ca_file": str(certificates.ca)}) in ("tls", "protocol")


def test_where_no_tls_is_spoken() -> None:
    with web_server(OK) as port:
        assert fault(10, kind="http", url=f"https://127.0.0.1:{port}/ok") == "tls"


def test_files_that_are_not_there_or_change(secure: int, certificates: Certificates, tmp_path: Path) -> None:
    authority = tmp_path / "ca.crt"
    given = {"name": "it", "kind": "http", "url": f"https://localhost:{secure}/ok", "timeout": "10s",
             "tls": {"ca_file": str(authority)}}  # fmt: skip
    with Watched(given) as watched:
        samples = watched.look()
        assert samples.value("postwatch_service_failures_total", reason="tls") == 1
        authority.write_bytes(certificates.ca.read_bytes())
        assert watched.look().value("postwatch_service_up") == 1
        authority.write_text("half writ")  # the earlier one stays
        assert watched.look().value("postwatch_service_up") == 1


def test_one_context_serves_all(certificates: Certificates) -> None:
    tools = Tools(None)  # type: ignore[arg-type]  # contexts need no clock
    from_file = {"ca_file": certificates.ca}
    first = tools.contexts.get(_tls(**from_file), verify=True)
    assert tools.contexts.get(_tls(**from_file, server_name="x"), verify=True) is first
    assert tools.contexts.get(_tls(**from_file), verify=False) is not first


def _tls(**given: Any) -> TlsOptions:
    return TlsOptions(**given)


def _in(days: float) -> float:
    return datetime.datetime.now(datetime.UTC).timestamp() + days * 86_400
