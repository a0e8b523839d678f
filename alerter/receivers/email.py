"""Email: one mail a delivery, text and HTML, each recipient on its own fate.

The `Message-ID` is made of the delivery and stays over attempts, so that a mail program shows a repetition once; the
resolve names it in `In-Reply-To` (RFC 5322 section 3.6.4).
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from email.errors import MessageError
from email.headerregistry import Address as MailAddress
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from alerter.messages.clean import line
from alerter.messages.html import html
from alerter.messages.telling import Telling, tell
from alerter.messages.templates import LONGEST, Template
from alerter.messages.texts import plain
from alerter.model import Action, Mark
from alerter.receivers.base import Accepted, DeliveryFailed, Message, Rate, ReceiverContext, Tells
from alerter.receivers.options import ReceiverOptions
from alerter.receivers.recipients import Recipients
from alerter.receivers.smtp import MailServer, Tls
from chassis.address import Address
from chassis.secrets import Secret
from chassis.settings import InputFile, Settings

KIND = "email"
SUBJECT = 180  # characters; longer ones are cut by mail programs anyway
# Nothing in eight bits: a server need not take that.
_POLICY = SMTP.clone(cte_type="7bit")


def _mailbox(text: str) -> str:
    try:
        address = MailAddress(addr_spec=text)
    except (MessageError, ValueError, IndexError):
        raise ValueError(f"{text!r} is no address; write e.g. ops@example.net") from None
    if not text.isascii() or not address.username or not address.domain or any(c <= " " for c in text):
        raise ValueError(f"{text!r} is no address; write e.g. ops@example.net")
    return text


Mailbox = Annotated[str, AfterValidator(_mailbox)]


class EmailTemplates(Settings):
    """Texts instead of the built-in ones."""

    subject: Template | None = Field(None, description="One line; 180 characters at most.")
    text: Template | None = Field(None, description="The plain text.")
    html: Template | None = Field(None, description="The HTML; data is escaped.")


class Options(ReceiverOptions):
    """Sends mail."""

    kind: Literal["email"] = Field(description="The way to tell.")
    smarthost: Address = Field(description="host:port of the server that takes it, e.g. mail.example.net:587.")
    tls: Tls = Field("starttls", description="`tls` from the first byte (port 465); `none` on this machine only.")
    ca_file: InputFile | None = Field(None, description="PEM certificates to trust instead of the usual ones.")
    username: str | None = Field(None, min_length=1, description="Log in as; nobody if not given.")
    password: Secret | None = Field(None, validate_default=True, description="The user's password.")
    sender: Mailbox = Field(alias="from", description="Address that it comes from.")
    to: Annotated[tuple[Mailbox, ...], Field(min_length=1, max_length=100)] = Field(description="Who gets it.")
    rate: Rate = Field(Rate(30, 60), description="Messages at most; above it they are told as one that counts them.")
    templates: EmailTemplates = Field(default_factory=EmailTemplates, description="Texts of your own.")

    @property
    def needs(self) -> str:
        """As `ReceiverOptions.needs`: the mail server."""
        return self.smarthost.host

    @field_validator("tls")
    @classmethod
    def _plain_at_home_alone(cls, tls: Tls, info: ValidationInfo) -> Tls:
        server: Address | None = info.data.get("smarthost")
        if tls == "none" and server is not None and not server.is_loopback:
            raise ValueError("none is for a server on this machine; elsewhere write starttls or tls")
        return tls

    @field_validator("password")
    @classmethod
    def _both_or_none(cls, password: Secret | None, info: ValidationInfo) -> Secret | None:
        if "username" in info.data and (info.data["username"] is None) != (password is None):
            raise ValueError("username and password (or password_file) belong together")
        return password


class EmailReceiver:
    """One server and the people behind it."""

    kind = KIND
    tells = Tells.ALERT
    actions = frozenset({Action.TRIGGER, Action.RESOLVE})

    def __init__(self, options: Options, context: ReceiverContext) -> None:
        self.name = options.name
        self.rate = options.rate
        self._options = options
        self._context = context
        self._server = MailServer(
            options.smarthost,
            options.tls,
            options.timeout,
            username=options.username,
            password=options.password,
            ca_file=options.ca_file,
        )

    def send(self, message: Message) -> Accepted:
        """As `Receiver.send`."""
        if message.action not in self.actions:
            return Accepted(note=f"{message.action} is not told by mail")
        mail = self.compose(message)
        recipients = Recipients(self._options.to, message.progress)
        if pending := recipients.pending:
            try:
                refused = self._server.transfer(mail, self._options.sender, pending)
            except DeliveryFailed as failure:
                if failure.retry:
                    failure.progress = message.progress
                    raise
                # Final, but others may have got it with an earlier attempt.
                refused = dict.fromkeys(pending, failure)
            for each in pending:
                if each in refused:
                    recipients.failed(each, refused[each])
                else:
                    recipients.accepted(each)
        return recipients.outcome(_memory(message, str(mail["Message-ID"])))

    def close(self) -> None:
        """As `Receiver.close`: there is a connection for each mail, and none after it."""

    def compose(self, message: Message) -> EmailMessage:
        """The mail, the same at each attempt but for how long it has lasted."""
        telling = tell(message, self._context.clock.now(), self._context.external_url)
        texts, render = self._options.templates, self._context.templates.text
        subject = render(self.name, texts.subject, telling, lambda: _subject(telling), limit=1000)
        mail = EmailMessage(policy=_POLICY)
        mail["From"] = MailAddress("Postwatch", addr_spec=self._options.sender)
        mail["To"] = [MailAddress(addr_spec=each) for each in self._options.to]
        mail["Subject"] = line(subject, SUBJECT)  # one line, whatever a template or a label holds
        mail["Date"] = format_datetime(datetime.fromtimestamp(message.created_at, UTC))
        mail["Message-ID"] = self._message_id(message)
        if first := message.memory.get("message_id"):
            mail["In-Reply-To"] = line(first, 300)
            mail["References"] = line(first, 300)
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday replies
        mail["X-Postwatch-Severity"] = telling.severity.value
        if telling.severity == "critical" and not telling.over and Mark.TEST not in message.marks:
            mail["Importance"] = "high"
        mail.set_content(render(self.name, texts.text, telling, lambda: plain(telling), limit=LONGEST))
        mail.add_alternative(
            render(self.name, texts.html, telling, lambda: html(telling), html=True, limit=2 * LONGEST), subtype="html"
        )
        return mail

    def _message_id(self, message: Message) -> str:
        local = hashlib.sha256(f"{self.name}\0{message.delivery_id}".encode()).hexdigest()[:32]
        return f"<{local}@{self._options.sender.rpartition('@')[2]}>"


def _subject(telling: Telling) -> str:
    service = f"{telling.service}: " if telling.service else ""
    return f"[{telling.word}] {service}{telling.headline}"


def _memory(message: Message, message_id: str) -> dict[str, str] | None:
    if message.action is Action.RESOLVE:
        return {}
    return None if message.memory.get("message_id") else {"message_id": message_id}


def build(options: Options, context: ReceiverContext) -> EmailReceiver:
    """A receiver of this kind."""
    return EmailReceiver(options, context)
