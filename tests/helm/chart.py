"""The chart as Helm renders it, by two generations of Helm."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.support.documents import REPOSITORY

CHART = REPOSITORY / "helm" / "postwatch"
CI = sorted((CHART / "ci").glob("*-values.yaml"))
HELMS = {name: REPOSITORY / "build" / "helm" / name for name in ("helm3", "helm4")}
# The longest release that Helm allows: every name has to fit all the same.
LONG = "a-release-with-a-name-as-long-as-helm-lets-it-be-12345"[:53]

Manifest = dict[str, Any]


class Refused(Exception):
    """Helm rendered nothing; `text` is what it said."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


def helm(which: str, *arguments: str, check: bool = True) -> str:
    """What Helm printed. Raises Refused with what it complained of."""
    program = HELMS[which]
    assert program.is_file(), f"{program} is missing: run scripts/test-helm, as `make test` does"
    # GOGC: it ends before collecting garbage could have paid.
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "GOGC": "off"}
    done = subprocess.run([program, *arguments], text=True, capture_output=True, env=environment)
    if done.returncode != 0 and check:
        raise Refused(done.stderr.strip() or done.stdout.strip())
    return done.stdout


def render(
    values: Mapping[str, Any] | Path | None = None,
    *more: str,
    which: str = "helm4",
    release: str = "postwatch",
    namespace: str = "mail",
    folder: Path | None = None,
) -> list[Manifest]:
    """The manifests for these values; those of a mapping are written into `folder`. Raises Refused."""
    arguments = ["template", release, str(CHART), "--namespace", namespace, *more]
    if isinstance(values, Path):
        arguments += ["--values", str(values)]
    elif values:
        assert folder is not None
        file = folder / "values.json"  # YAML too; and no text of it is read as anything else
        file.write_text(json.dumps(values, ensure_ascii=False))
        arguments += ["--values", str(file)]
    return manifests(_templated(which, *arguments) if folder is None else helm(which, *arguments))


@cache
def _templated(which: str, *arguments: str) -> str:
    """Of the values that are files of the chart: rendered once."""
    return helm(which, *arguments)


def manifests(text: str) -> list[Manifest]:
    """The documents of a rendered chart."""
    return [each for each in yaml.load_all(text, Loader=yaml.CSafeLoader) if each]


def of_kind(rendered: list[Manifest], *kinds: str) -> list[Manifest]:
    """Those of these kinds."""
    return [each for each in rendered if each["kind"] in kinds]


def one(rendered: list[Manifest], kind: str, suffix: str = "") -> Manifest:
    """The only one of that kind whose name ends so."""
    (found,) = [each for each in of_kind(rendered, kind) if each["metadata"]["name"].endswith(suffix)]
    return found


def pods(rendered: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """Every pod: what makes it, and its template (a pod itself is its own)."""
    for each in rendered:
        name = f"{each['kind']} {each['metadata']['name']}"
        if each["kind"] == "Pod":
            yield name, each
        elif each["kind"] in ("Deployment", "StatefulSet", "Job", "DaemonSet"):
            yield name, each["spec"]["template"]


def containers(pod: Manifest) -> Iterator[Manifest]:
    """All containers of a pod."""
    for key in ("initContainers", "containers"):
        yield from pod["spec"].get(key) or []


def config(rendered: list[Manifest], daemon: str) -> str:
    """A daemon's configuration file."""
    text: str = one(rendered, "ConfigMap", f"-{daemon}")["data"][f"{daemon}.yml"]
    return text


def container(rendered: list[Manifest], name: str) -> Manifest:
    """The one container of that name in all pods."""
    (found,) = [each for _, pod in pods(rendered) for each in containers(pod) if each["name"] == name]
    return found
