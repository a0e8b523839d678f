"""Broken addresses are told in words that hold no part of them."""

from __future__ import annotations

import psycopg
import pytest

from chassis.secrets import SecretUrl
from chassis.settings import SettingsError, parse
from exporter.clients.postgres_failures import explain
from exporter.clients.urls import postgres_problem, redis_problem
from exporter.settings import ExporterSettings


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u@h/x",
        "postgres://u:p%40ss@h:5432/x?sslmode=require",
        "postgresql:///mail?host=/run/postgresql",
        "postgresql://u@h1:5432,h2:5432/x?target_session_attrs=any",
        "host=h dbname=x password='a@b/c'",
    ],
)
def test_an_address_of_postgresql_is_taken(url: str) -> None:
    assert postgres_problem(url) == ""


@pytest.mark.parametrize(
    "url",
    [
        "redis://h:6379/0",
        "rediss://u:p%2Fss@h/1?ssl_cert_reqs=required",
        "unix:///run/redis.sock?db=1",
        "redis+sentinel://:pw@h1:26379,h2:26379/mymaster/0",
        "redis+cluster://h1:7000,h2:7001",
        "redis://[::1]:6379/0",
    ],
)
def test_an_address_of_redis_is_taken(url: str) -> None:
    assert redis_problem(url) == ""


@pytest.mark.parametrize(
    ("kind", "url"),
    [
        ("postgres", "postgres//postwatch:hunter2secret@h/x"),
        ("postgres", "mysql://postwatch:hunter2secret@h/x"),
        ("postgres", "postgresql://u:hunter2@secret@h/x"),
        ("postgres", "postgresql://u:hunter2/secret@h/x"),
        ("redis", "redis://[::1"),
        ("redis", "http://:hunter2secret@h"),
        ("redis", "redis://:hunter2/secret@h"),
        ("redis", "redis+sentinel://:hunter2secret@h1:26379/"),
    ],
)
def test_a_broken_address_is_refused_without_a_word_of_it(kind: str, url: str) -> None:
    addresses = {"postgres": "postgresql://u@h/x", "redis": "redis://h", kind: url}
    given = "".join(f'    {key}: "{value}"\n' for key, value in addresses.items())
    with pytest.raises(SettingsError) as refused:
        parse(f"queues:\n  - name: mail\n    kind: hybrid\n{given}", ExporterSettings, {})
    (mistake,) = refused.value.mistakes
    assert mistake.path == f"queues[0].{kind}"
    assert "hunter2" not in str(mistake)
    assert "secret" not in str(mistake)


def test_a_password_that_a_driver_quotes_is_masked() -> None:
    url = SecretUrl("postgresql://u:hunter2secret@h/x")
    failure = explain(psycopg.OperationalError("could not use hunter2secret as it stands"), url.safe, url)
    assert "hunter2secret" not in str(failure)
    assert "could not use" in str(failure)
