"""Who is let in by the web shell: users by their passwords, bearers of a token."""

import io
from pathlib import Path

import bcrypt
import httpx
import pytest

from chassis.settings import SettingsError
from tests.integration.web.shell import HASH, PASSWORD, Serve, Shell, lines, timed


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
        with pytest.raises(SettingsError, match=r"basic_auth\.jo: no bcrypt hash; make one with: htpasswd"):
            Shell(f"basic_auth: {{{bad}}}", tmp_path)
