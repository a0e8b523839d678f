"""Every feature, by both generations of Helm: linted, rendered, valid, and as it has to be."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from helm.generate.__main__ import main
from tests.helm.chart import CHART, CI, HELMS, LONG, Manifest, config, helm, manifests, of_kind, render
from tests.helm.checks import problems
from tests.helm.kube import ALL, invalid

# Generated anew each time, or told apart by the release's name.
VOLATILE = "Secret"


def rendered(path: Path, which: str) -> list[Manifest]:
    more = ["--kube-version", "1.27.0"] if which == "helm3" else ["--kube-version", "1.37.0"]
    return render(path, *more, which=which, release=LONG)


@pytest.mark.parametrize("which", HELMS)
@pytest.mark.parametrize("path", CI, ids=[path.name for path in CI])
def test_every_feature_renders_to_what_kubernetes_takes(which: str, path: Path) -> None:
    made = rendered(path, which)
    assert made
    assert problems(made) == []
    for version in ALL:
        assert [text for each in made for text in invalid(each, version)] == [], version


@pytest.mark.parametrize("path", CI, ids=[path.name for path in CI])
def test_both_generations_of_helm_agree(path: Path) -> None:
    three, four = ([each for each in rendered(path, which) if each["kind"] != VOLATILE] for which in HELMS)
    assert three == four


@pytest.mark.parametrize("which", HELMS)
def test_lint_has_nothing_to_say(which: str) -> None:
    told = helm(which, "lint", "--strict", str(CHART))
    assert "0 chart(s) failed" in told
    assert "[WARNING]" not in told
    assert "[ERROR]" not in told


def test_every_feature_passes_lint() -> None:
    # By one of them: both read the same rules and, above, have rendered the same manifests.
    for path in CI:
        assert "0 chart(s) failed" in helm("helm4", "lint", "--strict", "--values", str(path), str(CHART)), path.name


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
