"""HTTP to a provider: one request, its answer, and what an unfit one means by the status alone.

Texts of failures name the provider's host and never a path, a header or what the library says: each may be a secret.
"""

from __future__ import annotations

import json
import logging
import ssl
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.utils import get_environ_proxies

from alerter.model import Reason
from alerter.receivers.base import DeliveryFailed
from alerter.receivers.options import check_url
from alerter.receivers.patience import PatientAdapter
from chassis.secrets import Secret, SecretUnavailable, SecretUrl, redact

# At level debug it writes the path of each request, which may be a secret.
logging.getLogger("urllib3.connectionpool").setLevel(logging.INFO)

_LARGEST_ANSWER = 64 << 10  # bytes; none of the providers says more
_LOOKED_AT = 2000  # characters of what a provider says, which is more than anybody is shown
_LONGEST_WAIT = 3600.0  # seconds; whoever asks for longer is asked again then
_AGENT = "postwatch-alerter"


@dataclass(frozen=True)
class Answer:
    """What a provider answered; `text` is cut at 64 KiB."""

    host: str
    status: int
    headers: Mapping[str, str]  # names in lower case
    text: str

    @property
    def content(self) -> Any:
        """What the text says as JSON; None if it is none."""
        try:
            return json.loads(self.text)
        except (ValueError, RecursionError):
            return None

    @property
    def retry_after(self) -> float | None:
        """Seconds that the provider wants to be left alone, from now; RFC 9110 section 10.2.3."""
        value = self.headers.get("retry-after", "").strip()
        if value.replace(".", "", 1).isdecimal():
            return min(float(value), _LONGEST_WAIT)
        try:
            at = parsedate_to_datetime(value)
        except ValueError:
            return None
        return min(max(at.timestamp() - time.time(), 0.0), _LONGEST_WAIT)


def reveal(secret: Secret, what: str) -> str:
    """The value of a credential that is to stand in a header. DeliveryFailed if there is none, or none that can."""
    try:
        value = secret.reveal().strip()
    except SecretUnavailable as error:
        raise DeliveryFailed(Reason.AUTH, f"{what}: {error}", retry=True, opens_circuit=True) from None
    if not value or not value.isascii() or not value.isprintable():
        text = f"{what} is empty or has characters that no credential has"
        raise DeliveryFailed(Reason.AUTH, text, retry=True, opens_circuit=True)
    return value


def reveal_url(secret: SecretUrl, what: str) -> str:
    """The address itself. DeliveryFailed if it cannot be read, or is none that may be used."""
    url = reveal(secret, what)
    try:
        return check_url(url)
    except ValueError as error:
        raise DeliveryFailed(Reason.AUTH, f"{what} {error}", retry=True, opens_circuit=True) from None


class Wire:
    """Connections to one provider. Safe to share among threads; each has its own."""

    def __init__(self, timeout: float, secrets: Iterable[Secret], ca_file: Path | None = None) -> None:
        """`timeout` in seconds, for the connection and again for the whole answer."""
        self._timeout = timeout
        self._secrets = tuple(secrets)
        self._verify: str | bool = str(ca_file) if ca_file else True
        self._local = threading.local()
        self._sessions: list[requests.Session] = []
        self._lock = threading.Lock()

    def post(
        self,
        url: str,
        body: bytes,
        content_type: str,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        *,
        once: bool = False,
    ) -> Answer:
        """The answer, whatever its status. Raises DeliveryFailed if there is none.

        `once`: the provider would take a repetition for another message.
        """
        host = urlsplit(url).hostname or ""
        try:
            with self._session().post(
                url,
                data=body,
                headers={"Content-Type": content_type, "User-Agent": _AGENT, **(headers or {})},
                auth=auth,
                timeout=self._timeout,
                allow_redirects=False,
                verify=self._verify,
                proxies=get_environ_proxies(url),
                stream=True,
            ) as response:
                text = self._read(response)
                return Answer(host, response.status_code, {k.lower(): v for k, v in response.headers.items()}, text)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise _unanswered(error, host, self._timeout, once=once) from None

    def said(self, text: str, limit: int = 200) -> str:
        """What a provider said, for an error: on one line, short, without secrets."""
        text = redact(text[:_LOOKED_AT], self._secrets)  # it takes its time, the more there is the longer
        line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
        return line if len(line) <= limit else line[: limit - 1] + "…"

    def failure(self, answer: Answer, told: str = "") -> DeliveryFailed:
        """What the status alone means; `told` is the provider's own explanation."""
        said = self.said(told or answer.text)
        text = f"{answer.host} answered {answer.status}{': ' if said else ''}{said}"
        match answer.status:
            case 401 | 403 | 407:
                return DeliveryFailed(Reason.AUTH, text, retry=True, opens_circuit=True)
            case 408 | 425:
                return DeliveryFailed(Reason.TIMEOUT, text, retry=True, after=answer.retry_after)
            case 413:
                return DeliveryFailed(Reason.TOO_LARGE, text, retry=False)
            case 429:
                return DeliveryFailed(Reason.RATE_LIMITED, text, retry=True, after=answer.retry_after)
            case status if status >= 500:
                return DeliveryFailed(Reason.UNAVAILABLE, text, retry=True, after=answer.retry_after)
            case status if 300 <= status < 400:
                return DeliveryFailed(Reason.REJECTED, f"{text}; redirects are not followed", retry=False)
        return DeliveryFailed(Reason.REJECTED, text, retry=False)

    def close(self) -> None:
        """Let all connections go."""
        with self._lock:
            for session in self._sessions:
                session.close()
            self._sessions.clear()
            self._local = threading.local()

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = requests.Session()
            # The environment's .netrc would take the place of our own credentials.
            session.trust_env = False
            for scheme in ("http://", "https://"):
                session.mount(scheme, PatientAdapter())
            self._local.session = session
            with self._lock:
                self._sessions.append(session)
        return session

    @staticmethod
    def _read(response: requests.Response) -> str:
        content = b""
        for piece in response.iter_content(4096):
            content += piece
            if len(content) > _LARGEST_ANSWER:
                break
        return content[:_LARGEST_ANSWER].decode("utf-8", "replace")


def _unanswered(error: Exception, host: str, timeout: float, *, once: bool) -> DeliveryFailed:
    if isinstance(error, requests.ConnectTimeout):
        return DeliveryFailed(Reason.TIMEOUT, f"no connection to {host} within {timeout:g} s", retry=True)
    causes = list(_causes(error))
    if isinstance(error, requests.Timeout) or _any(causes, (TimeoutError, urllib3.exceptions.ReadTimeoutError)):
        text = f"no answer from {host} within {timeout:g} s; it may have taken the message"
        return DeliveryFailed(Reason.TIMEOUT, text, retry=True, ambiguous=once)
    if _any(causes, (urllib3.exceptions.NameResolutionError,)):
        return DeliveryFailed(Reason.NETWORK, f"the name {host} cannot be resolved", retry=True)
    if verdict := next((cause for cause in causes if isinstance(cause, ssl.SSLCertVerificationError)), None):
        return DeliveryFailed(Reason.NETWORK, f"{host}'s certificate is refused: {verdict.verify_message}", retry=True)
    if _any(causes, (ssl.SSLError,)):
        return DeliveryFailed(Reason.NETWORK, f"no TLS connection to {host}", retry=True)
    if _any(causes, (urllib3.exceptions.NewConnectionError, ConnectionRefusedError)):
        return DeliveryFailed(Reason.NETWORK, f"no connection to {host}", retry=True)
    if isinstance(error, requests.exceptions.InvalidHeader | requests.exceptions.InvalidURL):
        return DeliveryFailed(Reason.INTERNAL, f"no request to {host} can be made of these settings", retry=False)
    if _any(causes, (OSError, urllib3.exceptions.HTTPError)):
        text = f"the connection to {host} broke before the answer; it may have taken the message"
        return DeliveryFailed(Reason.NETWORK, text, retry=True, ambiguous=once)
    return DeliveryFailed(Reason.INTERNAL, f"the request to {host} failed: {type(error).__name__}", retry=True)


def _any(causes: list[BaseException], kinds: tuple[type[BaseException], ...]) -> bool:
    return any(isinstance(cause, kinds) for cause in causes)


def _causes(error: BaseException, depth: int = 8) -> Iterable[BaseException]:
    """`error`, and all that is wrapped in it, which urllib3 does in several ways."""
    yield error
    wrapped: list[Any] = [error.__cause__, error.__context__, getattr(error, "reason", None), *error.args]
    if depth:
        for each in wrapped:
            if isinstance(each, BaseException):
                yield from _causes(each, depth - 1)
