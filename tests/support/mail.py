"""A real SMTP server (aiosmtpd) with STARTTLS and AUTH, which takes mail, or refuses what it is told to."""

from __future__ import annotations

import asyncio
import logging
import ssl
import threading
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any, Self

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.support.certificates import Certificates

# It tells of each farewell, which may come when the test that captures what is logged is over.
logging.getLogger("mail.log").setLevel(logging.WARNING)


@dataclass(frozen=True)
class Mail:
    """One mail as it was taken, for those of its recipients who were not refused."""

    sender: str
    recipients: list[str]
    raw: bytes
    encrypted: bool
    user: str

    @property
    def message(self) -> EmailMessage:
        """Parsed."""
        parsed = message_from_bytes(self.raw, policy=default)
        assert isinstance(parsed, EmailMessage)
        return parsed

    def part(self, subtype: str) -> str:
        """The text of the part `text/SUBTYPE`."""
        body = self.message.get_body((subtype,))
        assert body is not None
        return str(body.get_content())


@dataclass
class Mailbox:
    """A server on a free port of this machine; replies by recipient, or to all data, can be ordered."""

    certificates: Certificates
    user: str = "alerts"
    password: str = "smtp-password-1"
    refuse: dict[str, str] = field(default_factory=dict)  # by recipient, e.g. "550 no such user"
    refuse_data: list[str] = field(default_factory=list)  # the next answers to whole mails
    silent: threading.Event = field(default_factory=threading.Event)  # while set, no mail is answered
    mails: list[Mail] = field(default_factory=list)
    starttls: bool = True
    port: int = 0

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(self.certificates.cert, self.certificates.key)
        options: dict[str, Any] = {"tls_context": tls, "require_starttls": True} if self.starttls else {}

        def session() -> SMTP:
            return SMTP(
                self,
                hostname="mail.test",
                authenticator=self._authenticate,
                auth_required=self.starttls,
                auth_require_tls=self.starttls,
                loop=self._loop,
                **options,
            )

        server = self._loop.run_until_complete(self._loop.create_server(session, "127.0.0.1", self.port))
        self.port = server.sockets[0].getsockname()[1]
        self._server = server
        self._thread = threading.Thread(target=self._loop.run_forever, name="mailbox", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _close(self) -> None:
        self._server.close()
        mine = asyncio.current_task()
        others = [task for task in asyncio.all_tasks() if task is not mine]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _authenticate(self, _server: SMTP, _session: Session, _envelope: Envelope, _kind: str, data: Any) -> AuthResult:
        right = isinstance(data, LoginPassword) and data == LoginPassword(self.user.encode(), self.password.encode())
        return AuthResult(success=right, handled=False, auth_data=data)

    async def handle_RCPT(  # noqa: N802  # aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        while self.silent.is_set():
            await asyncio.sleep(0.05)
        if self.refuse_data:
            return self.refuse_data.pop(0)
        content = envelope.content or b""
        raw = content.encode() if isinstance(content, str) else content
        user = session.auth_data.login.decode() if isinstance(session.auth_data, LoginPassword) else ""
        encrypted = session.ssl is not None
        self.mails.append(Mail(envelope.mail_from or "", list(envelope.rcpt_tos), raw, encrypted, user))
        return "250 OK"
