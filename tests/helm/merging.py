"""How Kubernetes changes an object by a patch, and what it lets nobody change."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from tests.helm.chart import Manifest

# Lists whose entries are told apart by a key; others are replaced as a whole.
KEYS = {
    "containers": "name",
    "env": "name",
    "imagePullSecrets": "name",
    "initContainers": "name",
    "topologySpreadConstraints": "topologyKey",
    "volumeMounts": "mountPath",
    "volumes": "name",
}
# What of `spec` may differ from the live object's; of other kinds everything.
CHANGEABLE = {
    "StatefulSet": {
        "replicas",
        "template",
        "updateStrategy",
        "minReadySeconds",
        "persistentVolumeClaimRetentionPolicy",
    },
    "PersistentVolumeClaim": {"resources"},
    "Pod": {"tolerations"},
}


def key_of(field: str, entries: list[Any]) -> str:
    """The key of a list's entries; empty if it has none."""
    if field == "ports" and entries and isinstance(entries[0], dict):
        return "containerPort" if "containerPort" in entries[0] else "port"
    return KEYS.get(field, "")


def merged(live: Manifest, patch: Manifest) -> Manifest:
    """JSON merge patch: RFC 7386."""
    made = deepcopy(live)
    for key, value in patch.items():
        if value is None:
            made.pop(key, None)
        else:
            made[key] = merged(made[key], value) if both_are(dict, made.get(key), value) else value
    return made


def strategic(live: Manifest, patch: Manifest) -> Manifest:
    """Strategic merge patch, as Helm 3 makes them."""
    made = deepcopy(live)
    if (kept := patch.get("$retainKeys")) is not None:
        made = {key: value for key, value in made.items() if key in kept}
    for key, value in patch.items():
        if key.startswith("$"):
            continue
        if value is None:
            made.pop(key, None)
        elif both_are(dict, made.get(key), value):
            made[key] = strategic(made[key], value)
        elif isinstance(value, list) and (name := key_of(key, made.get(key) or value)):
            made[key] = _entries(made.get(key) or [], value, name, patch.get(f"$setElementOrder/{key}"))
        else:
            made[key] = value
    return made


def _entries(live: list[Manifest], patch: list[Manifest], key: str, order: list[Manifest] | None) -> list[Manifest]:
    found = {each[key]: each for each in live}
    for each in patch:
        if each.get("$patch") == "delete":
            found.pop(each[key], None)
        else:
            found[each[key]] = strategic(found.get(each[key], {}), each)
    wanted = [each[key] for each in order or []]
    return sorted(found.values(), key=lambda each: wanted.index(each[key]) if each[key] in wanted else len(wanted))


def both_are(kind: type, *values: Any) -> bool:
    return all(isinstance(value, kind) for value in values)


def frozen(live: Manifest, wanted: Manifest) -> Iterator[str]:
    """What may not be changed from `live` to `wanted`, in the server's words."""
    kind, before, after = live["kind"], live.get("spec") or {}, wanted.get("spec") or {}
    if kind == "Deployment" and before["selector"] != after.get("selector"):
        yield "spec.selector: Invalid value: field is immutable"
    if kind == "Secret" and live.get("type") != wanted.get("type"):
        yield "type: Invalid value: field is immutable"
    if kind in CHANGEABLE:
        names = sorted(name for name in {*before, *after} - CHANGEABLE[kind] if before.get(name) != after.get(name))
        if names:
            yield f"spec: Forbidden: updates to fields other than {sorted(CHANGEABLE[kind])} are forbidden: {names}"


def doubles(value: Any, field: str = "") -> Iterator[str]:
    """Lists in which two entries have one key: applied on the server, they are refused."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from doubles(each, key)
    elif isinstance(value, list):
        key = key_of(field, value)
        names = [
            (each.get(key), each.get("protocol"), each.get("whenUnsatisfiable")) if key else None for each in value
        ]
        if key and len(set(names)) != len(names):
            yield f".{field}: duplicate entries for key [{key}]: {names}"
        for each in value:
            yield from doubles(each)
