"""Mail: encrypted, logged in, each recipient on its own fate, threads by Message-ID, and headers that hide nothing."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from alerter.model import Action, Mark, Reason
from alerter.receivers.base import DeliveryFailed, Message, Receiver
from tests.contracts.receiving import EmailHarness, receiver
from tests.support.certificates import Certificates, make_certificates
from tests.support.mail import Mailbox
from tests.support.services import Listener, dripping
from tests.support.telling import NOON, alert, message

OPS, JO = "ops@example.net", "jo@example.net"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("mail-certificates"))


@pytest.fixture
def post(certificates: Certificates) -> Iterator[EmailHarness]:
    harness = EmailHarness(certificates)
    yield harness
    harness.stop()


@pytest.fixture
def it(post: EmailHarness) -> Iterator[Receiver]:
    with receiver(post, to=[OPS, JO]) as made:
        yield made


def fails(it: Receiver, sent: Message | None = None) -> DeliveryFailed:
    with pytest.raises(DeliveryFailed) as caught:
        it.send(sent or message())
    return caught.value


def test_a_mail_in_text_and_html(post: EmailHarness, it: Receiver) -> None:
    it.send(message())
    (mail,) = post.mailbox.mails
    assert mail.encrypted
    assert mail.user == "alerts"
    assert mail.recipients == [OPS, JO]
    assert mail.message["From"] == "Postwatch <alerts@example.net>"
    assert mail.message["To"] == f"{OPS}, {JO}"
    assert mail.message["Subject"] == "[CRITICAL] queues: 12,431 jobs wait in email-sending"
    assert mail.message["Date"].datetime == datetime.fromtimestamp(int(NOON), UTC)
    assert mail.message["Auto-Submitted"] == "auto-generated"
    assert mail.message["Importance"] == "high"
    assert mail.raw.isascii()
    for part in ("plain", "html"):
        text = mail.part(part)
        for word in (
            "queue email-sending, priority high",
            "since 2023-11-14 22:13 UTC",
            "mail may go out late",
            "It grows by 300 a minute.",
            "https://runbooks.example.com/backlog",
            "http://alertmanager:9093/#/silences/new?filter=",
        ):
            assert word in text, (part, word)


def test_the_resolve_answers_the_trigger(post: EmailHarness, it: Receiver) -> None:
    memory = it.send(message()).memory
    assert memory is not None
    again = it.send(message(Action.TRIGGER, marks=frozenset({Mark.REPEAT}), delivery_id="d2", memory=memory))
    assert again.memory is None  # the first stays the one to answer
    assert it.send(message(Action.RESOLVE, delivery_id="d3", memory=memory)).memory == {}
    first, repeat, over = (mail.message for mail in post.mailbox.mails)
    assert over["In-Reply-To"] == first["Message-ID"] == repeat["In-Reply-To"]
    assert over["References"] == first["Message-ID"]
    assert len({each["Message-ID"] for each in (first, repeat, over)}) == 3
    assert over["Subject"].startswith("[RESOLVED]")
    assert over["Importance"] is None


def test_a_recipient_who_is_refused_for_good_holds_nobody_up(post: EmailHarness, it: Receiver) -> None:
    post.mailbox.refuse[JO] = "550 no such user"
    accepted = it.send(message())
    assert "1 of 2 recipients refused" in accepted.note
    assert [mail.recipients for mail in post.mailbox.mails] == [[OPS]]


def test_a_recipient_who_is_refused_for_now_is_tried_again_alone(post: EmailHarness, it: Receiver) -> None:
    post.mailbox.refuse[JO] = "450 mailbox busy"
    failed = fails(it)
    assert (failed.reason, failed.retry) == (Reason.UNAVAILABLE, True)
    assert JO not in str(failed.progress)
    post.mailbox.refuse.clear()
    it.send(replace(message(), progress=failed.progress))
    first, second = post.mailbox.mails
    assert (first.recipients, second.recipients) == ([OPS], [JO])
    assert first.message["Message-ID"] == second.message["Message-ID"]


def test_all_refused(post: EmailHarness, it: Receiver) -> None:
    post.mailbox.refuse.update({OPS: "550 no", JO: "450 busy"})
    failed = fails(it)
    assert failed.retry
    post.mailbox.refuse[JO] = "550 no"
    assert not fails(it, replace(message(), progress=failed.progress)).retry


@pytest.mark.parametrize(
    ("said", "reason", "retry"),
    [
        ("421 shutting down", Reason.UNAVAILABLE, True),
        ("451 try later", Reason.UNAVAILABLE, True),
        ("452 full", Reason.UNAVAILABLE, True),
        ("550 spam", Reason.REJECTED, False),
        ("552 too big", Reason.TOO_LARGE, False),
        ("554 no", Reason.REJECTED, False),
    ],
)
def test_answers_to_the_whole_mail(post: EmailHarness, it: Receiver, said: str, reason: Reason, retry: bool) -> None:
    post.mailbox.refuse_data.append(said)
    failed = fails(it)
    assert (failed.reason, failed.retry, failed.opens_circuit) == (reason, retry, False)


def test_without_starttls_no_password_is_sent(certificates: Certificates) -> None:
    with Mailbox(certificates, starttls=False) as plain:
        harness = EmailHarness.__new__(EmailHarness)
        harness.mailbox, harness.secret = plain, plain.password
        with receiver(harness) as it:
            failed = fails(it)
        assert (failed.reason, failed.retry, failed.opens_circuit) == (Reason.AUTH, True, True)
        assert plain.mails == []
        # On this machine one may do without.
        with receiver(harness, tls="none") as it:
            it.send(message())
        assert [mail.encrypted for mail in plain.mails] == [False]


@pytest.mark.parametrize(
    ("greeting", "told"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", "127.0.0.1 does not speak SMTP there; it said: /1.1 400 Bad Request"),
        (b"554 5.3.2 not now\r\n", "127.0.0.1 said 554: 5.3.2 not now"),
        (b"220 " + b"x" * 20_000 + b"\r\n", "127.0.0.1 said 500: Line too long."),
        (b"220 hello\r\n250-hello\r\n250 STARTTLS\r\n502 5.5.1 no TLS today\r\n", "said 502: 5.5.1 no TLS today"),
    ],
    ids=["something-else", "not-for-us", "without-an-end", "no-tls"],
)
def test_what_is_said_before_the_mail_says_nothing_of_it(post: EmailHarness, greeting: bytes, told: str) -> None:
    with Listener(dripping(greeting, b"")) as server, receiver(post, smarthost=server.address) as it:
        failed = fails(it)
    assert (failed.reason, failed.retry) == (Reason.UNAVAILABLE, True)
    assert told in failed.text


def test_a_strange_certificate_is_refused(post: EmailHarness, tmp_path: Path) -> None:
    with receiver(post, ca_file=str(make_certificates(tmp_path / "other").ca)) as it:
        failed = fails(it)
    assert (failed.reason, failed.retry) == (Reason.NETWORK, True)
    assert "certificate" in failed.text
    assert post.mailbox.mails == []


@pytest.mark.parametrize(
    "hidden",
    ["x\r\nBcc: all@example.net", "x\nSubject: y", "x\rBcc: a@b", "x\x85Bcc: a@b", "x\u2028Bcc: a@b", "\r\n\r\nBody"],
)
def test_a_subject_hides_no_header(post: EmailHarness, hidden: str) -> None:
    nasty = alert(labels={"service": hidden, "alertname": hidden}, annotations={"summary": hidden})
    for templates in ({}, {"subject": "{{ headline }}\n{{ alerts[0].labels.service }}"}):
        with receiver(post, templates=templates) as it:
            it.send(message(Action.TRIGGER, nasty, memory={"message_id": f"<a@b>{hidden}"}))
    for mail in post.mailbox.mails:
        names = [name.lower() for name in mail.message]
        assert names.count("subject") == 1
        assert "bcc" not in names
        assert mail.recipients == [OPS]
        assert mail.message["Message-ID"].endswith("@example.net>")


class Tags(HTMLParser):
    """The tags, attributes and addresses of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]


def test_no_label_becomes_html(post: EmailHarness) -> None:
    evil = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
    nasty = alert(
        labels={"queue": evil, evil: evil},
        annotations={
            "summary": evil,
            "description": evil,
            "runbook_url": f"https://x/{evil}",
            "dashboard_url": "javascript:alert(1)",
        },
        external_url=f"https://am/{evil}",
    )
    for templates in ({}, {"html": '<p title="{{ headline }}">{{ alerts[0].description }}</p>'}):
        with receiver(post, templates=templates) as it:
            it.send(message(Action.TRIGGER, nasty, told={"note": evil}, note=evil))
    for mail in post.mailbox.mails:
        page = Tags()
        page.feed(mail.part("html"))
        assert not {"script", "img", "iframe"} & page.tags
        assert "onerror" not in page.attributes
        assert all(link.startswith("https://alerts.example.com") for link in page.links)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"password": None}, "belong together"),
        ({"tls": "none", "smarthost": "mail.example.net:25"}, "none is for a server on this machine"),
        ({"from": "alerts"}, "is no address"),
        ({"to": ["a@example.net\r\nBcc: b@example.net"]}, "is no address"),
        ({"to": []}, "at least 1"),
    ],
)
def test_options_that_do_not_fit(post: EmailHarness, given: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told), receiver(post, **given):
        pass
