"""A NetworkPolicy admits what the configuration needs, and no port more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from alerter.settings import AlerterSettings
from chassis.address import Address
from chassis.secrets import SecretUrl
from chassis.settings import Settings, parse
from chassis.shape import walk
from exporter.reputation.options import Resolver
from exporter.settings import ExporterSettings
from tests.helm.chart import CI, Manifest, config, of_kind, one, render

USUAL = {"http": 80, "https": 443, "postgresql": 5432, "redis": 6379}


def needed(settings: Settings) -> Iterator[int]:
    """TCP ports that are dialled, by the settings as the daemon itself reads them."""
    for path, value, _ in walk(settings):
        if path.startswith("web"):
            continue
        if isinstance(value, Address) and not isinstance(value, Resolver):
            yield value.port
        elif isinstance(value, SecretUrl):
            if value.path is not None:
                yield from in_a_file(path)
            elif not value.reveal().startswith("sqlite"):
                parts = urlsplit(value.reveal())
                yield parts.port or USUAL[parts.scheme]
        elif isinstance(value, str) and value.startswith("https://") and path.startswith("receivers"):
            yield urlsplit(value).port or 443


def in_a_file(path: str) -> Iterator[int]:
    """The usual port of what stands in a Secret."""
    if path.startswith("receivers"):
        yield 443
    elif path.startswith("services"):
        return  # by its kind; `test_urls_in_secrets` looks at these
    else:
        yield 6379 if "redis" in path else 6432 if "pgbouncer" in path else 5432


def admitted(policy: Manifest) -> set[int]:
    rules = policy["spec"]["egress"]
    return {port["port"] for rule in rules[1:] for port in rule["ports"]}


@pytest.mark.parametrize("path", CI, ids=[path.name for path in CI])
def test_what_the_configuration_dials_is_let_out_and_what_asks_is_let_in(path: Path) -> None:
    rendered = render(path, "--set", "networkPolicy.enabled=true")
    for policy in of_kind(rendered, "NetworkPolicy"):
        component = policy["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"]
        inside = [name for name in ("exporter", "alerter") if mounts(rendered, component, name)]
        wanted: set[int] = set()
        for name in inside:
            model: type[Settings] = ExporterSettings if name == "exporter" else AlerterSettings
            settings = parse(config(rendered, name), model, {})
            wanted |= set(needed(settings))
            ports = [port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]]
            assert settings.web.listen.port in ports  # type: ignore[attr-defined]  # both have it
        assert wanted <= admitted(policy)
        assert admitted(policy) <= wanted | {5432, 6379, 6432, 443}


def mounts(rendered: list[Manifest], component: str, daemon: str) -> bool:
    """Whether the pod of a component has that daemon's configuration."""
    return f"{daemon}-config" in str([
        each for each in of_kind(rendered, "Deployment", "StatefulSet")
        if each["metadata"]["labels"]["app.kubernetes.io/component"] == component
    ])  # fmt: skip


def test_names_are_asked_of_those_who_are_allowed() -> None:
    (names, *_) = one(render(next(p for p in CI if p.name.startswith("networkpolicy"))), "NetworkPolicy", "-exporter")[
        "spec"
    ]["egress"]
    assert {(port["port"], port["protocol"]) for port in names["ports"]} == {(53, "UDP"), (53, "TCP")}
    assert names["to"][0]["podSelector"] == {"matchLabels": {"k8s-app": "kube-dns"}}
    (names, *_) = one(render(next(p for p in CI if p.name.startswith("reputation"))), "NetworkPolicy")["spec"]["egress"]
    assert {port["port"] for port in names["ports"]} == {53, 5353}


def test_urls_in_secrets_count_by_their_kind(tmp_path: Path) -> None:
    services = [
        {"name": "a", "kind": "postgres", "url_file": "/etc/postwatch/secrets/postgres/url"},
        {"name": "b", "kind": "redis", "url_file": "/etc/postwatch/secrets/postgres/url"},
        {"name": "c", "kind": "http", "url_file": "/etc/postwatch/secrets/postgres/url"},
    ]
    none: list[str] = []
    for service, port in zip(services, (5432, 6379, 443), strict=True):
        values = {
            "networkPolicy": {"enabled": True},
            "exporter": {"config": {"queues": none, "postgres": none, "redis": none, "services": [service]}},
        }
        assert admitted(one(render(values, folder=tmp_path), "NetworkPolicy")) == {port}


@pytest.mark.parametrize(
    ("url", "ports"),
    [
        ("redis+sentinel://a:26380,b/mymaster", {26379, 26380, 6379}),
        ("redis+cluster://a:7000,b:7001", {7000, 7001}),
        ("rediss://cache.example.com", {6379}),
    ],
)
def test_several_hosts_in_one_url(url: str, ports: set[int], tmp_path: Path) -> None:
    none: list[str] = []
    values = {
        "networkPolicy": {"enabled": True},
        "exporter": {
            "config": {"queues": none, "postgres": none, "services": none, "redis": [{"name": "x", "url": url}]}
        },
    }
    assert ports <= admitted(one(render(values, folder=tmp_path), "NetworkPolicy"))
