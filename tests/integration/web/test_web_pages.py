"""What the web shell answers."""

import httpx
from starlette.responses import PlainTextResponse

from chassis.web import Ready
from tests.integration.web.shell import EXPOSITION, Serve


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
