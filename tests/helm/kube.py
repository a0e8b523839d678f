"""Whether Kubernetes takes a manifest: by its own schemas, with all objects closed. An unknown kind is a mistake."""

from __future__ import annotations

import importlib
import json
import re
from functools import cache
from importlib.resources import files
from typing import Any

import jsonschema
from jsonschema.protocols import Validator
from referencing import Registry, Resource

from tests.helm.chart import Manifest

ALL = ("1.27", "1.37")
MODELS = {
    "monitoring.coreos.com/v1": "cloudcoil.models.prometheus_operator.v1",
    "keda.sh/v1alpha1": "cloudcoil.models.keda.v1alpha1",
}


def invalid(manifest: Manifest, version: str) -> list[str]:
    """What that version of Kubernetes would not take."""
    who = f"{manifest['kind']} {manifest['metadata']['name']}"
    try:
        validator = _validator(manifest["kind"], manifest["apiVersion"], version)
    except LookupError:
        return [f"{who}: no such kind in {manifest['apiVersion']}"]
    return [f"{who}: {error.json_path}: {error.message[:300]}" for error in validator.iter_errors(manifest)]


@cache
def _validator(kind: str, api: str, version: str) -> Validator:
    if api in MODELS:
        return _of_model(MODELS[api], kind)
    folder = _folder(version)
    # As kubernetes-validate finds them: apps/v1 is in deployment-apps-v1.json.
    group = re.sub(r"^([^./]*)(?:[.][^/]*)?/", r"\1-", api)
    file = folder / f"{kind.lower()}-{group}.json"
    if not file.is_file():
        raise LookupError(kind)
    return jsonschema.Draft202012Validator(json.loads(file.read_text()), registry=_registry(version))


def _folder(version: str) -> Any:
    return files("kubernetes_validate") / "kubernetes-json-schema" / f"v{version}.0-local-strict"


@cache
def _registry(version: str) -> Registry[Any]:
    definitions = Resource.from_contents(json.loads((_folder(version) / "_definitions.json").read_text()))
    return definitions @ Registry()


@cache
def _of_model(module: str, kind: str) -> Validator:
    # Not imported above: that takes seconds, and few tests need it.
    model = getattr(importlib.import_module(module), kind, None)
    if model is None:
        raise LookupError(kind)
    schema = model.model_json_schema(by_alias=True)
    _close(schema)
    return jsonschema.Draft202012Validator(schema)


def _close(schema: Any) -> None:
    """No object takes keys that are not named."""
    if isinstance(schema, list):
        for each in schema:
            _close(each)
    elif isinstance(schema, dict):
        if schema.get("properties") and "additionalProperties" not in schema:
            schema["additionalProperties"] = False
        for each in schema.values():
            _close(each)
