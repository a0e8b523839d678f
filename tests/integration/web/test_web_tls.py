"""The web shell behind TLS: certificates of both sides, and their renewal."""

import io
import shutil
import ssl
from pathlib import Path

import httpx
import pytest

from chassis.web import ListenFailed
from tests.integration.web.shell import Serve, Shell, lines
from tests.support.certificates import Certificates, make_certificates


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
