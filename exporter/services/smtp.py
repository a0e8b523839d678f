"""`smtp`: greets a mail server as a sender would, and leaves without sending anything.

The dialogue is ours, over a channel with a deadline: smtplib limits each line, not the whole, and reads the banner
before anybody can tell how long it took. RFC 5321 (replies, EHLO), RFC 3207 (STARTTLS), RFC 4954 (AUTH).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from ipaddress import ip_address
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, StringConstraints, ValidationInfo, field_validator

from exporter.services.attempt import Attempt, Probe, Tools
from exporter.services.channel import Channel
from exporter.services.failure import Fault, ProbeFailed
from exporter.services.options import Endpoint, NetworkOptions
from exporter.services.tls import TlsOptions

KIND = "smtp"
MOST_LINES = 100  # of one reply
FAREWELL = 0.5  # seconds for the answer to QUIT

Host = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9\[\]:.-]{1,255}$")]
Mechanism = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,20}$", to_upper=True)]


class Options(NetworkOptions):
    """A mail server."""

    kind: Literal["smtp"] = Field(description="Greets a mail server, and sends nothing.")
    address: Endpoint = Field(description="host:port, e.g. mail.example.com:25.")
    starttls: Literal["required", "optional", "off"] = Field(
        "optional", description="Whether to encrypt by STARTTLS: a must, if it is offered, or never."
    )
    implicit_tls: bool = Field(False, description="Speak TLS from the start, as on port 465.")
    tls: TlsOptions = Field(
        default_factory=TlsOptions, description="TLS; with `starttls: optional` a certificate need not be valid."
    )
    auth: Sequence[Mechanism] = Field((), description="Mechanisms of AUTH that have to be offered, e.g. PLAIN.")
    ehlo: Host | None = Field(None, description="Name that we greet with; our address if not given.")
    expect: str | None = Field(None, min_length=1, description="Text that the server's greeting has to contain.")

    @field_validator("implicit_tls")
    @classmethod
    def _one_way_to_encrypt(cls, implicit: bool, info: ValidationInfo) -> bool:
        if implicit and info.data.get("starttls") == "required":
            raise ValueError("starttls: required excludes it; keep one")
        return implicit


class Reply(NamedTuple):
    """A code and the texts of its lines."""

    code: int
    lines: tuple[str, ...]


def read_reply(channel: Channel) -> Reply:
    """A whole reply (RFC 5321, 4.2). Raises ProbeFailed: `protocol`."""
    lines: list[str] = []
    for _ in range(MOST_LINES):
        line = channel.line().decode("utf-8", "replace")
        if not line[:3].isascii() or not line[:3].isdigit() or line[3:4] not in ("", " ", "-"):
            raise ProbeFailed(Fault.PROTOCOL, "what came is no reply of SMTP")
        lines.append(line[4:])
        if line[3:4] != "-":
            return Reply(int(line[:3]), tuple(lines))
    raise ProbeFailed(Fault.PROTOCOL, f"a reply of more than {MOST_LINES} lines")


class _Probe:
    def __init__(self, options: Options) -> None:
        self._options = options
        # Who encrypts only if it is offered could be led to send in the clear: a valid certificate wins nothing then.
        opportunistic = options.starttls == "optional" and not options.implicit_tls
        self._verify = not opportunistic if options.tls.verify is None else options.tls.verify

    def __call__(self, attempt: Attempt) -> None:
        options = self._options
        channel = self._greeted(attempt)
        try:
            with attempt.phase("transfer"):
                extensions = self._ehlo(channel)
            offered = "STARTTLS" in extensions and not options.implicit_tls
            if options.starttls == "required" and not offered:
                raise ProbeFailed(Fault.TLS, "the server does not offer STARTTLS")
            if offered and options.starttls != "off":
                with attempt.phase("transfer"):
                    _ask(channel, "STARTTLS", 220, Fault.TLS)
                attempt.secure(channel, options.tls, options.address.host, self._at_starttls, verify=self._verify)
                with attempt.phase("transfer"):
                    extensions = self._ehlo(channel)
            mechanisms = extensions.get("AUTH", "").upper().split()
            if missing := [each for each in options.auth if each not in mechanisms]:
                raise ProbeFailed(Fault.AUTH, f"the server does not offer AUTH {', '.join(missing)}")
            with attempt.phase("transfer"):
                _ask(channel, "NOOP", 250)
            attempt.done()
            channel.deadline = attempt.deadline.part(FAREWELL)
            with suppress(ProbeFailed, OSError):
                _ask(channel, "QUIT", 221)
        finally:
            channel.close()

    def _greeted(self, attempt: Attempt) -> Channel:
        """A channel on which the server has greeted us."""
        options = self._options
        channel = self._dial(attempt)
        try:
            if options.implicit_tls:
                attempt.secure(channel, options.tls, options.address.host, self._dial, verify=self._verify)
            with attempt.exchange(channel):
                banner = read_reply(channel)
            self._check(banner)
        except BaseException:
            channel.close()
            raise
        return channel

    def _check(self, banner: Reply) -> None:
        wanted = self._options.expect
        if banner.code != 220:
            raise ProbeFailed(Fault.STATUS, f"the server greets with {banner.code}, not 220")
        if wanted is not None and wanted not in "\n".join(banner.lines):
            raise ProbeFailed(Fault.BODY, f"{wanted!r} is not in the server's greeting")

    def _dial(self, attempt: Attempt) -> Channel:
        return attempt.dial(self._options.address, self._options.ip)

    def _at_starttls(self, attempt: Attempt) -> Channel:
        channel = self._greeted(attempt)
        try:
            self._ehlo(channel)
            _ask(channel, "STARTTLS", 220, Fault.TLS)
        except BaseException:
            channel.close()
            raise
        return channel

    def _ehlo(self, channel: Channel) -> dict[str, str]:
        """The extensions that the server offers, by keyword; none if it knows only HELO."""
        name = self._options.ehlo or _literal(channel.local_host)
        channel.send(f"EHLO {name}\r\n".encode("ascii"))
        reply = read_reply(channel)
        if 500 <= reply.code <= 504:  # RFC 5321, 3.2
            _ask(channel, f"HELO {name}", 250)
            return {}
        if reply.code != 250:
            raise ProbeFailed(Fault.STATUS, f"EHLO is answered with {reply.code}, not 250")
        words = (line.upper().replace("AUTH=", "AUTH ").partition(" ") for line in reply.lines[1:])
        return {keyword: rest for keyword, _, rest in words}


def _ask(channel: Channel, command: str, wanted: int, fault: Fault = Fault.STATUS) -> None:
    channel.send(f"{command}\r\n".encode("ascii"))
    reply = read_reply(channel)
    if reply.code != wanted:
        raise ProbeFailed(fault, f"{command.partition(' ')[0]} is answered with {reply.code}, not {wanted}")


def _literal(host: str) -> str:
    """An address as EHLO takes it (RFC 5321, 4.1.3)."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return "localhost"
    return f"[{address}]" if address.version == 4 else f"[IPv6:{address}]"


def prepare(options: Options, _tools: Tools) -> Probe:
    """The probe of one service."""
    return _Probe(options)


def guide() -> str:
    """Its section of docs/configuration.md."""
    return """\
### Probing a mail server

```yaml
services:
  - name: submission
    kind: smtp
    address: mail.example.com:587
    starttls: required
    auth: [PLAIN, LOGIN]
    backlog: {source: mail, queues: ["queue:email-sending*"], degraded: 5000}
queues:
  - {name: mail, kind: hybrid, postgres: "${MAIL_DATABASE_URL}", redis: "${MAIL_REDIS_URL}", schema: penguinmails}
```

The probe reads the greeting, says EHLO, encrypts if it may, says EHLO again, NOOP and QUIT; it never logs in and
never sends mail. `starttls: required` asks for a certificate that is valid for the host. With `optional` any will
do, as for mail servers among themselves (RFC 7435); `tls: {verify: true}` asks for a valid one there too. Phases:
`first_byte` is the wait for the greeting, `transfer` the dialogue; a server that is slow to answer QUIT is not
charged for that."""
