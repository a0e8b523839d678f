"""`postgres`: logs in and runs a query, on a connection of its own.

libpq is driven step by step: psycopg's `connect` waits for two seconds at the least, and resolves names without any
limit. Here the deadline holds for all of it, and what connecting takes is told apart from what the query takes.
"""

from __future__ import annotations

import select
from contextlib import suppress
from typing import Any, Literal

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pydantic import Field

from chassis.secrets import redact
from exporter.clients import postgres_failures
from exporter.clients.urls import PostgresUrl, postgres_problem
from exporter.model import Reason
from exporter.services.attempt import Attempt, Probe, Tools
from exporter.services.failure import Fault, ProbeFailed
from exporter.services.options import NetworkOptions

KIND = "postgres"
PORT = "5432"

_FAULTS = {
    Reason.REFUSED: Fault.REFUSED,
    Reason.OVERLOADED: Fault.REFUSED,
    Reason.RESOLVE: Fault.RESOLVE,
    Reason.TIMEOUT: Fault.TIMEOUT,
    Reason.TLS: Fault.TLS,
    Reason.AUTH: Fault.AUTH,
    Reason.PERMISSION: Fault.AUTH,
    Reason.PROTOCOL: Fault.PROTOCOL,
}  # what is left is a query that failed: `status`
_NO_POSTGRES = ("expected authentication request", "invalid response to SSL negotiation", "invalid length of message")
_WAITS = {
    pq.PollingStatus.READING: select.POLLIN,
    pq.PollingStatus.WRITING: select.POLLOUT,
}
_ROWS = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.SINGLE_TUPLE)
_FINE = (*_ROWS, pq.ExecStatus.COMMAND_OK, pq.ExecStatus.EMPTY_QUERY)


class Options(NetworkOptions):
    """A PostgreSQL server."""

    kind: Literal["postgres"] = Field(description="Runs a query on PostgreSQL.")
    url: PostgresUrl = Field(description="Its address, e.g. postgresql://postwatch@db:5432/mail.")
    query: str = Field("select 1", min_length=1, description="Query to run, in a transaction that cannot write.")
    expect: str | None = Field(
        None, description="What the first column of its first row has to be, as text: `t` for true, `1`."
    )


class _Probe:
    def __init__(self, options: Options) -> None:
        self._options = options
        self._known: tuple[str, dict[str, Any]] = ("", {})  # a URL and what it says, which is costly to read

    def __call__(self, attempt: Attempt) -> None:
        url = self._options.url.reveal()
        if self._known[0] != url:
            if problem := postgres_problem(url):
                raise ProbeFailed(Fault.PROTOCOL, f"the address of the database: {problem}")
            self._known = (url, conninfo_to_dict(url))
        given = self._known[1]
        conninfo = make_conninfo(**{**_DEFAULTS, **given, **self._resolved(attempt, given)})
        with attempt.phase("connect"):
            connection = self._connected(attempt, conninfo)
        try:
            self._run(attempt, connection)
        finally:
            connection.finish()

    def _resolved(self, attempt: Attempt, given: dict[str, Any]) -> dict[str, str]:
        """Hosts, ports and addresses, one for each way to try: libpq would wait for names without a limit."""
        hosts = str(given.get("host") or "").split(",")
        if given.get("hostaddr") or not any(hosts):
            return {}
        ports = str(given.get("port") or PORT).split(",")
        ports = ports * len(hosts) if len(ports) == 1 else ports
        ways: list[tuple[str, str, str]] = []
        failure: ProbeFailed | None = None
        with attempt.phase("resolve"):
            for host, port in zip(hosts, ports, strict=False):
                if not host or host[0] in "/@":
                    ways.append((host, port, ""))
                    continue
                try:
                    found = attempt.tools.resolver.places(host, 0, self._options.ip, attempt.deadline.need())
                except ProbeFailed as error:
                    failure = error
                else:
                    ways += [(host, port, str(place[0])) for _, place in found]
        if not ways:
            raise failure or ProbeFailed(Fault.RESOLVE, "no address")
        names, numbers, addresses = zip(*ways, strict=True)
        return {"host": ",".join(names), "port": ",".join(numbers), "hostaddr": ",".join(addresses)}

    def _connected(self, attempt: Attempt, conninfo: str) -> pq.abc.PGconn:
        connection: pq.abc.PGconn = pq.PGconn.connect_start(conninfo.encode())
        try:
            self._log_in(attempt, connection)
        except BaseException:
            connection.finish()
            raise
        attempt.connected = True
        connection.nonblocking = 1
        return connection

    def _log_in(self, attempt: Attempt, connection: pq.abc.PGconn) -> None:
        status = pq.PollingStatus.WRITING
        while status in _WAITS and connection.status != pq.ConnStatus.BAD:
            _wait(attempt, connection, _WAITS[status])
            status = pq.PollingStatus(connection.connect_poll())
        if connection.status != pq.ConnStatus.OK:
            raise self._failure(connection.get_error_message())

    def _run(self, attempt: Attempt, connection: pq.abc.PGconn) -> None:
        """One round trip, in a transaction that cannot write. The server is to give up a little before we do."""
        limit = max(int(attempt.deadline.need() * 900), 20)
        began = attempt.clock.monotonic()
        answered: float | None = None
        value: bytes | None = None
        rows = 0
        try:
            connection.send_query(
                f"begin read only; set local statement_timeout = {limit}; {self._options.query}\n; rollback".encode()
            )
            connection.set_single_row_mode()  # however many rows there are, memory holds one
            while connection.flush():
                _wait(attempt, connection, select.POLLOUT | select.POLLIN)
                connection.consume_input()
            while True:
                while connection.is_busy():
                    _wait(attempt, connection, select.POLLIN)
                    answered = answered or attempt.clock.monotonic()
                    connection.consume_input()
                result = connection.get_result()
                if result is None:
                    break
                if result.status not in _FINE:
                    raise self._failure(
                        result.get_error_message(), result.error_field(pq.DiagnosticField.SQLSTATE) or b""
                    )
                if result.status in _ROWS and result.ntuples:
                    rows += 1
                    value = result.get_value(0, 0) if rows == 1 and result.nfields else value
        except psycopg.Error:
            raise self._failure(connection.get_error_message()) from None
        finally:
            ended = attempt.clock.monotonic()
            attempt.add("first_byte", (answered or ended) - began)
            if answered is not None:
                attempt.add("transfer", ended - answered)
        wanted = self._options.expect
        if wanted is not None and (value is None or value.decode("utf-8", "replace") != wanted):
            raise ProbeFailed(Fault.BODY, f"the query's first value is not {wanted!r}" if rows else "no row came")

    def _failure(self, message: str, state: bytes = b"") -> ProbeFailed:
        """What the server or libpq says, by its SQLSTATE or, before there is one, by its words."""
        kind: type[psycopg.Error] = psycopg.OperationalError
        with suppress(KeyError):
            kind = psycopg.errors.lookup(state.decode("ascii"))
        text = " ".join(message.split())
        known = postgres_failures.explain(kind(text), "", self._options.url)
        fault = _FAULTS.get(known.reason, Fault.STATUS)
        if fault is Fault.PROTOCOL and state and not state.startswith(b"08"):
            fault = Fault.STATUS  # an error with a code is a proper answer
        if fault is Fault.TLS and "certificate" in text:
            fault = Fault.CERTIFICATE
        elif any(words in text for words in _NO_POSTGRES):
            fault = Fault.PROTOCOL
        return ProbeFailed(fault, redact(known.message.removeprefix(": ").removeprefix("ERROR: "), [self._options.url]))


_DEFAULTS: dict[str, Any] = {
    "application_name": "postwatch",
    "client_encoding": "utf8",
    "gssencmode": "disable",  # a ticket is looked for otherwise, which can take longer than the probe may
}


def _wait(attempt: Attempt, connection: pq.abc.PGconn, events: int) -> None:
    """Until the connection is ready. Raises TimeoutError at the deadline."""
    poll = select.poll()
    poll.register(connection.socket, events)
    if not poll.poll(attempt.deadline.need() * 1000):
        raise TimeoutError


def prepare(options: Options, _tools: Tools) -> Probe:
    """The probe of one service."""
    return _Probe(options)


def guide() -> str:
    """Its section of docs/configuration.md."""
    return """\
### Probing PostgreSQL

```yaml
services:
  - name: primary
    kind: postgres
    url: postgresql://postwatch@db.example.com:5432/mail
    query: select not pg_is_in_recovery()
    expect: t
```

Each probe logs in on a connection of its own and runs `query` (`select 1` unless given), in a transaction that cannot
write and is rolled back. `connect` is the time until logged in, TLS included, `first_byte` and `transfer` those of the
query. A query that fails counts as `status`, a server without a free connection as `refused`. Certificates are
verified as `sslmode` in the URL says; libpq does not tell when they expire."""
