"""Random values from the chart's schema, for Hypothesis."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

Schema = dict[str, Any]
OPTIONAL = 3  # keys of an object that are given though they need not be
# Texts that YAML, templates or shells would read as something else.
TEXTS = [
    "",
    "a",
    "yes",
    "null",
    "1e3",
    "0x10",
    "ünï",
    "a: b # c",
    "- x",
    "{{ .Values }}",
    "%d",
    "two\nlines",
    "'\"",
    "*",
]
PLAIN = st.characters(codec="utf-8", exclude_categories=["C"])
# Keys that decide what there is to render.
WEIGHTY = [
    "receivers",
    "mode",
    "replicas",
    "storage",
    "web",
    "listen",
    "alerter",
    "networkPolicy",
    "prometheusRule",
    "enabled",
]
TOP = ["alerter", "exporter", "networkPolicy", "prometheusRule", "serviceMonitor", "persistence"]
_RESTRICTED = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "runAsNonRoot": True,
               "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}}  # fmt: skip
# Parts of Kubernetes' own objects: their schema is not ours to try.
KUBERNETES: dict[str, list[Any]] = {
    "Affinity": [{}, {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}}],
    "Container": [{"name": "more", "image": "more:1", "securityContext": _RESTRICTED}],
    "EnvFromSource": [{"configMapRef": {"name": "site"}}, {"secretRef": {"name": "site", "optional": True}}],
    "EnvVar": [
        {"name": "TZ", "value": "UTC"},
        {"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
    ],
    "LocalObjectReference": [{"name": "pull"}],
    "NetworkPolicyEgressRule": [{"ports": [{"port": 8080}]}, {"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}],
    "NetworkPolicyPeer": [{"podSelector": {}}, {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}],
    "PodSecurityContext": [{"runAsNonRoot": True, "fsGroup": 7, "seccompProfile": {"type": "RuntimeDefault"}}],
    "ResourceRequirements": [{}, {"limits": {"cpu": 1, "memory": "1Gi"}}],
    "SecurityContext": [_RESTRICTED],
    "Toleration": [{"operator": "Exists"}, {"key": "a", "effect": "NoSchedule", "tolerationSeconds": 5}],
    "TopologySpreadConstraint": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}],
    "Volume": [{"name": "more", "emptyDir": {}}, {"name": "more", "configMap": {"name": "site", "optional": True}}],
    "VolumeMount": [{"name": "tmp", "mountPath": "/more"}],
}
ONCE = {"extraVolumes", "extraContainers", "initContainers", "extraVolumeMounts", "extraEnv", "imagePullSecrets"}
MANIFESTS: list[Any] = [
    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "more"}, "data": {"a": "{{ .Release.Name }}"}},
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: more}\n",
]


class Values:
    """Strategies for what a schema allows."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema  # kept, so that its parts keep their identities
        self._made: dict[tuple[int, str], SearchStrategy[Any]] = {}
        self._of = cache(self._reference)

    def strategy(self) -> SearchStrategy[Any]:
        """Whole values, as a user would give them over the defaults."""
        return self._object(self._schema)

    def _reference(self, name: str) -> SearchStrategy[Any]:
        if name.startswith("io.k8s."):
            return st.sampled_from(KUBERNETES[name.rpartition(".")[2]])
        return st.deferred(lambda: self.of(self._schema["definitions"][name]))

    def of(self, schema: Schema, key: str = "") -> SearchStrategy[Any]:
        """What a part of the schema allows; made once, since regular expressions take their time."""
        place = (id(schema), key)
        if place not in self._made:
            self._made[place] = self._make(schema, key)
        return self._made[place]

    def _make(self, schema: Schema, key: str) -> SearchStrategy[Any]:
        if "$ref" in schema:
            return self._of(schema["$ref"].removeprefix("#/definitions/"))
        if "enum" in schema:
            return st.sampled_from(schema["enum"])
        if "anyOf" in schema:
            return st.one_of([self.of(each, key) for each in schema["anyOf"]])
        if "type" not in schema:
            return st.sampled_from([*TEXTS, 1, True])
        kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        return st.one_of([self._typed(kind, schema, key) for kind in kinds])

    def _typed(self, kind: str, schema: Schema, key: str) -> SearchStrategy[Any]:
        match kind:
            case "object":
                return self._chosen(schema) if "if" in str(schema.get("allOf", ""))[:8] else self._object(schema)
            case "array":
                if key == "extraManifests":
                    return st.sampled_from([[], *[[each] for each in MANIFESTS]])
                most = 1 if key in ONCE else 2
                least = max(schema.get("minItems", 0), "allOf" in schema["items"] and key == "receivers")
                return st.lists(self.of(schema["items"], key), min_size=least, max_size=max(most, least))
            case "string":
                return self._text(schema, key)
            case "integer":
                least = schema.get("minimum", 0)
                return st.integers(least, min(schema.get("maximum", least + 9), least + 9))
            case "number":
                least = math.ceil(schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1))
                return st.integers(least, math.floor(min(schema.get("maximum", least + 9), least + 9)))
            case "boolean":
                return st.booleans()
            case _:
                return st.none()

    def _text(self, schema: Schema, key: str) -> SearchStrategy[Any]:
        if key.endswith("_file"):
            return st.sampled_from(
                ["/etc/postwatch/secrets/postgres/url", "/etc/postwatch/secrets/redis/url", "/var/lib/postwatch/x"]
            )
        if key == "listen":
            return st.sampled_from([":9797", ":9798", "0.0.0.0:80", "[::]:9999", "127.0.0.1:1", ":0", ":${PORT}"])
        if "pattern" in schema:
            pattern = schema["pattern"].replace(r"|\$\{", "").replace(r"\s", " ")
            fits = st.from_regex(pattern, fullmatch=True, alphabet=PLAIN)
            shortest, longest = schema.get("minLength", 0), schema.get("maxLength", 60)
            return fits.filter(lambda text: shortest <= len(text) <= longest)
        return st.sampled_from([text for text in TEXTS if len(text) >= schema.get("minLength", 0)])

    def _chosen(self, schema: Schema) -> SearchStrategy[Any]:
        return st.one_of([self._case(case) for case in schema["allOf"]])

    def _case(self, case: Schema) -> SearchStrategy[Any]:
        ((key, condition),) = case["if"]["properties"].items()
        return self.of(case["then"]).map(lambda value: {**value, key: condition["const"]})

    def _object(self, schema: Schema) -> SearchStrategy[Any]:
        properties: Schema = schema.get("properties", {})
        required: list[str] = schema.get("required", [])
        choices: list[Schema] = schema.get("allOf", [])
        optional = sorted(set(properties) - set(required) - {"global"})

        @st.composite
        def made(draw: Any) -> Schema:
            names = list(required) if schema is not self._schema else []
            if optional:
                weighted = optional + [name for name in WEIGHTY if name in optional] * len(optional)
                least = min(2, len(set(weighted) & set(WEIGHTY)))
                names += draw(st.lists(st.sampled_from(weighted), unique=True, min_size=least, max_size=OPTIONAL))
            if schema is self._schema:
                names += draw(
                    st.lists(st.sampled_from([*sorted(required), *TOP * 3]), unique=True, min_size=1, max_size=5)
                )
            for choice in choices:
                either = [each["required"][0] for each in choice.get("oneOf", [])]
                both = choice.get("not", {}).get("required", [])
                if either:
                    names = [name for name in names if name not in either] + [draw(st.sampled_from(either))]
                elif set(both) <= set(names):
                    names.remove(both[0])
            value = {name: draw(self.of(properties[name], name)) for name in dict.fromkeys(names)}
            more = schema.get("additionalProperties")
            if isinstance(more, dict):
                keys = self._text(schema.get("propertyNames", {"minLength": 1}), "")
                value |= draw(st.dictionaries(keys, self.of(more), max_size=2))
            return value

        return made()
