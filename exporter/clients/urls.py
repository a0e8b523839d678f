"""Addresses of what is watched, looked at before they are used: no driver quotes a broken one with its password."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict

from chassis.secrets import SecretUnavailable, SecretUrl
from exporter.options import checked

POSTGRES_SCHEMES = ("postgresql", "postgres")
REDIS_SCHEMES = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")


def postgres_problem(url: str) -> str:
    """What is wrong with a URL or keyword string for PostgreSQL, in words that hold no part of it; or nothing."""
    scheme, separator, rest = url.partition("://")
    if separator and scheme not in POSTGRES_SCHEMES:
        return "not an address of PostgreSQL; write e.g. postgresql://user@host:5432/database"
    if separator and (problem := _userinfo_problem(rest)):
        return problem
    try:
        given = conninfo_to_dict(url)
    except psycopg.Error:
        return "not an address of PostgreSQL; write e.g. postgresql://user@host:5432/database"
    return "" if given else "empty"


def redis_problem(url: str) -> str:
    """The same for Redis."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in REDIS_SCHEMES:
        return f"not an address of Redis; it begins with one of {', '.join(REDIS_SCHEMES)}, each followed by ://"
    if problem := _userinfo_problem(rest):
        return problem
    try:
        parts = urlsplit(f"redis://{rest}")
        hosts = parts.netloc.rpartition("@")[2].split(",")
        _ = [urlsplit(f"//{host}").port for host in hosts]
    except ValueError:
        return "not an address of Redis; write e.g. redis://host:6379/0"
    if scheme.endswith("+sentinel") and not parts.path.strip("/"):
        return "an address by Sentinel names its service: redis+sentinel://host:26379/SERVICE"
    return ""


def safe(url: SecretUrl) -> str:
    """The address without its password; where its file cannot be read, the file's path."""
    try:
        return url.safe
    except SecretUnavailable as error:
        return str(error.path)


def _userinfo_problem(rest: str) -> str:
    """A password with an unescaped @ or / is cut in two, and its second half taken for a host."""
    authority = rest.partition("/")[0].partition("?")[0]
    if authority.count("@") > 1 or ("@" not in authority and "@" in rest.partition("?")[0]):
        return "the user or the password holds @ or /; write them as %40 and %2F"
    return ""


PostgresUrl = Annotated[SecretUrl, checked(postgres_problem)]
RedisUrl = Annotated[SecretUrl, checked(redis_problem)]
