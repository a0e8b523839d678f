"""A mistake in the values ends `helm install` with the path of the key, by the daemons' own models."""

from pathlib import Path
from typing import Any

import pytest

from tests.helm.chart import HELMS, Refused, helm, render

QUEUE = {"name": "mail", "kind": "hybrid", "postgres_file": "/etc/postwatch/secrets/postgres/url"}


def queue(**more: Any) -> dict[str, Any]:
    return {"exporter": {"config": {"queues": [{**QUEUE, **more}]}}}


def receiver(**more: Any) -> dict[str, Any]:
    return {"alerter": {"config": {"receivers": [{"name": "x", **more}]}}}


MISTAKES: list[tuple[dict[str, Any], str, str]] = [
    ({"exporter": {"replicas": 2}}, "exporter", "replicas"),
    ({"exporter": {"config": {"defaults": {"intervall": "5s"}}}}, "exporter.config.defaults", "intervall"),
    ({"exporter": {"config": {"defaults": {"interval": "5 seconds"}}}}, "exporter.config.defaults.interval", "pattern"),
    ({"exporter": {"config": {"defaults": {"max_queues": 0}}}}, "exporter.config.defaults.max_queues", "1"),
    (queue(kind="sidekiq"), "exporter.config.queues.0.kind", "pgboss"),
    (queue(kind="pgmq", redis_file="/x"), "exporter.config.queues.0", "redis_file"),
    (queue(postgres="postgresql://a@b/c"), "exporter.config.queues.0", "one"),
    (queue(postgres_file=5), "exporter.config.queues.0.postgres_file", "string"),
    ({"exporter": {"config": {"postgres": [{"name": "x", "url": "postgresql://a:secret@b/c"}]}}},
     "exporter.config.postgres.0.url", "pattern"),
    (receiver(kind="pagerduty", routing_key="0123"), "alerter.config.receivers.0.routing_key", "pattern"),
    (receiver(kind="slack", chanel="#x"), "alerter.config.receivers.0", "chanel"),
    ({"alerter": {"mode": "daemonset"}}, "alerter.mode", "standalone"),
    ({"exporter": {"resources": {"limit": {"cpu": 1}}}}, "exporter.resources", "limit"),
    ({"exporter": {"tolerations": [{"kee": "x"}]}}, "exporter.tolerations.0", "kee"),
    ({"serviceMonitor": {"interval": "often"}}, "serviceMonitor.interval", "pattern"),
    ({"imgae": {}}, "", "imgae"),
]  # fmt: skip


@pytest.mark.parametrize("which", HELMS)
@pytest.mark.parametrize(("values", "path", "word"), MISTAKES, ids=[f"{path} {word}" for _, path, word in MISTAKES])
def test_a_mistake_is_told_by_its_path(
    which: str, values: dict[str, Any], path: str, word: str, tmp_path: Path
) -> None:
    with pytest.raises(Refused) as refused:
        render(values, which=which, folder=tmp_path)
    said = refused.value.text.replace("/", ".").lower()
    assert path.lower() in said
    assert word.lower() in said


@pytest.mark.parametrize("which", HELMS)
def test_open_keys_for_charts_above_are_allowed(which: str) -> None:
    helm(
        which,
        "template",
        "x",
        str(Path("helm/postwatch").resolve()),
        "--set",
        "enabled=true",
        "--set",
        "global.anything.at=all",
    )
