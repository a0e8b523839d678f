"""The signed webhook: proof of who sent it, a key that tells repetitions, and the alert as it came."""

from collections.abc import Iterator

import pytest

from alerter.model import Action, Reason
from alerter.receivers.base import DeliveryFailed
from alerter.receivers.webhook import signature
from chassis.clock import SystemClock
from demo.providers import Fault
from tests.contracts.receiving import WebhookHarness, receiver
from tests.support.telling import NOON, alert, message, storm


@pytest.fixture
def hook() -> Iterator[WebhookHarness]:
    harness = WebhookHarness()
    yield harness
    harness.stop()


def test_the_signature_is_over_timestamp_and_body() -> None:
    # HMAC-SHA-256 of '1700000000.{"a":1}' by the key 'secret', computed by openssl dgst -sha256 -hmac secret.
    told = "sha256=49f24e537407743fa4a0242bb63b94b9a47ee99cbbe071ccd8a22550ae411686"
    assert signature("secret", "1700000000", b'{"a":1}') == told


def test_what_is_sent(hook: WebhookHarness) -> None:
    with receiver(hook) as it:
        it.send(message())
    (taken,) = hook.provider.taken
    assert taken["version"] == 1
    assert (taken["action"], taken["status"], taken["severity"], taken["service"]) == (
        "trigger",
        "firing",
        "critical",
        "queues",
    )
    assert taken["delivery_id"] == "delivery-1"
    assert taken["dedup_key"] == alert().key
    assert taken["created_at"] == NOON
    (one,) = taken["alerts"]
    assert one["labels"] == alert().labels
    assert one["annotations"] == alert().annotations
    assert (one["starts_at"], one["ends_at"], one["fingerprint"]) == (NOON, None, "f1")


def test_a_lost_answer_doubles_nothing(hook: WebhookHarness) -> None:
    with receiver(hook) as it:
        hook.provider.inject(Fault.lost())
        with pytest.raises(DeliveryFailed) as caught:
            it.send(message())
        assert (caught.value.retry, caught.value.ambiguous) == (True, False)
        it.send(message())
    first, second = hook.provider.requests
    assert first.body == second.body
    assert len(hook.provider.taken) == 1


def test_each_attempt_is_signed_anew(hook: WebhookHarness) -> None:
    class Late(SystemClock):
        def now(self) -> float:
            return super().now() - 200

    for clock in (Late(), SystemClock()):
        with receiver(hook, clock) as it:
            it.send(message())
    first, second = hook.provider.requests
    assert first.headers["x-postwatch-timestamp"] != second.headers["x-postwatch-timestamp"]
    assert first.body == second.body  # the same message, whenever it is sent


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_any_2xx_will_do(hook: WebhookHarness, status: int) -> None:
    hook.provider.inject(Fault.status(status, "fine"))
    with receiver(hook) as it:
        it.send(message(Action.RESOLVE))


def test_a_storm_is_counted(hook: WebhookHarness) -> None:
    with receiver(hook) as it:
        it.send(storm(500, named=20))
    (taken,) = hook.provider.taken
    assert (taken["storm"], taken["count"], len(taken["alerts"])) == (True, 500, 20)
    assert taken["services"] == {"queues": 499, "redis": 1}


def test_an_address_in_a_file_is_looked_at_when_it_is_used(hook: WebhookHarness, tmp_path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "address").write_text("http://hooks.example.net/secret-path")
    with receiver(hook, folder=tmp_path, url=None, url_file="address") as it, pytest.raises(DeliveryFailed) as caught:
        it.send(message())
    assert (caught.value.reason, caught.value.opens_circuit) == (Reason.AUTH, True)
    assert "https is needed" in caught.value.text
    assert "secret-path" not in caught.value.text
