"""The life of a release: installed, upgraded, rolled back, removed and installed again, by both generations of Helm."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helm.api import serving
from tests.helm.chart import CHART, HELMS, Refused
from tests.helm.cluster import Cluster, plain
from tests.helm.given import TOLD, told
from tests.helm.merging import doubles, frozen, merged, strategic

TOKEN = "postwatch-webhook"
STANDALONE = told(mode="standalone")
# From one shape of the workloads to another, as a user would get to know them.
SHAPES = [
    "default",
    "alerter-sidecar",
    "persistence-off",
    "alerter-standalone",
    "alerter-replicated",
    "networkpolicy",
    "reputation",
    "default",
]


@dataclass
class Release:
    """A release named postwatch, and the cluster that it lives in."""

    which: str
    url: str
    folder: Path
    cluster: Cluster = field(default_factory=Cluster)

    def helm(self, command: str, *more: str) -> str:
        """What Helm said. Raises Refused with what it complained of."""
        line: list[str | Path] = [
            HELMS[self.which],
            command,
            "postwatch",
            *more,
            "--namespace",
            "mail",
            "--kube-apiserver",
            self.url,
        ]
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "GOGC": "off"}
        done = subprocess.run(line, text=True, capture_output=True, env=environment, cwd=self.folder)
        if done.returncode:
            raise Refused(done.stderr.strip() or done.stdout.strip())
        return done.stdout

    def put(self, command: str, values: dict[str, Any] | str | None = None, *more: str) -> str:
        """`install` or `upgrade`, with values, or those of a file of ci/."""
        file = CHART / "ci" / f"{values}-values.yaml"
        if not isinstance(values, str):
            file = self.folder / "values.json"
            file.write_text(json.dumps(values or {}))
        return self.helm(command, str(CHART), "--values", str(file), *more)

    def token(self) -> str:
        return plain(self.cluster.of_kind("Secret")[TOKEN], "token")

    def pods(self, kind: str, name: str) -> Any:
        return self.cluster.of_kind(kind)[name]["spec"]["template"]


@pytest.fixture
def release(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Release]:
    """Of Helm 4, or of the one that the test asks for."""
    cluster = Cluster()
    with serving(cluster) as url:
        yield Release(getattr(request, "param", "helm4"), url, tmp_path, cluster)


both = pytest.mark.parametrize("release", HELMS, indirect=True)
both_in_time = pytest.mark.parametrize(
    "release", [pytest.param("helm3", marks=pytest.mark.soak), "helm4"], indirect=True
)


@both
def test_the_token_is_made_once_and_outlives_upgrades_rollbacks_and_removal(release: Release) -> None:
    release.put("install")
    assert TOKEN not in release.cluster.of_kind("Secret")
    release.put("upgrade", TOLD)
    token = release.token()
    assert len(token) == 48
    before = release.pods("Deployment", "postwatch-exporter")
    release.put("upgrade", {**TOLD, "exporter": {"config": {"defaults": {"interval": "7s"}}}})
    assert release.token() == token
    after = release.pods("Deployment", "postwatch-exporter")
    assert before["metadata"]["annotations"] != after["metadata"]["annotations"], "new pods read the new file"
    release.helm("rollback", "2")
    assert release.token() == token
    assert release.pods("Deployment", "postwatch-exporter") == before
    text = release.cluster.of_kind("ConfigMap")["postwatch-exporter"]["data"]["exporter.yml"]
    assert "defaults" not in yaml.safe_load(text)
    release.helm("uninstall")
    kept = {kind: set(release.cluster.of_kind(kind)) for kind in ("Secret", "PersistentVolumeClaim", "Deployment")}
    assert kept == {"Secret": {TOKEN}, "PersistentVolumeClaim": {"postwatch-data"}, "Deployment": set()}
    release.put("install", TOLD)
    assert release.token() == token


@both_in_time
def test_from_each_shape_to_the_next_nothing_is_changed_that_cannot_be(release: Release) -> None:
    release.put("install", SHAPES[0])
    for values in SHAPES[1:]:
        release.put("upgrade", values)
    workloads = {kind: set(release.cluster.of_kind(kind)) for kind in ("Deployment", "StatefulSet", "Service")}
    assert workloads == {"Deployment": {"postwatch-exporter"}, "StatefulSet": set(), "Service": {"postwatch-exporter"}}


def test_a_volume_of_a_stateful_set_is_changed_as_the_documents_say(release: Release) -> None:
    release.put("install", STANDALONE)
    larger = {**STANDALONE, "persistence": {"size": "9Gi"}}
    with pytest.raises(Refused, match="volumeClaimTemplates"):
        release.put("upgrade", larger)
    release.cluster.delete("StatefulSet", "postwatch-alerter")  # kubectl delete statefulset --cascade=orphan
    release.put("upgrade", larger)
    (claim,) = release.cluster.of_kind("StatefulSet")["postwatch-alerter"]["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "9Gi"


def test_everything_at_once_fits_into_the_secret_of_a_release(release: Release) -> None:
    everything = {
        **told(mode="standalone"),
        **{part: {"enabled": True} for part in ("serviceMonitor", "prometheusRule", "dashboards", "networkPolicy")},
    }
    release.put("install", everything)  # the cluster refuses one above a megabyte
    assert {"sh.helm.release.v1.postwatch.v1"} <= set(release.cluster.of_kind("Secret"))
    assert len(release.cluster.of_kind("ConfigMap")) == 2 + 9


@both_in_time
def test_helm_test_makes_its_pod_and_takes_it_away(release: Release) -> None:
    release.put("install", TOLD)
    assert "Succeeded" in release.helm("test", "--timeout", "60s")
    assert not release.cluster.of_kind("Pod")


def test_an_image_pull_secret_that_is_named_twice_is_one(release: Release) -> None:
    twice = [{"name": "pull"}]
    release.put("install", {"imagePullSecrets": twice, "global": {"imagePullSecrets": twice}})
    assert release.pods("Deployment", "postwatch-exporter")["spec"]["imagePullSecrets"] == twice


# The cluster itself


def test_a_patch_changes_what_it_names() -> None:
    live = {"a": {"b": 1, "c": 2}, "ports": [{"port": 1, "name": "x"}, {"port": 2}], "args": [1, 2]}
    patch = {
        "a": {"c": None},
        "ports": [{"port": 1, "name": "y"}, {"port": 2, "$patch": "delete"}, {"port": 3}],
        "$setElementOrder/ports": [{"port": 3}, {"port": 1}],
        "args": [3],
    }
    assert strategic(live, patch) == {"a": {"b": 1}, "ports": [{"port": 3}, {"port": 1, "name": "y"}], "args": [3]}
    assert merged(live, {"a": {"b": None}, "args": None}) == {"a": {"c": 2}, "ports": live["ports"]}


@pytest.mark.parametrize(
    ("kind", "before", "after", "refused"),
    [
        ("Deployment", {"selector": {"a": "b"}}, {"selector": {"a": "c"}}, True),
        ("Deployment", {"selector": {}, "replicas": 1}, {"selector": {}, "replicas": 2}, False),
        ("StatefulSet", {"podManagementPolicy": "Parallel"}, {}, True),
        ("StatefulSet", {"replicas": 1}, {"replicas": 2}, False),
        ("PersistentVolumeClaim", {"storageClassName": "a"}, {"storageClassName": "b"}, True),
    ],
)
def test_what_cannot_be_changed_is_refused(
    kind: str, before: dict[str, Any], after: dict[str, Any], refused: bool
) -> None:
    assert bool(list(frozen({"kind": kind, "spec": before}, {"kind": kind, "spec": after}))) == refused


def test_entries_of_one_key_are_found() -> None:
    port = {"containerPort": 80, "protocol": "TCP"}
    assert list(doubles({"containers": [{"name": "a", "ports": [port, port]}]}))
    assert not list(doubles({"containers": [{"name": "a", "ports": [port, {**port, "protocol": "UDP"}]}]}))
