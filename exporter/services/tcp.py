"""`tcp`: connects, and if asked to, sends something and waits for an answer."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from chassis.secrets import Secret
from exporter.services.attempt import Attempt, Probe, Tools
from exporter.services.channel import Channel
from exporter.services.expect import SEARCHED, Pattern
from exporter.services.failure import Fault, ProbeFailed
from exporter.services.options import Endpoint, NetworkOptions
from exporter.services.tls import TlsOptions

KIND = "tcp"


class Options(NetworkOptions):
    """A service that takes connections over TCP."""

    kind: Literal["tcp"] = Field(description="Connects.")
    address: Endpoint = Field(description="host:port, e.g. relay.example.com:2525.")
    tls: TlsOptions | None = Field(None, description="Speak TLS from the start; `{}` is enough.")
    send: Secret | None = Field(None, description="Text to send first; in double quotes, `\\r\\n` is an end of line.")
    expect: str | None = Field(None, min_length=1, description="Text that has to come, within `timeout`.")
    regex: Pattern | None = Field(None, description="Regular expression that has to match in what comes.")

    @field_validator("regex")
    @classmethod
    def _one_expectation(cls, regex: Pattern | None, info: ValidationInfo) -> Pattern | None:
        if regex is not None and info.data.get("expect") is not None:
            raise ValueError("expect is given as well; keep one")
        return regex


class _Probe:
    def __init__(self, options: Options) -> None:
        self._options = options

    def __call__(self, attempt: Attempt) -> None:
        options = self._options
        channel = self._dial(attempt)
        try:
            if options.tls:
                verify = options.tls.verify is not False
                attempt.secure(channel, options.tls, options.address.host, self._dial, verify=verify)
            if options.expect is None and options.regex is None:
                if options.send:
                    channel.send(options.send.reveal().encode())
                return
            with attempt.exchange(channel):
                if options.send:
                    channel.send(options.send.reveal().encode())
                self._wait(channel, attempt.limit)
        finally:
            channel.close()

    def _dial(self, attempt: Attempt) -> Channel:
        return attempt.dial(self._options.address, self._options.ip)

    def _wait(self, channel: Channel, limit: float) -> None:
        came = b""
        while len(came) <= SEARCHED:
            try:
                more = channel.receive()
            except TimeoutError:
                if came:
                    raise ProbeFailed(Fault.TIMEOUT, f"{self._missing(came)} after {limit:g} s") from None
                raise
            if not more:
                break
            came += more
            if self._found(came.decode("utf-8", "replace")):
                return
        raise ProbeFailed(Fault.BODY, self._missing(came))

    def _found(self, text: str) -> bool:
        if self._options.expect is not None:
            return self._options.expect in text
        return re.search(self._options.regex or "", text[:SEARCHED]) is not None

    def _missing(self, came: bytes) -> str:
        wanted = self._options.expect or self._options.regex
        return f"{wanted!r} is not in the {len(came):,} bytes that came"


def prepare(options: Options, _tools: Tools) -> Probe:
    """The probe of one service."""
    return _Probe(options)


def guide() -> str:
    """Its section of docs/configuration.md."""
    return """\
### Probing over TCP

```yaml
services:
  - {name: relay, kind: tcp, address: "relay.example.com:2525"}
  - {name: imap, kind: tcp, address: "imap.example.com:993", tls: {}, expect: "* OK"}
  - {name: memcached, kind: tcp, address: "cache:11211", send: "version\\r\\n", regex: "^VERSION 1\\\\."}
```

A connection that is taken will do, with `tls` a handshake. With `expect` or `regex` the answer is read until it
holds that; `body` is the reason if the server ends the connection, or sent 16 KiB, without it, and `timeout` if it
did not come in time."""
