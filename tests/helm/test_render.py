"""Every feature, by both generations of Helm: linted, rendered, valid, and as it has to be."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from helm.generate.__main__ import main
from tests.helm.chart import CHART, CI, HELMS, LONG, config, helm, manifests, of_kind, render
from tests.helm.checks import problems
from tests.helm.kube import ALL, invalid

pytestmark = pytest.mark.xdist_group("chart")  # they share what is rendered


@pytest.mark.parametrize("path", CI, ids=[path.name for path in CI])
def test_every_feature_renders_to_what_kubernetes_takes(path: Path) -> None:
    four, three = (render(path, which=which, release=LONG) for which in ("helm4", "helm3"))
    assert problems(four) == []
    for version in ALL:
        assert [text for each in four for text in invalid(each, version)] == [], version
    # What is made anew each time is not compared.
    assert [each for each in three if each["kind"] != "Secret"] == [each for each in four if each["kind"] != "Secret"]


@pytest.mark.parametrize("which", HELMS)
@pytest.mark.parametrize("version", ALL)
def test_no_version_of_kubernetes_changes_what_is_rendered(which: str, version: str) -> None:
    path = next(path for path in CI if path.name.startswith("servicemonitor"))
    told = [each for each in render(path, "--kube-version", f"{version}.0", which=which) if each["kind"] != "Secret"]
    assert told == [each for each in render(path, which=which) if each["kind"] != "Secret"]


@pytest.mark.parametrize("which", HELMS)
@pytest.mark.parametrize("values", ["default", "alerter-sidecar", "extras"])
def test_lint_has_nothing_to_say(which: str, values: str) -> None:
    told = helm(which, "lint", "--strict", "--values", str(CHART / "ci" / f"{values}-values.yaml"), str(CHART))
    assert "0 chart(s) failed" in told
    assert "[WARNING]" not in told
    assert "[ERROR]" not in told


# Helm 3 wants a cluster for it, a dry run or not.
@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            "default",
            [
                "It needs: postwatch-postgres, postwatch-redis",
                "kubectl --namespace mail port-forward service/postwatch-exporter 9797",
                "Nobody is told yet",
                "helm test postwatch --namespace mail",
            ],
        ),
        ("alerter-sidecar", ["url: http://postwatch-alerter.mail:9798/webhook", "in the Secret postwatch-webhook"]),
        ("servicemonitor", ['{"release":"kube-prometheus-stack"}']),
    ],
)
def test_an_install_says_what_to_do_next(values: str, said: list[str]) -> None:
    install = ["install", "postwatch", str(CHART), "--namespace", "mail", "--dry-run=client"]
    told = helm("helm4", *install, "--values", str(CHART / "ci" / f"{values}-values.yaml"))
    notes = told.partition("NOTES:")[2]
    assert [line for line in said if line not in notes] == []


def test_the_generated_files_are_as_code_and_deploy_have_them() -> None:
    assert main(["--check"]) == 0, "run `make chart`"


def test_all_values_are_in_the_schema_and_all_of_the_schema_in_values() -> None:
    def keys(values: Any, schema: dict[str, Any], path: str) -> None:
        reference = schema.get("$ref", "")
        if not reference.startswith("#/definitions/helm.") and path:
            return
        inside = definitions[reference.removeprefix("#/definitions/")] if path else schema
        assert set(values) == set(inside["properties"]) - ({"enabled"} if not path else set()), path
        for key, value in values.items():
            if value is not None:
                keys(value, inside["properties"][key], f"{path}.{key}")

    schema = yaml.safe_load((CHART / "values.schema.json").read_text())
    definitions = schema["definitions"]
    keys(yaml.safe_load((CHART / "values.yaml").read_text()), schema, "")


def test_the_examples_are_valid() -> None:
    for path in sorted((CHART / "examples").glob("*.yaml")):
        for each in manifests(path.read_text()):
            for version in ALL:
                assert invalid(each, version) == [], path.name


def test_a_field_that_kubernetes_does_not_know_is_found() -> None:
    (deployment,) = of_kind(render(), "Deployment")
    deployment["spec"]["template"]["spec"]["containers"][0]["prots"] = []
    assert invalid(deployment, ALL[0])
    assert invalid({"apiVersion": "example.com/v1", "kind": "Whatever", "metadata": {"name": "x"}}, ALL[0])
    monitor = next(p for p in CI if p.name.startswith("servicemonitor"))
    (first, *_) = of_kind(render(monitor), "ServiceMonitor")
    first["spec"]["endpoints"][0]["intervall"] = "5s"
    assert invalid(first, ALL[0])


def test_an_alerters_template_comes_through_as_it_is() -> None:
    path = next(p for p in CI if p.name.startswith("alerter-standalone"))
    assert "{{ status }}: {{ title }}" in config(render(path), "alerter")
