"""What every kind of receiver keeps, each before a server that holds to its provider's wire."""

import logging
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from alerter.model import Action, Mark, Reason
from alerter.receivers import KINDS
from alerter.receivers.base import Accepted, Receiver, ReceiverOptions
from chassis.clock import ManualClock
from tests.contracts.receiving import HARNESSES, HttpHarness, failure, harness, receiver
from tests.support.certificates import Certificates
from tests.support.services import Listener, dripping
from tests.support.telling import alert, message, storm
from tests.support.wait import eventually

NASTY = (
    '{{ "a"*9 }} <!channel> <@U024BE7LH> & "quoted" \r\nBcc: all@example.net\x00\ud800 \u202eolleh `x` *y* é 漢字 🔥'
)


@pytest.fixture(params=list(HARNESSES))
def provider(request: pytest.FixtureRequest, certificates: Certificates) -> Iterator[Any]:
    made = harness(request.param, certificates)
    yield made
    made.stop()


@pytest.fixture
def it(provider: Any) -> Iterator[Receiver]:
    with receiver(provider) as made:
        yield made


def test_every_kind_is_in_this_suite() -> None:
    assert {module.KIND for module in KINDS} == {name.partition("-")[0] for name in HARNESSES}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.KIND)
def test_every_option_is_described(kind: Any) -> None:
    assert issubclass(kind.Options, ReceiverOptions)
    models = [kind.Options, *([templates] if (templates := _templates(kind)) else [])]
    for model in models:
        assert all(field.description for field in model.model_fields.values())


def _templates(kind: Any) -> Any:
    field = kind.Options.model_fields.get("templates")
    return field.annotation if field else None


def test_what_happened_is_told(provider: Any, it: Receiver) -> None:
    accepted = it.send(message())
    (told,) = provider.told()
    for word in ("12,431 jobs wait in email-sending", "queue", "email-sending", "high"):
        assert word in told
    over = message(Action.RESOLVE, delivery_id="delivery-2", memory=accepted.memory or {})
    assert isinstance(it.send(over), Accepted)


def test_marks_are_told(provider: Any, it: Receiver) -> None:
    it.send(message(marks=frozenset({Mark.FALLBACK}), note="oncall did not take it within 30 s"))
    assert "fallback" in provider.told()[0] or "oncall did not take it within 30 s" in provider.told()[0]


def test_a_test_says_that_it_is_one(provider: Any, it: Receiver) -> None:
    it.send(message(marks=frozenset({Mark.TEST})))
    assert "test" in provider.told()[0].lower()


def test_a_storm_is_counted_and_its_worst_named(provider: Any, it: Receiver) -> None:
    it.send(storm(500))
    (told,) = provider.told()
    assert "500" in told
    assert "12,431 jobs wait in email-sending" in told


def test_what_the_provider_cannot_take_now_is_to_be_tried_again(provider: Any, it: Receiver) -> None:
    provider.unavailable()
    failed = failure(it)
    assert (failed.reason, failed.retry, failed.opens_circuit) == (Reason.UNAVAILABLE, True, False)
    assert provider.told() == []
    it.send(replace(message(), progress=failed.progress))
    assert len(provider.told()) == 1


def test_nobody_there_is_to_be_tried_again(provider: Any, it: Receiver) -> None:
    provider.stop()
    failed = failure(it)
    assert (failed.reason, failed.retry, failed.ambiguous) == (Reason.NETWORK, True, False)


def test_no_answer_ends_in_time(provider: Any, it: Receiver) -> None:
    provider.hang()
    began = time.monotonic()
    failed = failure(it)
    assert (failed.reason, failed.retry) == (Reason.TIMEOUT, True)
    assert time.monotonic() - began < 5


def test_an_answer_a_drop_at_a_time_ends_in_time(provider: Any) -> None:
    drips = [(b"220-wait\r\n", b"220-wait\r\n"), (b"", b"x")]
    if isinstance(provider, HttpHarness):
        drips = [(b"HTTP/1.1 200 OK\r\nX-Wait: ", b"x"), (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b" ")]
    for start, drop in drips:
        with Listener(dripping(start, drop)) as server, receiver(provider, **_at(provider, server.address)) as it:
            began = time.monotonic()
            failed = failure(it)
            assert (failed.reason, failed.retry) == (Reason.TIMEOUT, True)
            assert time.monotonic() - began < 5


def _at(provider: Any, address: str) -> dict[str, Any]:
    """The provider's settings, for another server."""
    given: dict[str, Any] = provider.options()
    if "smarthost" in given:
        return {"smarthost": address}
    (name,) = {"url", "webhook_url"} & given.keys()
    return {name: urlsplit(given[name])._replace(netloc=address).geturl()}


def test_a_broken_connection_is_to_be_tried_again(provider: Any, it: Receiver) -> None:
    provider.drop()
    failed = failure(it)
    assert failed.retry
    assert failed.reason in (Reason.NETWORK, Reason.UNAVAILABLE)


def test_a_refusal_is_final(provider: Any, it: Receiver) -> None:
    provider.refuse("channel_not_found")
    failed = failure(it)
    assert (failed.reason, failed.retry, failed.opens_circuit) == (Reason.REJECTED, False, False)
    it.send(message())  # and says nothing of the next


def test_a_wrong_credential_opens_the_circuit_and_is_not_shown(provider: Any) -> None:
    wrong = provider.secret[:-4] + "0000"
    with receiver(provider, **{provider.secret_option: wrong}) as it:
        failed = failure(it)
    assert failed.reason is Reason.AUTH
    assert failed.opens_circuit
    assert failed.retry  # the message is not to blame
    assert wrong not in "".join(traceback.format_exception(failed))


def test_a_missing_secret_opens_the_circuit_and_a_later_one_counts(provider: Any, tmp_path: Path) -> None:
    file: dict[str, Any] = {f"{provider.secret_option}_file": "secret", provider.secret_option: None}
    with receiver(provider, folder=tmp_path, **file) as it:
        failed = failure(it)
        assert (failed.reason, failed.opens_circuit) == (Reason.AUTH, True)
        assert "secret" in failed.text
        (tmp_path / "secret").write_text(f"{provider.secret}\n")
        it.send(message())
    assert len(provider.told()) == 1


def test_what_a_provider_quotes_of_a_secret_is_masked(
    provider: Any, it: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    provider.refuse(f"nobody likes {provider.secret} here")
    failed = failure(it)
    logged = [record.getMessage() for record in caplog.records if record.name != "mail.log"]  # the server's own
    shown = "\n".join([*traceback.format_exception(failed), repr(failed), str(vars(it)), *logged])
    assert provider.secret not in shown
    assert provider.secret.rpartition("/")[2] not in shown  # the part of an address that is the secret
    assert "\n" not in failed.text


def test_a_secret_stands_in_no_address(provider: Any, it: Receiver) -> None:
    it.send(message())
    for request in getattr(getattr(provider, "stand_in", None), "requests", []):
        if provider.secret_option != "webhook_url":
            assert provider.secret not in request.path


def test_whatever_a_label_holds_is_told_and_does_nothing(provider: Any, it: Receiver) -> None:
    nasty = alert(
        labels={"queue": NASTY, NASTY: NASTY, "alertname": NASTY},
        annotations=dict.fromkeys(("summary", "description", "impact", "runbook_url", "dashboard_url"), NASTY),
        external_url="javascript:alert(1)",
        generator_url=NASTY,
    )
    it.send(message(Action.TRIGGER, nasty, told={"acknowledged_by": NASTY, "note": NASTY}, note=NASTY))
    (told,) = provider.told()
    assert '{{ "a"' in told
    assert "aaaaaaaaa" not in told  # data is never a template
    assert getattr(provider.stand_in if hasattr(provider, "stand_in") else None, "mentions", []) == []


def test_the_largest_alert_is_told_within_the_limits(provider: Any, it: Receiver) -> None:
    huge = alert(
        labels={f"label{number}": "x" * 5000 for number in range(150)},
        annotations={"summary": "s" * 100_000, "description": "d" * 1_000_000},
    )
    it.send(message(Action.TRIGGER, huge))
    assert len(provider.told()) == 1


def test_the_largest_storm_is_told_within_the_limits(provider: Any, it: Receiver) -> None:
    many = storm(20_000, named=400)
    it.send(many)
    assert "20000" in provider.told()[0]


def test_an_alert_with_nothing_in_it_is_told(provider: Any, it: Receiver) -> None:
    empty = replace(alert(), labels={}, annotations={}, generator_url="", external_url="", group_key="")
    it.send(message(Action.TRIGGER, empty))
    assert len(provider.told()) == 1


def test_a_clock_that_is_far_off_does_no_harm(provider: Any) -> None:
    with receiver(provider, ManualClock(time.time())) as it:
        it.send(message(Action.TRIGGER, alert(starts_at=-62135596800.0), delivery_id="a"))
        it.send(message(Action.RESOLVE, alert(firing=False, starts_at=1e12, ends_at=-1e12), delivery_id="b"))
    assert provider.told()


def test_a_repetition_is_known_by_the_same_id(provider: Any, it: Receiver) -> None:
    it.send(message())
    it.send(message())
    it.send(message(Action.TRIGGER, alert("f2"), delivery_id="delivery-2"))
    first, again, other = provider.ids()
    assert first == again
    assert first != other or not first


def test_several_threads_may_send(provider: Any) -> None:
    sent = [message(Action.TRIGGER, alert(f"f{number}"), delivery_id=f"d{number}") for number in range(24)]
    with receiver(provider, timeout="25s") as it, ThreadPoolExecutor(8) as threads:
        assert all(isinstance(each, Accepted) for each in threads.map(it.send, sent))
    eventually(lambda: len(provider.told()) == 24)


def test_all_that_it_says_it_can_tell_it_takes(provider: Any, it: Receiver) -> None:
    for number, action in enumerate(Action):
        assert isinstance(it.send(message(action, delivery_id=f"d{number}")), Accepted)
