"""The configuration of services: taken as written, or told what is wrong with it."""

from typing import Any

import pytest
import yaml

from chassis.settings import SettingsError, parse, secrets_in
from exporter.services import http, smtp
from exporter.settings import ExporterSettings
from tests.support.documents import REPOSITORY
from tests.support.probes import options

QUEUE = {"name": "mail", "kind": "hybrid", "postgres": "postgresql://db/mail"}
HTTP = {"name": "api", "kind": "http", "url": "https://api.example.com/health"}


def load(*services: dict[str, Any]) -> ExporterSettings:
    return parse(yaml.safe_dump({"queues": [QUEUE], "services": list(services)}), ExporterSettings, {})


def mistakes(*services: dict[str, Any]) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(*services)
    return [str(mistake) for mistake in caught.value.mistakes]


def test_defaults() -> None:
    one = options(kind="http", url="http://h/")
    assert isinstance(one, http.Options)
    assert (one.interval, one.timeout, one.degraded_after, one.error_limit) == (15, None, None, 0.1)
    assert (one.down_after, one.recover_after, one.backlog, one.labels) == (3, 2, None, {})
    assert (one.expect.status, one.method, one.redirects, one.ip) == (("2xx",), "GET", 5, "any")
    mail = options(kind="smtp", address="h:25", backlog={"source": "mail"})
    assert isinstance(mail, smtp.Options)
    assert mail.backlog
    assert (mail.starttls, mail.backlog.queues, mail.backlog.degraded) == ("optional", ("*",), 5_000)


def test_the_documented_examples_are_valid() -> None:
    page = (REPOSITORY / "docs" / "configuration.md").read_text()
    blocks = [block.partition("```")[0] for block in page.split("```yaml\n")[1:]]
    examples = [yaml.safe_load(block)["services"] for block in blocks if block.startswith("services:")]
    assert len(examples) == 5
    load(*(service for example in examples for service in example))


def test_all_mistakes_of_all_services_are_told_at_once() -> None:
    told = mistakes(
        {**HTTP, "url": "ftp://h/"}, {"name": "b", "kind": "tcp", "address": ":25"}, {"name": "c", "kind": "ftp"},
        {**HTTP, "interval": "10ms", "down_after": 0, "labels": {"target": "x"}, "colour": "red"},
        {"name": "d", "kind": "redis", "url": "redis+cluster://h:1"}, {"name": "e", "kind": "http"},
    )  # fmt: skip
    assert [line.partition(":")[0] for line in told] == [
        "services[0].url", "services[1].address", "services[2].kind", "services[3].interval",
        "services[3].down_after", "services[3].labels", "services[3].colour", "services[4].url", "services[5].url",
    ]  # fmt: skip
    assert told[-1] == "services[5].url: missing; or give url_file"


def test_names_are_unique_and_a_backlog_names_a_source() -> None:
    assert mistakes(HTTP, {**HTTP, "backlog": {"source": "mial"}}) == [
        "services[1].name: another service is named 'api' too; every name has to be its own",
        "services[1].backlog.source: no source under `queues` has this name; allowed: mail",
    ]
    load({**HTTP, "backlog": {"source": "mail", "queues": ["queue:a*"]}})


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"url": "https://user:hunter22@h/"},
         "services[0].url: it holds a user or a password; give them by `basic_auth`"),
        ({"url": "https://h:0/"}, "services[0].url: not an address for HTTP; write e.g. https://api.example.com/health"),
        ({"url": "https://h/a b"}, "services[0].url: not an address for HTTP; write e.g. https://api.example.com/health"),
        ({"expect": {"status": 99}},
         "services[0].expect.status[0]: 99 is no status; write e.g. 200, 2xx or [200, 404]"),
        ({"expect": {"status": []}}, "services[0].expect.status: an empty list; write e.g. 200, 2xx or [200, 404]"),
        ({"expect": {"regex": "("}}, "services[0].expect.regex: no regular expression: "
                                     "missing ), unterminated subpattern at position 0"),
        ({"expect": {"json": {"a[x]": 1}}}, "services[0].expect.json: 'a[x]' is no path into JSON; "
                                            "write e.g. checks.database[0].status"),
        ({"headers": {"a b": "x"}}, "services[0].headers: 'a b' is no name of a header"),
        ({"headers": {"X": "a\r\nY: b"}}, "services[0].headers: the value of X cannot be sent in a header"),
        ({"headers": {"Host": "x"}}, "services[0].headers: Host is made of the URL and the body; leave it out"),
        ({"tls": {"key_file": "k"}}, "services[0].tls.key_file: given without cert_file; give both"),
        ({"basic_auth": {"username": "a:b", "password": "x"}},
         "services[0].basic_auth.username: a user's name holds no colon (RFC 7617)"),
        ({"basic_auth": {"username": "a", "password": "x"}, "bearer_token": "y"},
         "services[0].bearer_token: basic_auth says already who asks; keep one"),
        ({"headers": {"authorization": "x"}, "secret_headers": {"Authorization": "y"}},
         "services[0].secret_headers: headers says already who asks; keep one"),
        ({"backlog": {"source": "mail", "queues": []}}, "services[0].backlog.queues: 0 given; at least 1 needed"),
    ],
)  # fmt: skip
def test_mistakes(given: dict[str, Any], told: str) -> None:
    assert mistakes({**HTTP, **given}) == [told]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"kind": "tcp", "expect": "a", "regex": "b"}, "services[0].regex: expect is given as well; keep one"),
        ({"kind": "smtp", "starttls": "required", "implicit_tls": True},
         "services[0].implicit_tls: starttls: required excludes it; keep one"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_told_beside_other_mistakes(given: dict[str, Any], told: str) -> None:
    service = {"name": "a b", "address": "h:25", **given}
    name, other = mistakes(service)
    assert name.startswith("services[0].name: ")
    assert other == told


def test_secrets_are_known_as_such() -> None:
    settings = load(
        {**HTTP, "url": "https://h/?token=s3cret-url", "secret_headers": {"X": "s3cret-header"}, "body": "s3cret-body",
         "basic_auth": {"username": "u", "password": "s3cret-password"}},
        {"name": "t", "kind": "tcp", "address": "h:1", "send": "s3cret-send"},
        {"name": "p", "kind": "postgres", "url": "postgresql://u:s3cret-pg@h/"},
        {"name": "r", "kind": "redis", "url": "redis://:s3cret-redis@h"},
    )  # fmt: skip
    assert "s3cret" not in repr(settings)
    values = {word for _, secret in secrets_in(settings) for word in secret.known()}
    for name in ("url", "header", "body", "password", "send", "pg", "redis"):
        assert any(value.endswith(f"s3cret-{name}") for value in values)
