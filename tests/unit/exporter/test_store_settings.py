"""The sections `postgres`, `redis` and `host`: what is said is meant, and mistakes are told with their place."""

from __future__ import annotations

import pytest

from chassis.settings import SettingsError, parse, secrets_in
from exporter.settings import ExporterSettings


def read(text: str) -> ExporterSettings:
    return parse(text, ExporterSettings, {})


def test_what_is_not_said_has_defaults() -> None:
    settings = read(
        "postgres: [{name: oltp, url: 'postgresql://watch@db/mail'}]\n"
        "redis: [{name: cache, url: 'redis://cache/0', interval: 15s}]\nhost: {enabled: true}"
    )
    (oltp,), (cache,) = settings.postgres, settings.redis
    assert (oltp.interval, oltp.pgbouncer, oltp.statements.interval, oltp.labels) == (None, None, 15, {})
    assert (cache.interval, cache.keys.interval, cache.keys.sample) == (15, 30, 1000)
    assert settings.host is not None
    assert (settings.host.interval, settings.host.mounts) == (15, ("/",))


def test_without_sections_nothing_is_watched() -> None:
    settings = read("{}")
    assert (settings.postgres, settings.redis, settings.host) == ((), (), None)


def test_addresses_are_secrets_and_may_stand_in_files() -> None:
    settings = read(
        "postgres: [{name: a, url_file: /run/a, pgbouncer: 'postgresql://u:hunter22@db/pgbouncer'}]\n"
        "redis: [{name: b, url: 'redis://:hunter22@cache/0'}]"
    )
    assert "hunter22" not in repr(settings)
    assert len(list(secrets_in(settings))) == 3


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "postgres: [{name: a, url: 'postgresql://x/y'}, {name: a, url: 'postgresql://x/z'}]",
            "postgres: two stores are named 'a'; every name has to be its own",
        ),
        (
            "redis: [{name: a, url: 'redis://x'}, {name: a, url: 'redis://y'}]",
            "redis: two stores are named 'a'; every name has to be its own",
        ),
        ("postgres: [{name: a}]", "postgres[0].url: missing; or give url_file"),
        (
            "redis: [{name: a, url: 'redis://x', keys: {sample: 10}}]",
            "redis[0].keys.sample: 10 is too small; allowed: 100 or more",
        ),
        (
            "redis: [{name: a, url: 'redis://x', labels: {database: x}}]",
            "redis[0].labels: 'database' is a label of our own metrics; choose another name",
        ),
        ("host: {interval: 1}", "host.interval: 1 is no duration; write e.g. 90s, 5m, 1h"),
    ],
)
def test_mistakes_are_told_with_their_place(text: str, told: str) -> None:
    with pytest.raises(SettingsError) as raised:
        read(text)
    assert str(raised.value) == told


def test_an_address_of_another_kind_is_refused_without_being_quoted() -> None:
    with pytest.raises(SettingsError) as raised:
        read("postgres: [{name: a, url: 'redis://:hunter22@x'}]\nredis: [{name: b, url: 'http://u:hunter22@x'}]")
    assert len(raised.value.mistakes) == 2
    assert "hunter22" not in str(raised.value)
