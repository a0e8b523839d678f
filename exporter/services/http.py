"""`http`: asks for a page, and looks at the answer.

http.client reads the answer, from a channel with a deadline of its own: a library with sessions (requests, httpx)
limits each read instead of the whole, keeps connections, so that nothing would tell what connecting takes, and
costs several times the processor time. A connection is made anew for each probe, and no proxy is used.
"""

from __future__ import annotations

import base64
import http.client
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urljoin

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from chassis.secrets import Secret, SecretUrl
from chassis.settings import Settings
from exporter.options import checked
from exporter.services.attempt import Attempt, Probe, Tools
from exporter.services.channel import Channel
from exporter.services.expect import ExpectOptions, check, status_allowed
from exporter.services.failure import Fault, ProbeFailed
from exporter.services.options import NetworkOptions
from exporter.services.page import Page, url_problem
from exporter.services.tls import TlsOptions

KIND = "http"
BODY_LIMIT = 2**20  # bytes that are read of a body
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_OURS = {"host", "connection", "content-length", "transfer-encoding"}
_CREDENTIALS = {"authorization", "cookie"}
_Given = TypeVar("_Given")


def _headers(given: Mapping[str, Any]) -> Mapping[str, Any]:
    for name, value in given.items():
        if not _TOKEN.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a header")
        if name.lower() in _OURS:
            raise ValueError(f"{name} is made of the URL and the body; leave it out")
        if isinstance(value, str):
            header_value(name, value)
    return given


def header_value(name: str, value: str) -> str:
    """`value`, if it can be sent in a header; ValueError otherwise, which does not quote it."""
    if not all(32 <= ord(character) < 256 and ord(character) != 127 for character in value):
        raise ValueError(f"the value of {name} cannot be sent in a header")
    return value


class BasicAuth(Settings):
    """User and password."""

    username: str = Field(min_length=1, description="The user.")
    password: Secret = Field(description="The password.")

    @field_validator("username")
    @classmethod
    def _no_colon(cls, username: str) -> str:
        if ":" in username:
            raise ValueError("a user's name holds no colon (RFC 7617)")
        return username


class Options(NetworkOptions):
    """A service that answers HTTP or HTTPS."""

    kind: Literal["http"] = Field(description="Asks for a page.")
    url: Annotated[SecretUrl, checked(url_problem)] = Field(description="Its address, http or https.")
    method: Literal["GET", "HEAD", "OPTIONS", "POST", "PUT"] = Field("GET", description="Method of the request.")
    headers: Annotated[Mapping[str, str], AfterValidator(_headers)] = Field(
        default_factory=dict, description="Headers of the request."
    )
    secret_headers: Annotated[Mapping[str, Secret], AfterValidator(_headers)] = Field(
        default_factory=dict, description="Headers with secret values; `NAME_file` reads one from a file."
    )
    body: Secret | None = Field(None, description="Body of the request.")
    basic_auth: BasicAuth | None = Field(None, description="User and password to send.")
    bearer_token: Secret | None = Field(None, description="Token to send.")
    redirects: int = Field(5, ge=0, le=20, description="How many are followed, unless their status is expected.")
    tls: TlsOptions = Field(default_factory=TlsOptions, description="TLS, for https.")
    expect: ExpectOptions = Field(default_factory=ExpectOptions, description="What the answer has to be.")

    @field_validator("secret_headers", "basic_auth", "bearer_token")
    @classmethod
    def _one_credential(cls, given: _Given, info: ValidationInfo) -> _Given:
        before = [name for name, value in info.data.items() if _says_who(name, value)]
        if _says_who(str(info.field_name), given) and before:
            raise ValueError(f"{before[0]} says already who asks; keep one")
        return given


def _says_who(name: str, value: object) -> bool:
    """Whether this option of a request proves who sends it."""
    if isinstance(value, Mapping):
        return any(header.lower() == "authorization" for header in value)
    return name in ("basic_auth", "bearer_token") and value is not None


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: Message
    body: bytes
    charset: str
    location: str | None


class _Probe:
    def __init__(self, options: Options) -> None:
        self._options = options
        self._verify = options.tls.verify is not False

    def __call__(self, attempt: Attempt) -> None:
        options = self._options
        url, method = options.url.reveal(), str(options.method)
        first = page = Page.of(url)
        for hop in range(options.redirects + 1):
            answer = self._ask(attempt, page, method, trusted=page.origin == first.origin)
            if status_allowed(options.expect, answer.status) or answer.location is None or hop == options.redirects:
                break
            url = urljoin(url, answer.location)
            page = Page.of(url)
            if method == "POST" and answer.status in (301, 302, 303):  # as browsers do (RFC 9110, 15.4)
                method = "GET"
        attempt.code = str(answer.status)
        if not status_allowed(options.expect, answer.status):
            fault = Fault.AUTH if answer.status in (401, 403, 407) else Fault.STATUS
            raise ProbeFailed(fault, f"status {answer.status}, not {' or '.join(options.expect.status)}")
        check(options.expect, answer.headers, answer.body, answer.charset)

    def _ask(self, attempt: Attempt, page: Page, method: str, *, trusted: bool) -> _Answer:
        request = self._request(page, method, trusted=trusted)
        channel = self._dial(attempt, page)
        try:
            if page.scheme == "https":
                attempt.secure(
                    channel, self._options.tls if trusted else self._options.tls.model_copy(update=_ELSEWHERE),
                    page.address.host, lambda other: self._dial(other, page), verify=self._verify,
                )  # fmt: skip
            with attempt.exchange(channel):
                channel.send(request)
                return _answer(channel, method)
        finally:
            channel.close()

    def _dial(self, attempt: Attempt, page: Page) -> Channel:
        return attempt.dial(page.address, self._options.ip)

    def _request(self, page: Page, method: str, *, trusted: bool) -> bytes:
        """The whole of it. Only who is `trusted`, the configured origin, is told a secret."""
        options = self._options
        given = {"User-Agent": "Postwatch", "Accept": "*/*", "Accept-Encoding": "identity"}
        given |= {name: value for name, value in options.headers.items() if trusted or name.lower() not in _CREDENTIALS}
        body = b""
        if trusted:
            try:
                given |= {name: header_value(name, secret.reveal()) for name, secret in options.secret_headers.items()}
                if options.bearer_token:
                    given["Authorization"] = header_value(
                        "Authorization", f"Bearer {options.bearer_token.reveal().strip()}"
                    )
            except ValueError as error:
                raise ProbeFailed(Fault.AUTH, str(error)) from None
            if options.basic_auth:
                pair = f"{options.basic_auth.username}:{options.basic_auth.password.reveal()}"
                given["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode('ascii')}"
            if options.body and method == options.method:
                body = options.body.reveal().encode()
        lines = [f"{method} {page.path} HTTP/1.1", f"Host: {page.host}"]
        lines += [f"{name}: {value}" for name, value in given.items()]
        if body or method in ("POST", "PUT"):
            lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1") + body


# The name and the certificate that were configured are for the configured origin alone.
_ELSEWHERE = {"server_name": None, "cert_file": None, "key_file": None}


def _answer(channel: Channel, method: str) -> _Answer:
    response = http.client.HTTPResponse(channel, method=method)  # type: ignore[arg-type]  # it makes a file of it only
    try:
        response.begin()
        body = response.read(BODY_LIMIT)
    except http.client.RemoteDisconnected:
        raise ProbeFailed(Fault.PROTOCOL, "the server ended the connection without an answer") from None
    except (http.client.HTTPException, ValueError) as error:
        raise ProbeFailed(Fault.PROTOCOL, f"no answer in HTTP/1.1 ({type(error).__name__})") from None
    if response.length and len(body) < BODY_LIMIT:
        raise ProbeFailed(Fault.PROTOCOL, f"the body ended {response.length:,} bytes early")
    charset = response.headers.get_content_charset("utf-8")
    location = response.headers.get("Location") if 300 <= response.status < 400 else None
    return _Answer(response.status, response.headers, body, charset, location)


def prepare(options: Options, _tools: Tools) -> Probe:
    """The probe of one service."""
    return _Probe(options)


def codes(options: Options) -> tuple[str, ...]:
    """Status codes to be served before they are met: those expected, of a class its first."""
    return tuple(each.replace("xx", "00") for each in options.expect.status)


def guide() -> str:
    """Its section of docs/configuration.md."""
    return """\
### Probing over HTTP

```yaml
services:
  - name: api
    kind: http
    url: https://api.example.com/health
    bearer_token_file: /etc/postwatch/api-token
    expect:
      status: 200
      json: {status: ok, "checks.database[0].ok": true}
      headers: {Content-Type: application/json}
    tls: {ca_file: /etc/postwatch/internal-ca.crt}
```

Without `expect`, any status from 200 to 299 will do. The body may be asked for a text (`body`), a regular
expression (`regex`, in its first 16,384 characters) and values in JSON (`json`); up to 1 MiB of it is read.
Redirects are followed unless their status is expected. What is secret (`basic_auth`, `bearer_token`,
`secret_headers`, `body`, a client certificate) is sent to the configured scheme, host and port alone, whatever a
redirect says. 401, 403 and 407 count as `auth`, other unexpected codes as `status`; `body` stands for an
expectation of the body or of a header that does not hold. Proxies named in the environment are not used."""
