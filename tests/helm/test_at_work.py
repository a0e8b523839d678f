"""What a cluster does with the manifests: rollouts, shared pods and volumes, `helm test`, and what a user is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.helm.chart import CHART, HELMS, container, helm, manifests, of_kind, one, render
from tests.helm.given import ci, told


def notes(values: str) -> str:
    """What `helm install` says with a file of ci/."""
    install = ["install", "postwatch", str(CHART), "--namespace", "mail", "--dry-run=client"]
    return helm("helm4", *install, "--values", str(CHART / "ci" / f"{values}-values.yaml")).partition("NOTES:")[2]


def test_a_mended_template_replaces_a_pod_that_never_became_ready() -> None:
    # Kubernetes' issue 67250: OrderedReady waits for the broken pod for ever.
    assert one(ci("alerter-standalone"), "StatefulSet")["spec"]["podManagementPolicy"] == "Parallel"


def test_a_store_that_is_migrated_for_minutes_is_not_interrupted() -> None:
    probe = container(ci("alerter-replicated"), "alerter")["startupProbe"]
    assert probe["httpGet"]["path"] == "/healthz"
    assert probe["periodSeconds"] * probe["failureThreshold"] >= 300


def test_alerts_reach_a_sidecar_whatever_the_exporter_is_about() -> None:
    assert one(ci("alerter-sidecar"), "Service", "-alerter")["spec"]["publishNotReadyAddresses"] is True
    assert "publishNotReadyAddresses" not in one(ci("alerter-replicated"), "Service", "-alerter")["spec"]
    assert "publishNotReadyAddresses" not in one(ci("alerter-sidecar"), "Service", "-exporter")["spec"]


def test_a_sidecars_volumes_are_the_pods(tmp_path: Path) -> None:
    own = {"name": "ca", "configMap": {"name": "site-ca"}}
    values: dict[str, Any] = told(extraVolumes=[own], extraVolumeMounts=[{"name": "ca", "mountPath": "/etc/ssl/site"}])
    values["exporter"] = {"extraVolumes": [own]}
    volumes = one(render(values, folder=tmp_path), "Deployment")["spec"]["template"]["spec"]["volumes"]
    assert [each for each in volumes if each["name"] == "ca"] == [own]


def test_annotations_of_the_volume_are_those_of_the_claims_of_a_stateful_set_too(tmp_path: Path) -> None:
    values = {**told(mode="standalone"), "persistence": {"annotations": {"example.com/backup": "daily"}}}
    (claim,) = one(render(values, folder=tmp_path), "StatefulSet")["spec"]["volumeClaimTemplates"]
    assert claim["metadata"]["annotations"]["example.com/backup"] == "daily"


def test_one_claim_of_the_users_is_enough_where_only_one_pod_needs_it(tmp_path: Path) -> None:
    rendered = render({**told(mode="standalone"), "persistence": {"existingClaim": "mine"}}, folder=tmp_path)
    assert str(rendered).count("'claimName': 'mine'") == 1


# helm test


def test_the_pod_of_helm_test_goes_where_the_others_go(tmp_path: Path) -> None:
    part = {"nodeSelector": {"disk": "ssd"}, "tolerations": [{"key": "only", "operator": "Exists"}]}
    spec = one(render({"exporter": part}, folder=tmp_path), "Pod")["spec"]
    assert {key: spec[key] for key in part} == part
    assert spec["serviceAccountName"] == "postwatch"


def test_there_is_no_pod_of_helm_test_where_it_could_ask_nothing() -> None:
    assert not of_kind(ci("client-certificates"), "Pod")


@pytest.mark.parametrize("values", ["networkpolicy", "alerter-sidecar"])
def test_a_network_policy_lets_the_pod_of_helm_test_in(values: str, tmp_path: Path) -> None:
    rendered = render(
        CHART / "ci" / f"{values}-values.yaml",
        "--set", "networkPolicy.enabled=true,networkPolicy.ingress.from[0].podSelector.matchLabels.app=prometheus",
    )  # fmt: skip
    labels = one(rendered, "Pod")["metadata"]["labels"]
    policies = of_kind(rendered, "NetworkPolicy")
    assert policies
    for policy in policies:
        (rule,) = policy["spec"]["ingress"]
        wanted = [peer["podSelector"]["matchLabels"] for peer in rule["from"] if "podSelector" in peer]
        admitted = [each.items() <= labels.items() for each in wanted]
        assert sum(admitted) == 1, policy["metadata"]["name"]


# What a user is told


def test_what_is_not_there_is_not_talked_about() -> None:
    alone = notes("alerter-alone")
    assert "-exporter" not in alone
    assert "\n1. Nothing scrapes it yet" in alone
    assert 'targets: ["postwatch-alerter.mail:9798"]' in alone


def test_a_user_is_told_that_nothing_is_kept_without_a_volume() -> None:
    assert "is lost with its pod" in notes("persistence-off")
    assert "is lost with its pod" not in notes("alerter-sidecar")


def test_a_file_that_is_said_to_be_none_is_none(tmp_path: Path) -> None:
    assert render({"exporter": {"config": {"reputation": {"state_file": None}}}}, folder=tmp_path)


def test_addresses_are_told_with_the_scheme_that_is_spoken() -> None:
    assert "https://127.0.0.1:8443/" in notes("tls")
    assert "http://127.0.0.1:9797/" in notes("default")


# The package


@pytest.mark.parametrize("which", HELMS)
def test_the_package_renders_as_the_folder_does(which: str, tmp_path: Path) -> None:
    helm(which, "package", str(CHART), "--destination", str(tmp_path))
    (package,) = tmp_path.glob("*.tgz")
    values = ["--values", str(CHART / "ci" / "dashboards-values.yaml"), "--set", "prometheusRule.enabled=true"]
    whole, packed = (
        manifests(helm(which, "template", "postwatch", str(chart), "--namespace", "mail", *values))
        for chart in (CHART, package)
    )
    assert packed == whole
    assert len(of_kind(packed, "ConfigMap")) == 1 + 9
