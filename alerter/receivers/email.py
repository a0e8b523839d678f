"""Email by SMTP (RFC 5321): one mail a delivery, text and HTML, each recipient on its own fate.

The `Message-ID` is made of the delivery and stays over attempts, so that a mail program shows a repetition once; the
resolve names it in `In-Reply-To` (RFC 5322 section 3.6.4).
"""

from __future__ import annotations

import hashlib
import smtplib
import ssl
from datetime import UTC, datetime
from email.errors import MessageError
from email.headerregistry import Address as MailAddress
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from alerter.messages.clean import line
from alerter.messages.html import html
from alerter.messages.telling import Telling, tell
from alerter.messages.templates import LONGEST, Template
from alerter.messages.texts import plain
from alerter.model import Action, Mark, Reason
from alerter.receivers.base import Accepted, DeliveryFailed, Message, Rate, ReceiverContext, Tells
from alerter.receivers.options import ReceiverOptions
from alerter.receivers.recipients import Recipients
from chassis.address import Address
from chassis.secrets import Secret, SecretUnavailable, redact
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
    tls: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="`tls` from the first byte (port 465); `none` on this machine only."
    )
    ca_file: InputFile | None = Field(None, description="PEM certificates to trust instead of the usual ones.")
    username: str | None = Field(None, min_length=1, description="Log in as; nobody if not given.")
    password: Secret | None = Field(None, description="The user's password.")
    sender: Mailbox = Field(alias="from", description="Address that it comes from.")
    to: Annotated[tuple[Mailbox, ...], Field(min_length=1, max_length=100)] = Field(description="Who gets it.")
    rate: Rate = Field(Rate(30, 60), description="Messages at most; above it they are told as one that counts them.")
    templates: EmailTemplates = Field(default_factory=EmailTemplates, description="Texts of your own.")

    @property
    def needs(self) -> str:
        """As `ReceiverOptions.needs`: the mail server."""
        return self.smarthost.host

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password (or password_file) belong together")
        if self.tls == "none" and not self.smarthost.is_loopback:
            raise ValueError("tls: none is for a server on this machine; elsewhere write starttls or tls")
        return self


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

    def send(self, message: Message) -> Accepted:
        """As `Receiver.send`."""
        if message.action not in self.actions:
            return Accepted(note=f"{message.action} is not told by mail")
        mail = self.compose(message)
        recipients = Recipients(self._options.to, message.progress)
        if pending := recipients.pending:
            try:
                refused = self._transfer(mail, pending)
            except DeliveryFailed as failure:
                if failure.retry:
                    failure.progress = message.progress
                    raise
                # Final, but others may have got it with an earlier attempt.
                for each in pending:
                    recipients.failed(each, failure)
            else:
                for each in pending:
                    if each in refused:
                        recipients.failed(each, self._refusal(*refused[each]))
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

    def _transfer(self, mail: EmailMessage, recipients: tuple[str, ...]) -> dict[str, tuple[int, bytes]]:
        """Recipients that were refused, and how, if at least one was taken or all were refused."""
        try:
            server = self._connect()
            try:
                self._log_in(server)
                return server.send_message(mail, self._options.sender, list(recipients))
            except smtplib.SMTPRecipientsRefused as error:
                return error.recipients
            finally:
                _leave(server)
        except smtplib.SMTPResponseException as error:
            raise self._refusal(error.smtp_code, error.smtp_error, error) from None
        except (smtplib.SMTPException, OSError, ValueError) as error:
            raise self._broken(error) from None

    def _connect(self) -> smtplib.SMTP:
        options, host = self._options, self._options.smarthost
        if options.tls == "none":
            return smtplib.SMTP(host.host, host.port, timeout=options.timeout)
        context = ssl.create_default_context(cafile=str(options.ca_file) if options.ca_file else None)
        if options.tls == "tls":
            return smtplib.SMTP_SSL(host.host, host.port, timeout=options.timeout, context=context)
        server = smtplib.SMTP(host.host, host.port, timeout=options.timeout)
        try:
            server.starttls(context=context)
        except BaseException:
            server.close()
            raise
        return server

    def _log_in(self, server: smtplib.SMTP) -> None:
        if self._options.username is None or self._options.password is None:
            return
        try:
            password = self._options.password.reveal()
        except SecretUnavailable as error:
            raise DeliveryFailed(Reason.AUTH, f"password: {error}", retry=True, opens_circuit=True) from None
        server.login(self._options.username, password)

    def _refusal(
        self, code: int, said: bytes | str, error: smtplib.SMTPResponseException | None = None
    ) -> DeliveryFailed:
        """RFC 5321 section 4.2.1: 4yz is for now, 5yz for good."""
        told = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
        secrets = [self._options.password] if self._options.password else []
        text = f"{self._options.smarthost.host} said {code}: {line(redact(told, secrets), 200)}"
        if isinstance(error, smtplib.SMTPAuthenticationError) or code in (530, 534, 535, 538):
            if 400 <= code < 500:
                return DeliveryFailed(Reason.UNAVAILABLE, text, retry=True)
            return DeliveryFailed(Reason.AUTH, text, retry=True, opens_circuit=True)
        if isinstance(error, smtplib.SMTPConnectError | smtplib.SMTPHeloError) and code != 421:
            return DeliveryFailed(Reason.UNAVAILABLE, text, retry=True)
        if 400 <= code < 500 or code < 0:
            return DeliveryFailed(Reason.UNAVAILABLE, text, retry=True)
        return DeliveryFailed(Reason.TOO_LARGE if code == 552 else Reason.REJECTED, text, retry=False)

    def _broken(self, error: Exception) -> DeliveryFailed:
        host = self._options.smarthost.host
        match error:
            case smtplib.SMTPNotSupportedError():
                wants = "STARTTLS" if self._options.tls == "starttls" else "authentication"
                text = f"{host} does not offer what the configuration wants ({wants}, or a log-in)"
                return DeliveryFailed(Reason.AUTH, text, retry=True, opens_circuit=True)
            case ssl.SSLCertVerificationError():
                text = f"{host}'s certificate is refused: {error.verify_message}"
                return DeliveryFailed(Reason.NETWORK, text, retry=True)
            case ssl.SSLError():
                return DeliveryFailed(Reason.NETWORK, f"no TLS connection to {host}", retry=True)
            # smtplib tells a time-out while it waits for a reply as a disconnection.
            case TimeoutError() | smtplib.SMTPServerDisconnected() if "timed out" in str(error):
                text = f"no answer from {host} within {self._options.timeout:g} s"
                return DeliveryFailed(Reason.TIMEOUT, text, retry=True)
            case smtplib.SMTPServerDisconnected() | OSError():
                return DeliveryFailed(Reason.NETWORK, f"no connection to {host}, or it broke", retry=True)
        return DeliveryFailed(Reason.INTERNAL, f"the mail cannot be made: {type(error).__name__}", retry=False)


def _leave(server: smtplib.SMTP) -> None:
    # What was said before stands: nothing that QUIT meets may change it.
    try:
        server.quit()
    except (smtplib.SMTPException, OSError):
        server.close()


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
