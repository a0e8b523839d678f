"""Who may post to the alerter: whoever has the token, the password or a certificate; and what is written down."""

import ssl
from pathlib import Path

import bcrypt
import httpx
import pytest

from tests.support.alerter import TOKEN, Alerter, alert, command, payload, write
from tests.support.certificates import make_certificates

PASSWORD = "correct horse"


def hashed(password: str) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()


def test_a_token_or_a_password_and_nobody_else(tmp_path: Path) -> None:
    (tmp_path / "bcrypt").write_text(hashed(PASSWORD))
    with Alerter(tmp_path, {"web": {"basic_auth": {"alertmanager_file": "bcrypt"}}}) as alerter:

        def post(path: str = "/webhook", **proof: object) -> int:
            body = payload(alert("Backlog"))
            return httpx.post(f"{alerter.url}{path}", json=body, timeout=20, **proof).status_code  # type: ignore[arg-type]

        assert post(headers={"Authorization": f"Bearer {TOKEN}"}) == 200
        assert post(auth=("alertmanager", PASSWORD)) == 200
        for path in ("/webhook", "/webhook/other", "/api/v1/alerts/1/ack"):
            assert post(path) == 401
            assert post(path, auth=("alertmanager", "wrong")) == 401
            assert post(path, auth=("somebody", PASSWORD)) == 401
            assert post(path, headers={"Authorization": f"Bearer {TOKEN}x"}) == 401
            assert post(path, headers={"Authorization": TOKEN}) == 401
        for path in ("/", "/metrics", "/api/v1/alerts", "/api/v1/alerts/stream"):
            assert httpx.get(f"{alerter.url}{path}").status_code == 401
        for path in ("/healthz", "/readyz"):
            assert httpx.get(f"{alerter.url}{path}").status_code == 200
        # Rotated, both count at once.
        (tmp_path / "bcrypt").write_text(hashed("another"))
        assert post(auth=("alertmanager", PASSWORD)) == 401
        assert post(auth=("alertmanager", "another")) == 200

        # Who acknowledges with a password is known by its user, whatever the body claims.
        auth = httpx.BasicAuth("alertmanager", "another")
        assert httpx.post(f"{alerter.url}/api/v1/alerts/1/ack", json={"by": "boss"}, auth=auth).status_code == 200
        assert alerter.feed()[0]["acknowledged"]["by"] == "alertmanager"
        entries = alerter.audit()
        assert ("alertmanager", "acknowledged", "alert 1") in entries
        # One entry for a crowd of refusals: guessing does not fill the disk.
        assert [entry for entry in entries if entry[1] == "login_refused"] == [
            ("127.0.0.1", "login_refused", "/webhook")
        ]
    assert PASSWORD not in alerter.output.read_text()


def test_nobody_else_s_page_acknowledges_by_a_browser_that_knows_the_password(tmp_path: Path) -> None:
    with Alerter(tmp_path, {"external_url": "https://alerts.example.com"}) as alerter:
        alerter.send(alert("Backlog"))

        def post(path: str, origin: str) -> int:
            return alerter.client.post(path, json={}, headers={"Origin": origin}).status_code

        for origin in ("https://elsewhere.example.com", "null", "http://alerts.example.com.elsewhere", "http://[", ""):
            for path in ("/api/v1/alerts/1/ack", "/webhook"):
                assert post(path, origin) == 403, origin
        assert alerter.feed()[0]["acknowledged"] is None
        assert post("/api/v1/alerts/99/ack", alerter.url) == 404
        assert post("/api/v1/alerts/1/ack", "https://alerts.example.com") == 200


def test_mutual_tls(tmp_path: Path) -> None:
    certificates = make_certificates(tmp_path / "certificates")
    tls = {
        "cert_file": str(certificates.cert),
        "key_file": str(certificates.key),
        "client_ca_file": str(certificates.ca),
    }
    with Alerter(tmp_path, {"web": {"tls": tls, "bearer_token": None}}) as alerter:
        assert alerter.url.startswith("https://")
        context = ssl.create_default_context(cafile=str(certificates.ca))
        with pytest.raises(httpx.TransportError):
            httpx.post(f"{alerter.url}/webhook", json=payload(alert("Stranger")), verify=context, timeout=20)
        strangers = make_certificates(tmp_path / "others")
        context.load_cert_chain(strangers.client_cert, strangers.client_key)
        with pytest.raises(httpx.TransportError):
            httpx.post(f"{alerter.url}/webhook", json=payload(alert("Stranger")), verify=context, timeout=20)
        known = ssl.create_default_context(cafile=str(certificates.ca))
        known.load_cert_chain(certificates.client_cert, certificates.client_key)
        with httpx.Client(base_url=alerter.url, verify=known, timeout=20) as client:
            assert client.post("/webhook", json=payload(alert("Known"))).status_code == 200
            assert [each["message"] for each in client.get("/api/v1/alerts").json()["alerts"]] == ["Known is unwell"]


def test_beyond_this_machine_nobody_listens_without_proof(tmp_path: Path) -> None:
    done = command("run", "--config", write(tmp_path, {"web": {"listen": "0.0.0.0:0"}}))
    assert done.returncode == 2
    assert done.stderr.startswith("web.listen: 0.0.0.0:0 can be reached from outside, so a proof is needed")
