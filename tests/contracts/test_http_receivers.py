"""What every receiver that speaks HTTP keeps, whatever stands at the other end."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from alerter.model import Reason
from alerter.receivers.base import DeliveryFailed
from demo.providers import Fault
from tests.contracts.receiving import HARNESSES, failure, harness, receiver
from tests.support.certificates import Certificates
from tests.support.telling import message

HTTP = [name for name in HARNESSES if name != "email"]


@pytest.fixture(params=HTTP)
def web(request: pytest.FixtureRequest, certificates: Certificates) -> Iterator[Any]:
    made = harness(request.param, certificates)
    yield made
    made.stop()


@pytest.mark.parametrize(("said", "seconds"), [("7", 7.0), ("0", 0.0), ("99999999", 3600.0), ("soon", None)])
def test_a_provider_that_asks_for_patience_gets_it(web: Any, said: str, seconds: float | None) -> None:
    web.limited(said)
    with receiver(web) as it:
        failed = failure(it)
    assert (failed.reason, failed.retry, failed.after) == (Reason.RATE_LIMITED, True, seconds)


def test_no_redirect_is_followed(web: Any) -> None:
    from_here = web.stand_in
    from_here.inject(Fault.status(307, "", Location=f"{from_here.url}/elsewhere"))
    with receiver(web) as it:
        failed = failure(it)
    assert not failed.retry or failed.reason is Reason.UNAVAILABLE
    assert len(from_here.requests) == 1


def test_credentials_of_somebody_s_netrc_stay_there(web: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password of-somebody\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with receiver(web) as it:
        it.send(message())
    (request,) = web.stand_in.requests
    credentials = base64.b64encode(b"somebody:of-somebody").decode()
    assert credentials not in request.headers.get("authorization", "")


@pytest.mark.parametrize("web", [name for name in HTTP if name != "webhook"], indirect=True)  # there any 2xx will do
def test_a_page_in_the_provider_s_place_is_no_acceptance(web: Any) -> None:
    web.stand_in.inject(Fault.status(200, "<html>please log in</html>"))
    with receiver(web) as it:
        assert failure(it).retry


NONSENSE = [
    "", "\x00" * 100, "[" * 60_000, '"', "null", "[1, 2]", "x" * 300_000, '{"ok": true}',
    '{"ok": "perhaps", "error": 7}',
    '{"ok": false, "error": {"a": []}, "errors": 5, "message": {"b": 1}, "code": "x", "sid": [], "status": {}}',
]  # fmt: skip


@pytest.mark.parametrize("status", [200, 201, 202, 400, 500])
def test_whatever_a_provider_answers_is_an_outcome(web: Any, status: int) -> None:
    with receiver(web) as it:
        for said in NONSENSE:
            web.stand_in.inject(Fault.status(status, said))
            try:
                it.send(message())
            except DeliveryFailed as failed:
                assert failed.text.isprintable(), said[:20]
                assert len(failed.text) < 500, said[:20]


def test_plain_http_is_for_this_machine_only(web: Any) -> None:
    elsewhere: dict[str, Any] = {
        "webhook_url" if web.secret_option == "webhook_url" else "url": "http://hooks.example.net/x"
    }
    with pytest.raises(ValueError, match="https is needed"), receiver(web, **elsewhere):
        pass
