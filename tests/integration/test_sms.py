"""SMS: each number once, one more try after a time-out and no more, and what Twilio's codes mean."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from alerter.messages.gsm import to_gsm, units
from alerter.model import Action, Mark, Reason
from alerter.receivers.base import DeliveryFailed, Message, Receiver
from demo.providers import Fault
from demo.providers.exchange import Request
from tests.contracts.receiving import SmsHarness, receiver
from tests.support.telling import alert, message

ONE, TWO, THREE = "+15005550009", "+15005550010", "+15005550011"


@pytest.fixture
def twilio() -> Iterator[SmsHarness]:
    harness = SmsHarness()
    yield harness
    harness.stop()


@pytest.fixture
def it(twilio: SmsHarness) -> Iterator[Receiver]:
    with receiver(twilio, to=[ONE, TWO, THREE]) as made:
        yield made


def fails(it: Receiver, sent: Message) -> DeliveryFailed:
    with pytest.raises(DeliveryFailed) as caught:
        it.send(sent)
    return caught.value


def to(number: str, fault: Fault) -> Callable[[Request], Fault | None]:
    """A fault for one number only."""

    def choose(request: Request) -> Fault | None:
        return fault if number.removeprefix("+").encode() in request.body else None

    return choose


def test_each_number_gets_it_once_whatever_becomes_of_the_others(twilio: SmsHarness, it: Receiver) -> None:
    twilio.provider.always(to(TWO, Fault.status(503)))
    failed = fails(it, message())
    assert (failed.reason, failed.retry) == (Reason.UNAVAILABLE, True)
    assert "2 of 3" in failed.text
    assert all(number.removeprefix("+") not in str(failed.progress) for number in (ONE, TWO, THREE))
    twilio.provider.always(None)
    it.send(replace(message(), progress=failed.progress))
    assert sorted(each.to for each in twilio.provider.sent) == [ONE, TWO, THREE]


def test_a_number_that_is_refused_for_good_holds_nobody_up(twilio: SmsHarness, it: Receiver) -> None:
    twilio.provider.unsubscribed.add(ONE)
    twilio.provider.landlines.add(TWO)
    accepted = it.send(message())
    assert "2 of 3 recipients refused" in accepted.note
    assert [each.to for each in twilio.provider.sent] == [THREE]
    twilio.provider.unsubscribed |= {TWO, THREE}
    failed = fails(it, message())
    assert (failed.reason, failed.retry) == (Reason.REJECTED, False)


def test_no_answer_is_tried_once_more_and_no_more(twilio: SmsHarness) -> None:
    with receiver(twilio) as it:
        twilio.provider.inject(Fault.lost())
        first = fails(it, message())
        assert (first.retry, first.ambiguous) == (True, True)
        twilio.provider.inject(Fault.hang(20, processed=True))
        second = fails(it, replace(message(), progress=first.progress))
        assert (second.reason, second.retry, second.ambiguous) == (Reason.TIMEOUT, False, True)
    assert len(twilio.provider.sent) == 2


def test_429_was_not_processed(twilio: SmsHarness) -> None:
    with receiver(twilio) as it:
        twilio.provider.inject(Fault.status(429, {"code": 20429, "message": "Too many requests"}))
        failed = fails(it, message())
    assert (failed.reason, failed.retry, failed.ambiguous) == (Reason.RATE_LIMITED, True, False)


@pytest.mark.parametrize("code", [21211, 21610, 21614])
def test_codes_about_the_number_are_final(twilio: SmsHarness, code: int) -> None:
    with receiver(twilio) as it:
        twilio.provider.inject(Fault.status(400, {"code": code, "message": "no", "status": 400}))
        failed = fails(it, message())
    assert (failed.reason, failed.retry, failed.opens_circuit) == (Reason.REJECTED, False, False)
    assert str(code) in failed.text


def test_a_refused_account_asks_for_no_other_number(twilio: SmsHarness) -> None:
    with receiver(twilio, to=[ONE, TWO, THREE], auth_token="wrong-wrong") as it:
        failed = fails(it, message())
    assert (failed.reason, failed.opens_circuit) == (Reason.AUTH, True)
    assert len(twilio.provider.requests) == 1


def test_it_fits_into_one_sms(twilio: SmsHarness) -> None:
    long = alert(annotations={"summary": "Very many jobs — “12,431” — wait… " * 10})
    with receiver(twilio) as it:
        it.send(message())
        it.send(message(Action.TRIGGER, long, marks=frozenset({Mark.FALLBACK})))
    first, second = twilio.told()
    assert first == (
        "CRITICAL: queues: 12,431 jobs wait in email-sending (queue email-sending, priority high) since 22:13 UTC"
    )
    for text in (first, second):
        assert to_gsm(text) == text
        assert units(text) <= 160
    assert "[fallback]" in second
    assert second.endswith("since 22:13 UTC")


def test_other_scripts_are_kept_in_two(twilio: SmsHarness) -> None:
    with receiver(twilio) as it:
        it.send(message(Action.TRIGGER, alert(annotations={"summary": "Очередь писем растёт " * 20})))
    (text,) = twilio.told()
    assert "Очередь писем растёт" in text
    assert len(text) <= 134


def test_a_template_may_be_longer_but_not_than_twilio_takes(twilio: SmsHarness) -> None:
    with receiver(twilio, templates={"text": "{{ 'word ' * 300 }}"}) as it:
        it.send(message())
    assert len(twilio.told()[0]) == 1499
    with receiver(twilio, templates={"text": "{{ 'word ' * 400 }}"}) as it:
        it.send(message())
    assert twilio.told()[1].startswith("CRITICAL: queues")


def test_a_template_s_text_is_told_in_the_letters_of_sms_where_they_suffice(twilio: SmsHarness) -> None:
    for text in ("“{{ word }}” — now…", "{{ word }}: очередь"):
        with receiver(twilio, templates={"text": text}) as it:
            it.send(message())
    assert twilio.told() == ['"CRITICAL" - now...', "CRITICAL: очередь"]


def test_updates_are_not_told(twilio: SmsHarness, it: Receiver) -> None:
    assert "not told" in it.send(message(Action.UPDATE)).note
    assert twilio.told() == []


def test_a_messaging_service_in_the_sender_s_place(twilio: SmsHarness) -> None:
    with receiver(twilio, messaging_service_sid="MG" + "1" * 32, **{"from": None}) as it:
        it.send(message())
    assert twilio.provider.sent[0].sender == "MG" + "1" * 32
    with pytest.raises(ValueError, match="either from or messaging_service_sid"), receiver(twilio, **{"from": None}):
        pass
