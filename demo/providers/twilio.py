"""Twilio's Messages resource. Source: https://www.twilio.com/docs/messaging/api/message-resource"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from urllib.parse import parse_qs

from demo.providers.exchange import Reply, Request
from demo.providers.server import Limit, StandIn

LONGEST = 1600  # characters
_NUMBER = re.compile(r"\+[1-9]\d{6,14}")


@dataclass(frozen=True)
class Sms:
    """One that was taken."""

    to: str
    sender: str
    body: str


class Twilio(StandIn):
    """One account. It knows no repetition: what is asked twice is sent twice."""

    def __init__(
        self,
        account_sid: str = "AC" + "0" * 32,
        auth_token: str = "stand-in-auth-token",  # noqa: S107
        *,
        rate: int = 100,
        delay: float = 0.0,
    ) -> None:
        """`rate` is the requests a second of the account."""
        super().__init__(delay=delay)
        self.account_sid = account_sid
        self.auth_token = auth_token
        self.sent: list[Sms] = []
        self.unsubscribed: set[str] = set()
        self.landlines: set[str] = set()
        self._limit = Limit(rate, 1.0)

    def answer(self, request: Request) -> Reply:
        credentials = base64.b64encode(f"{self.account_sid}:{self.auth_token}".encode()).decode()
        if request.path != f"/2010-04-01/Accounts/{self.account_sid}/Messages.json":
            return _error(404, 20404, "The requested resource was not found")
        if request.headers.get("authorization") != f"Basic {credentials}":
            return _error(401, 20003, "Authenticate")
        if self._limit.take("account", request.at):
            return _error(429, 20429, "Too many requests")
        if request.headers.get("content-type", "").partition(";")[0] != "application/x-www-form-urlencoded":
            return _error(400, 21604, "A 'To' phone number is required")
        form = {name: values[-1] for name, values in parse_qs(request.body.decode()).items()}
        return self._send(form)

    def _send(self, form: dict[str, str]) -> Reply:
        to, body = form.get("To", ""), form.get("Body", "")
        sender = form.get("From") or form.get("MessagingServiceSid") or ""
        if not sender:
            return _error(400, 21603, "A 'From' phone number is required")
        if not _NUMBER.fullmatch(to):
            return _error(400, 21211, f"The 'To' number {to} is not a valid phone number")
        if to in self.unsubscribed:
            return _error(400, 21610, "Attempt to send to unsubscribed recipient")
        if to in self.landlines:
            return _error(400, 21614, "'To' number is not a valid mobile number")
        if not body:
            return _error(400, 21602, "Message body is required")
        if len(body) > LONGEST:
            return _error(400, 21617, "The concatenated message body exceeds the 1600 character limit")
        self.sent.append(Sms(to, sender, body))
        return Reply(201, {"sid": f"SM{len(self.sent):032x}", "status": "queued", "to": to, "error_code": None})


def _error(status: int, code: int, message: str) -> Reply:
    more = f"https://www.twilio.com/docs/errors/{code}"
    return Reply(status, {"code": code, "message": message, "more_info": more, "status": status})
