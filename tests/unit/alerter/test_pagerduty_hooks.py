"""What PagerDuty posts: who may say it, and what it means."""

import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from alerter.receivers.base import Heard, NotProven, Unintelligible
from alerter.receivers.pagerduty_hooks import PagerDutyEar
from chassis.secrets import Secret, SecretUnavailable
from demo.providers import PagerDuty

SECRET = "a secret of the subscription's"
EAR = PagerDutyEar(Secret(SECRET))
AT = datetime(2026, 11, 22, 3, 12, tzinfo=UTC).timestamp()


def posted(event_type: str, key: str = "k" * 64, who: str = "Ann Otter", *secrets: str) -> tuple[bytes, dict[str, str]]:
    body, headers = PagerDuty().webhook(event_type, key, who, *(secrets or (SECRET,)), at=AT)
    return body, {name.lower(): value for name, value in headers.items()}


def changed(change: Callable[[dict[str, Any]], object]) -> tuple[bytes, dict[str, str]]:
    """An acknowledgement with another event, signed as it then is."""
    content = json.loads(posted("incident.acknowledged")[0])
    change(content["event"])
    return signed(json.dumps(content).encode())


def signed(body: bytes) -> tuple[bytes, dict[str, str]]:
    return body, {"x-pagerduty-signature": "v1=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()}


@pytest.mark.parametrize(
    ("event_type", "who", "heard"),
    [
        ("incident.acknowledged", "Ann Otter", Heard("k" * 64, True, "Ann Otter (PagerDuty)", AT)),
        ("incident.acknowledged", "", Heard("k" * 64, True, "somebody (PagerDuty)", AT)),
        ("incident.acknowledged", "Ünï\r\n<b>", Heard("k" * 64, True, "Ünï <b> (PagerDuty)", AT)),
        ("incident.unacknowledged", "", Heard("k" * 64, False, "somebody (PagerDuty)", AT)),
        ("incident.reopened", "Ann Otter", Heard("k" * 64, False, "Ann Otter (PagerDuty)", AT)),
        ("incident.resolved", "Ann Otter", Heard("k" * 64, True, "Ann Otter (PagerDuty, resolved there)", AT)),
        ("incident.resolved", "", None),
        ("incident.triggered", "", None),
        ("incident.annotated", "Ann Otter", None),
        ("pagey.ping", "", None),
    ],
)
def test_an_event(event_type: str, who: str, heard: Heard | None) -> None:
    assert EAR.hear(*posted(event_type, "k" * 64, who)) == heard


@pytest.mark.parametrize("secrets", [(SECRET,), ("another", SECRET), (SECRET, "another")])
def test_while_a_secret_is_renewed_one_signature_of_several_is_enough(secrets: tuple[str, ...]) -> None:
    assert EAR.hear(*posted("incident.acknowledged", "k", "Ann", *secrets))


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "v1=",
        "v1=" + "0" * 64,
        "v0={right}",
        "{right}",
        "v1={right}0",
        "v1=" + "ü" * 64,
        "v1=wrong," * 16 + "v1={right}",  # beyond what is looked at
    ],
)
def test_what_is_not_signed_is_refused(header: str | None) -> None:
    body, headers = posted("incident.acknowledged")
    right = headers.pop("x-pagerduty-signature").removeprefix("v1=")
    if header is not None:
        headers["x-pagerduty-signature"] = header.replace("{right}", right)
    with pytest.raises(NotProven):
        EAR.hear(body, headers)


def test_a_body_that_was_changed_is_refused() -> None:
    body, headers = posted("incident.acknowledged")
    with pytest.raises(NotProven):
        EAR.hear(body + b" ", headers)


def test_an_empty_secret_proves_nothing() -> None:
    with pytest.raises(NotProven):
        PagerDutyEar(Secret(" ")).hear(*posted("incident.acknowledged", "k", "Ann", ""))


def test_a_secret_that_cannot_be_read_is_said_and_a_renewed_one_counts_at_once(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    ear = PagerDutyEar(Secret.from_file(file))
    with pytest.raises(SecretUnavailable):
        ear.hear(*posted("incident.acknowledged"))
    file.write_text(f"{SECRET}\n")
    assert ear.hear(*posted("incident.acknowledged"))
    file.write_text("renewed")
    with pytest.raises(NotProven):
        ear.hear(*posted("incident.acknowledged"))


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b'{"event": []}', b'{"messages": []}'])
def test_what_is_signed_and_cannot_be_read_is_said_in_a_sentence(body: bytes) -> None:
    with pytest.raises(Unintelligible, match=r"^.{5,100}$"):
        EAR.hear(*signed(body))


@pytest.mark.parametrize(
    "change",
    [
        lambda event: event.update(event_type=7),
        lambda event: event.update(data=None),
        lambda event: event.pop("event_type"),
    ],
)
def test_an_event_without_what_it_needs(change: Callable[[dict[str, Any]], object]) -> None:
    with pytest.raises(Unintelligible):
        EAR.hear(*changed(change))


@pytest.mark.parametrize("key", [None, "", 7, "a\0b", "\ud800", "x" * 256])
def test_an_incident_that_is_none_of_ours(key: object) -> None:
    assert EAR.hear(*changed(lambda event: event["data"].update(incident_key=key))) is None


def test_a_time_that_is_none_is_not_known() -> None:
    heard = EAR.hear(*changed(lambda event: event.update(occurred_at="now")))
    assert heard is not None
    assert heard.at is None
