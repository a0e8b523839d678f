"""Names for what goes wrong with PostgreSQL, and what a user can do about it."""

from __future__ import annotations

import psycopg
from psycopg import errors

from chassis.secrets import Secret, redact
from exporter.model import Reason, SampleFailed

# By SQLSTATE, exact codes before classes. PostgreSQL's documentation, appendix A.
_BY_STATE: dict[str, tuple[Reason, str]] = {
    "28P01": (Reason.AUTH, "check the user and the password in the URL"),
    "28000": (Reason.AUTH, "check the user in the URL and pg_hba.conf"),
    "3D000": (Reason.AUTH, "check the database's name in the URL"),
    "42501": (Reason.PERMISSION, "`postwatch-exporter check --connect` prints the GRANT to run"),
    "42P01": (Reason.MISSING, "check `schema` in the configuration, and the role's search_path"),
    "42703": (Reason.MISSING, "map the column in `schema`"),
    "3F000": (Reason.MISSING, "check `schema` in the configuration"),
    "42804": (Reason.MISMATCH, "map another column in `schema`"),
    "42883": (Reason.MISMATCH, "map another column in `schema`"),
    "55P03": (Reason.LOCKED, "somebody holds the table, a migration for example; it is tried again"),
    "57014": (Reason.TIMEOUT, "the query took longer than `timeout` allows"),
    "40001": (Reason.LOCKED, "the standby had to cancel the query; it is tried again"),
    "53300": (Reason.OVERLOADED, "the server has no connection left"),
    "57P01": (Reason.REFUSED, "the server ended the connection"),
    "57P02": (Reason.REFUSED, "the server ended the connection"),
    "57P03": (Reason.REFUSED, "the server is starting up or shutting down"),
    "25P03": (Reason.TIMEOUT, ""),
    "08P01": (Reason.PROTOCOL, ""),
}
_BY_CLASS: dict[str, tuple[Reason, str]] = {
    "08": (Reason.REFUSED, ""),
    "22": (Reason.MISMATCH, "a row holds a value that its column's meaning does not allow"),
    "28": (Reason.AUTH, "check the credentials in the URL"),
    "42": (Reason.MISMATCH, "check `schema` in the configuration"),
    "53": (Reason.OVERLOADED, "the server is short of resources"),
    "58": (Reason.OVERLOADED, "the server has trouble with its disk"),
    "57": (Reason.REFUSED, ""),
    "XX": (Reason.PROTOCOL, "the server reports a defect or damage of its own"),
}
# libpq gives no SQLSTATE for what happens before the server speaks.
_BY_TEXT: tuple[tuple[str, Reason, str], ...] = (
    ("too many clients", Reason.OVERLOADED, "the server has no connection left"),
    ("too many connections", Reason.OVERLOADED, "a role or a database has no connection left"),
    ("remaining connection slots", Reason.OVERLOADED, "the server has no connection left"),
    ("no more connections allowed", Reason.OVERLOADED, "PgBouncer has no connection left"),
    ("password authentication failed", Reason.AUTH, "check the user and the password in the URL"),
    ("no password supplied", Reason.AUTH, "give a password in the URL, or by `postgres_file`"),
    ("authentication failed", Reason.AUTH, "check the user and the password in the URL"),
    ("no pg_hba.conf entry", Reason.AUTH, "allow this host in pg_hba.conf"),
    ('role "', Reason.AUTH, "check the user in the URL"),
    ('database "', Reason.AUTH, "check the database's name in the URL"),
    ("starting up", Reason.REFUSED, "the server is starting up"),
    ("shutting down", Reason.REFUSED, "the server is shutting down"),
    ("translate host name", Reason.RESOLVE, "check the host in the URL"),
    ("resolve host", Reason.RESOLVE, "check the host in the URL"),
    ("timeout expired", Reason.TIMEOUT, "the server does not answer"),
    ("ssl", Reason.TLS, "check sslmode and the certificates in the URL"),
    ("certificate", Reason.TLS, "check sslmode and the certificates in the URL"),
    ("refused", Reason.REFUSED, "check the address, and that the server runs"),
)


def explain(error: psycopg.Error, address: str, secret: Secret) -> SampleFailed:
    """The failure as users meet it: a reason, the server's words, what to do.

    `address` has no password; what the server or the driver quotes of `secret` is masked.
    """
    text = (error.diag.message_primary or str(error) or type(error).__name__).strip()
    # libpq's own advice is left out: ours says it shorter.
    text = " ".join(text.split()).removeprefix("connection failed: ").partition(" Is the server running")[0]
    text = redact(text, [secret])
    if isinstance(error, errors.ConnectionTimeout):
        return SampleFailed(
            Reason.TIMEOUT, f"{address}: no connection in time", "the server does not answer", about=address
        )
    state = error.sqlstate or ""
    known = _BY_STATE.get(state) or _BY_CLASS.get(state[:2])
    if known is None:
        lower = text.lower()
        known = next(((r, advice) for words, r, advice in _BY_TEXT if words in lower), None)
    if known is None and isinstance(error, psycopg.OperationalError):
        known = (Reason.REFUSED, "the connection was lost; it is tried again")
    reason, advice = known or (Reason.PROTOCOL, "")
    return SampleFailed(reason, f"{address}: {text}", advice, about=address)
