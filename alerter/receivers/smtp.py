"""SMTP to a mail server (RFC 5321): one mail in one conversation, and what a refusal means by its code."""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage
from pathlib import Path
from typing import Literal

from alerter.messages.clean import line
from alerter.model import Reason
from alerter.receivers.base import DeliveryFailed
from alerter.receivers.patience import PlainMail, SecureMail
from chassis.address import Address
from chassis.secrets import Secret, SecretUnavailable, redact

Tls = Literal["starttls", "tls", "none"]
# What is said to the connection, to EHLO or to STARTTLS, or a line without an end: the mail was not judged yet.
_BEFORE_THE_MAIL = (smtplib.SMTPConnectError, smtplib.SMTPHeloError, smtplib.SMTPResponseException)


class MailServer:
    """The server that takes mail. Safe to share among threads: each mail has a connection of its own."""

    def __init__(
        self,
        address: Address,
        tls: Tls,
        timeout: float,
        *,
        username: str | None = None,
        password: Secret | None = None,
        ca_file: Path | None = None,
    ) -> None:
        """`timeout` in seconds, for each step; logs in if there are both a user and a password."""
        self._address = address
        self._tls = tls
        self._timeout = timeout
        self._username = username
        self._password = password
        self._ca_file = ca_file

    def transfer(self, mail: EmailMessage, sender: str, recipients: tuple[str, ...]) -> dict[str, DeliveryFailed]:
        """The recipients that were refused, and why: some or all of them. Raises DeliveryFailed for anything else."""
        try:
            server = self._connect()
            try:
                self._log_in(server)
                refused = server.send_message(mail, sender, list(recipients))
            except smtplib.SMTPRecipientsRefused as error:
                refused = error.recipients
            finally:
                _leave(server)
        except smtplib.SMTPResponseException as error:
            raise self._refusal(error.smtp_code, error.smtp_error, error) from None
        except (smtplib.SMTPException, OSError, ValueError) as error:
            raise self._broken(error) from None
        return {each: self._refusal(code, said) for each, (code, said) in refused.items()}

    def _connect(self) -> smtplib.SMTP:
        host, port = self._address.host, self._address.port
        if self._tls == "none":
            return PlainMail(host, port, timeout=self._timeout)
        context = ssl.create_default_context(cafile=str(self._ca_file) if self._ca_file else None)
        if self._tls == "tls":
            return SecureMail(host, port, timeout=self._timeout, context=context)
        server = PlainMail(host, port, timeout=self._timeout)
        try:
            server.starttls(context=context)
        except BaseException:
            server.close()
            raise
        return server

    def _log_in(self, server: smtplib.SMTP) -> None:
        if self._username is None or self._password is None:
            return
        try:
            password = self._password.reveal()
        except SecretUnavailable as error:
            raise DeliveryFailed(Reason.AUTH, f"password: {error}", retry=True, opens_circuit=True) from None
        server.login(self._username, password)

    def _refusal(
        self, code: int, said: bytes | str, error: smtplib.SMTPResponseException | None = None
    ) -> DeliveryFailed:
        """RFC 5321 section 4.2.1: 4yz is for now, 5yz for good."""
        told = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
        secrets = [self._password] if self._password else []
        said_so = f"said {code}" if code >= 0 else "does not speak SMTP there; it said"
        text = f"{self._address.host} {said_so}: {line(redact(told, secrets), 200)}"
        if isinstance(error, smtplib.SMTPAuthenticationError) or code in (530, 534, 535, 538):
            if 400 <= code < 500:
                return DeliveryFailed(Reason.UNAVAILABLE, text, retry=True)
            return DeliveryFailed(Reason.AUTH, text, retry=True, opens_circuit=True)
        if type(error) in _BEFORE_THE_MAIL and code != 421:
            return DeliveryFailed(Reason.UNAVAILABLE, text, retry=True)
        if 400 <= code < 500 or code < 0:
            return DeliveryFailed(Reason.UNAVAILABLE, text, retry=True)
        return DeliveryFailed(Reason.TOO_LARGE if code == 552 else Reason.REJECTED, text, retry=False)

    def _broken(self, error: Exception) -> DeliveryFailed:
        host = self._address.host
        match error:
            case smtplib.SMTPNotSupportedError():
                wants = "STARTTLS" if self._tls == "starttls" else "authentication"
                text = f"{host} does not offer what the configuration wants ({wants}, or a log-in)"
                return DeliveryFailed(Reason.AUTH, text, retry=True, opens_circuit=True)
            case ssl.SSLCertVerificationError():
                text = f"{host}'s certificate is refused: {error.verify_message}"
                return DeliveryFailed(Reason.NETWORK, text, retry=True)
            case ssl.SSLError():
                return DeliveryFailed(Reason.NETWORK, f"no TLS connection to {host}", retry=True)
            # smtplib tells a time-out while it waits for a reply as a disconnection.
            case TimeoutError() | smtplib.SMTPServerDisconnected() if "timed out" in str(error):
                text = f"no answer from {host} within {self._timeout:g} s"
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
