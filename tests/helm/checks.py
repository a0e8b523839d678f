"""What every rendered chart keeps, whatever the values are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tests.helm.chart import Manifest, containers, pods

LABEL = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
DNS_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
STATEFUL_SET = 52  # its pods bear a label with its name and eleven characters more
SECRET_WORDS = re.compile(r"://[^\s/:@]*:[^\s/@]+@|BEGIN [A-Z ]*PRIVATE KEY|\$2[aby]\$")


def problems(rendered: list[Manifest]) -> list[str]:
    """Everything that is wrong, in sentences."""
    return [
        *_names(rendered),
        *_labels(rendered),
        *_selectors(rendered),
        *(text for name, pod in pods(rendered) for text in _restricted(name, pod)),
        *_mounts(rendered),
        *_secrets(rendered),
    ]


def _names(rendered: list[Manifest]) -> Iterator[str]:
    seen: set[tuple[str, str, str]] = set()
    for each in rendered:
        name, kind = each["metadata"]["name"], each["kind"]
        limit = STATEFUL_SET if kind == "StatefulSet" else 63
        if not DNS_NAME.fullmatch(name) or len(name) > limit or (kind == "Service" and name[0].isdigit()):
            yield f"{kind} {name!r} has no name of at most {limit} characters that all parts of Kubernetes take"
        key = (kind, each["metadata"].get("namespace", ""), name)
        if key in seen:
            yield f"{kind} {name!r} is there twice"
        seen.add(key)
        for pod in [pod for _, pod in pods([each])]:
            for inside in [*containers(pod), *(pod["spec"].get("volumes") or [])]:
                if not re.fullmatch(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?", inside["name"]):
                    yield f"{kind} {name!r} has a part named {inside['name']!r}"
            for key_, parts in (("containers", list(containers(pod))), ("volumes", pod["spec"].get("volumes") or [])):
                names = [part["name"] for part in parts]
                if len(set(names)) != len(names):
                    yield f"{kind} {name!r} has {key_} of one name"


def _labels(rendered: list[Manifest]) -> Iterator[str]:
    for each in rendered:
        for labels in (
            each["metadata"].get("labels") or {},
            *(pod["metadata"].get("labels") or {} for _, pod in pods([each])),
        ):
            for key, value in labels.items():
                if not isinstance(value, str) or not LABEL.fullmatch(value):
                    yield f"{each['kind']} {each['metadata']['name']}: label {key} is {value!r}"


def _selectors(rendered: list[Manifest]) -> Iterator[str]:
    """What selects pods finds some of exactly one set; what selects Services one of them."""
    places = [(name, pod["metadata"]["labels"]) for name, pod in pods(rendered) if not name.startswith("Pod ")]
    services = [
        (each["metadata"]["name"], each["metadata"]["labels"]) for each in rendered if each["kind"] == "Service"
    ]
    for each in rendered:
        spec, kind = each.get("spec") or {}, each["kind"]
        match kind:
            case "Service":
                found = _matching(spec["selector"], places)
            case "Deployment" | "StatefulSet":
                found = _matching(spec["selector"]["matchLabels"], places)
            case "NetworkPolicy":
                found = _matching(spec["podSelector"]["matchLabels"], places)
            case "PodDisruptionBudget" | "PodMonitor":
                found = _matching(spec["selector"]["matchLabels"], places)
            case "ServiceMonitor":
                found = _matching(spec["selector"]["matchLabels"], services)
            case _:
                continue
        if len(found) != 1:
            yield f"{kind} {each['metadata']['name']} selects {found or 'nothing'}"
        if kind == "Service":
            yield from _ports(each, found, rendered)


def _matching(selector: dict[str, str], among: list[tuple[str, dict[str, str]]]) -> list[str]:
    return [name for name, labels in among if selector.items() <= labels.items()]


def _ports(service: Manifest, found: list[str], rendered: list[Manifest]) -> Iterator[str]:
    open_ports = {
        port["name"]
        for name, pod in pods(rendered)
        if name in found
        for container in containers(pod)
        for port in container.get("ports") or []
        if "name" in port
    }
    for port in service["spec"]["ports"]:
        if port["targetPort"] not in open_ports:
            yield f"Service {service['metadata']['name']}: no container has the port {port['targetPort']}"


def _restricted(name: str, pod: Manifest) -> Iterator[str]:
    """Pod Security Standards, level `restricted` (kubernetes.io/docs/concepts/security/pod-security-standards)."""
    spec: dict[str, Any] = pod["spec"]
    if spec.get("automountServiceAccountToken") is not False:
        yield f"{name}: mounts a token of its service account"
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(key):
            yield f"{name}: {key}"
    whole = spec.get("securityContext") or {}
    for volume in spec.get("volumes") or []:
        kinds = set(volume) - {"name"}
        if not kinds <= {
            "configMap",
            "secret",
            "emptyDir",
            "persistentVolumeClaim",
            "projected",
            "downwardAPI",
            "csi",
            "ephemeral",
        }:
            yield f"{name}: volume {volume['name']} is of {kinds}"
    for container in containers(pod):
        own = {
            **{k: v for k, v in whole.items() if k in ("runAsNonRoot", "seccompProfile", "runAsUser")},
            **(container.get("securityContext") or {}),
        }
        who = f"{name}, {container['name']}"
        if own.get("privileged") or own.get("allowPrivilegeEscalation") is not False:
            yield f"{who}: may gain privileges"
        if own.get("runAsNonRoot") is not True or own.get("runAsUser") == 0:
            yield f"{who}: may run as root"
        if "ALL" not in ((own.get("capabilities") or {}).get("drop") or []) or (own.get("capabilities") or {}).get(
            "add"
        ):
            yield f"{who}: keeps capabilities"
        if (own.get("seccompProfile") or {}).get("type") not in ("RuntimeDefault", "Localhost"):
            yield f"{who}: no seccomp profile"
        if own.get("readOnlyRootFilesystem") is not True:
            yield f"{who}: its root can be written"


def _mounts(rendered: list[Manifest]) -> Iterator[str]:
    """Every mount has its volume and a place of its own, and every volume of ours its ConfigMap or claim."""
    there = {(each["kind"], each["metadata"]["name"]) for each in rendered}
    for name, pod in pods(rendered):
        volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes") or []}
        for each in rendered:
            if each["kind"] == "StatefulSet" and name.endswith(each["metadata"]["name"]):
                volumes |= {
                    claim["metadata"]["name"]: claim for claim in each["spec"].get("volumeClaimTemplates") or []
                }
        for container in containers(pod):
            mounts = container.get("volumeMounts") or []
            for mount in mounts:
                if mount["name"] not in volumes:
                    yield f"{name}, {container['name']}: no volume for the mount {mount['name']}"
            places = [mount["mountPath"] for mount in mounts]
            if len(set(places)) != len(places):
                yield f"{name}, {container['name']}: two mounts at one place"
        for volume in volumes.values():
            named = volume.get("configMap", {}).get("name")
            if volume.get("name", "").endswith("-config") and ("ConfigMap", named) not in there:
                yield f"{name}: no ConfigMap {named}"


def _secrets(rendered: list[Manifest]) -> Iterator[str]:
    """No secret in a ConfigMap or in the value of an environment variable."""
    for each in rendered:
        if each["kind"] == "ConfigMap":
            for key, text in (each.get("data") or {}).items():
                if SECRET_WORDS.search(text):
                    yield f"ConfigMap {each['metadata']['name']}: {key} holds a secret"
    for name, pod in pods(rendered):
        for container in containers(pod):
            for variable in container.get("env") or []:
                if SECRET_WORDS.search(str(variable.get("value", ""))):
                    yield f"{name}: {variable['name']} holds a secret"
