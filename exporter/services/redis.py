"""`redis`: logs in and asks, as a client would.

redis-py limits each read instead of the whole, and makes a pool for one command. So the probe asks over a channel with
a deadline; hiredis, which redis-py uses too, reads the answers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import hiredis
from pydantic import Field
from redis import connection

from chassis.address import Address
from chassis.secrets import SecretUrl
from exporter.clients.urls import redis_problem
from exporter.options import checked
from exporter.services.attempt import Attempt, Probe, Tools
from exporter.services.channel import Channel
from exporter.services.failure import Fault, ProbeFailed
from exporter.services.options import NetworkOptions
from exporter.services.tls import TlsOptions

KIND = "redis"
SCHEMES = ("redis", "rediss", "unix")
PORT = 6379
NO_ENTRY = ("NOAUTH", "WRONGPASS", "NOPERM", "DENIED")
# Neither is typed.
_pack: Any = hiredis.pack_command
_parse: Any = connection.parse_url


def url_problem(url: str) -> str:
    """What is wrong with the address of one Redis, in words that hold no part of it; or nothing."""
    if problem := redis_problem(url):
        return problem
    if url.partition("://")[0] not in SCHEMES:
        return f"a probe looks at one server; the address begins with one of {', '.join(SCHEMES)}, each followed by ://"
    try:
        _parse(url)
    except ValueError:
        return "not an address of Redis; write e.g. redis://host:6379/0"
    return ""


class Options(NetworkOptions):
    """A Redis server."""

    kind: Literal["redis"] = Field(description="Asks a Redis server.")
    url: Annotated[SecretUrl, checked(url_problem)] = Field(description="Its address: redis, rediss or unix.")
    tls: TlsOptions = Field(default_factory=TlsOptions, description="TLS, for rediss.")
    key: str | None = Field(None, min_length=1, description="A key that has to exist; if not given, PING is asked.")


class _Probe:
    def __init__(self, options: Options) -> None:
        self._options = options

    def __call__(self, attempt: Attempt) -> None:
        url = self._options.url.reveal()
        if problem := url_problem(url):
            raise ProbeFailed(Fault.PROTOCOL, problem)
        given = _parse(url)
        channel = self._connected(attempt, url, given)
        try:
            reader = hiredis.Reader()
            with attempt.phase("connect"):
                if password := given.get("password"):
                    user = (given["username"],) if given.get("username") else ()
                    _ask(channel, reader, "AUTH", *user, password, fault=Fault.AUTH)
                if int(given.get("db") or 0):
                    _ask(channel, reader, "SELECT", str(given["db"]))
            with attempt.exchange(channel):
                if self._options.key is None:
                    _ask(channel, reader, "PING")
                elif not _ask(channel, reader, "EXISTS", self._options.key):
                    raise ProbeFailed(Fault.BODY, f"there is no key {self._options.key!r}")
        finally:
            channel.close()

    def _connected(self, attempt: Attempt, url: str, given: dict[str, Any]) -> Channel:
        if url.startswith("unix:"):
            return attempt.dial_local(str(given.get("path", "")))
        address = Address(given.get("host", "localhost"), given.get("port", PORT))

        def dial(other: Attempt) -> Channel:
            return other.dial(address, self._options.ip)

        channel = dial(attempt)
        if url.startswith("rediss:"):
            tls = _with_url(self._options.tls, given)
            try:
                attempt.secure(channel, tls, address.host, dial, verify=tls.verify is not False)
            except BaseException:
                channel.close()
                raise
        return channel


def _with_url(options: TlsOptions, given: dict[str, Any]) -> TlsOptions:
    """The options, and for what they leave open those of the URL, by redis-py's names."""
    names = {"ca_file": "ssl_ca_certs", "cert_file": "ssl_certfile", "key_file": "ssl_keyfile"}
    update: dict[str, Any] = {
        mine: Path(given[theirs])
        for mine, theirs in names.items()
        if theirs in given and getattr(options, mine) is None
    }
    if options.verify is None and given.get("ssl_cert_reqs") == "none":
        update["verify"] = False
    return options.model_copy(update=update) if update else options


def _ask(channel: Channel, reader: hiredis.Reader, *command: str, fault: Fault = Fault.STATUS) -> Any:
    """The answer to one command. Raises ProbeFailed for an answer that is an error."""
    channel.send(_pack(command))
    while (answer := _next(reader)) is _NOTHING:
        data = channel.receive()
        if not data:
            raise ProbeFailed(Fault.PROTOCOL, "the server ended the connection without an answer")
        reader.feed(data)
    if isinstance(answer, hiredis.ReplyError):
        raise _refusal(str(answer), fault)
    return answer


_NOTHING = object()


def _next(reader: hiredis.Reader) -> Any:
    try:
        answer = reader.gets()
    except hiredis.ProtocolError:
        raise ProbeFailed(Fault.PROTOCOL, "what came is no answer of Redis") from None
    return _NOTHING if answer is False else answer


def _refusal(text: str, fault: Fault) -> ProbeFailed:
    """An error of Redis: its first word says which. It never quotes the password, but may a command's arguments."""
    word = text.partition(" ")[0]
    if "max number of clients" in text:
        return ProbeFailed(Fault.REFUSED, "the server has no connection left")
    if word in NO_ENTRY:
        return ProbeFailed(Fault.AUTH, f"{word}: a password, a user or a right is wrong or missing")
    return ProbeFailed(fault, f"{word}: {text.partition(' ')[2][:100]}" if fault is Fault.STATUS else word)


def prepare(options: Options, _tools: Tools) -> Probe:
    """The probe of one service."""
    return _Probe(options)


def guide() -> str:
    """Its section of docs/configuration.md."""
    return """\
### Probing Redis

```yaml
services:
  - {name: cache, kind: redis, url: "redis://cache.example.com:6379/0", degraded_after: 50ms}
```

Logs in, selects the database, and asks `PING`, which Redis answers with an error while it loads its data, waits for
its master or cannot write to its disk; with `key`, whether that key exists. `connect` is the time until logged in,
`first_byte` that of the answer. One server is probed, by `redis://`, `rediss://` or `unix://`; of a Sentinel group or
a cluster, name each server that matters. `ssl_ca_certs`, `ssl_certfile`, `ssl_keyfile` and `ssl_cert_reqs=none` in
the URL count unless `tls` says otherwise."""
