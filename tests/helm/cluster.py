"""A cluster's objects in memory, held to Kubernetes' own schemas and rules; nothing runs, and a pod has succeeded."""

from __future__ import annotations

import base64
import re
import threading
import uuid

from tests.helm.chart import Manifest
from tests.helm.kube import ALL, invalid
from tests.helm.merging import doubles, frozen

VERSION = ALL[-1]
# By group and version: the resources of each kind that the chart may make.
KINDS = {
    "v1": ["ConfigMap", "Namespace", "PersistentVolumeClaim", "Pod", "Secret", "Service", "ServiceAccount"],
    "apps/v1": ["Deployment", "StatefulSet"],
    "monitoring.coreos.com/v1": ["PodMonitor", "PrometheusRule", "ServiceMonitor"],
    "networking.k8s.io/v1": ["NetworkPolicy"],
    "policy/v1": ["PodDisruptionBudget"],
}
LARGEST = 1 << 20  # bytes that a Secret or a ConfigMap may hold
_TERM = re.compile(r"(?P<key>[^\s,=!]+)\s*(?:=\s*(?P<one>[^,\s]*)|(?P<no>notin|in)\s*\((?P<some>[^)]*)\))(?:,|$)")


def plural(kind: str) -> str:
    """As a path names it."""
    word = kind.lower()
    return f"{word[:-1]}ies" if word.endswith("y") else f"{word}s"


class Refusal(Exception):
    """What the server does not do: its status, and why."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code, self.reason = code, reason


class Cluster:
    """The objects, by API, namespace, resource and name."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str, str], Manifest] = {}
        self._revision = 0
        self._lock = threading.RLock()

    def of_kind(self, kind: str) -> dict[str, Manifest]:
        """The objects of a kind, by name."""
        with self._lock:
            return {place[3]: each for place, each in self.objects.items() if each["kind"] == kind}

    def delete(self, kind: str, name: str) -> None:
        """As somebody with kubectl does it."""
        with self._lock:
            del self.objects[
                next(place for place, each in self.objects.items() if (each["kind"], place[3]) == (kind, name))
            ]

    def get(self, place: tuple[str, str, str, str]) -> Manifest:
        """One object."""
        with self._lock:
            if place not in self.objects:
                raise Refusal(404, "NotFound", f'{place[2]} "{place[3]}" not found')
            return self.objects[place]

    def list(self, api: str, namespace: str, resource: str, query: dict[str, str]) -> Manifest:
        """Those that a label selector and a name select."""
        name = query.get("fieldSelector", "").partition("metadata.name=")[2]
        with self._lock:
            found = [
                each
                for place, each in sorted(self.objects.items())
                if place[0] == api and place[2] == resource and namespace in ("", place[1]) and name in ("", place[3])
                if selected(each["metadata"].get("labels") or {}, query.get("labelSelector", ""))
            ]
            kind = next(kind for kind in KINDS[api] if plural(kind) == resource)
            head = {"kind": f"{kind}List", "apiVersion": api, "metadata": {"resourceVersion": str(self._revision)}}
            return {**head, "items": found}

    def put(self, place: tuple[str, str, str, str], wanted: Manifest, *, new: bool | None, dry: bool) -> Manifest:
        """Stores an object; `new`: whether there must be none, or must be one."""
        with self._lock:
            live = self.objects.get(place)
            if new and live:
                raise Refusal(409, "AlreadyExists", f'{place[2]} "{place[3]}" already exists')
            if new is False:
                live = self.get(place)
            self._refuse(live, wanted)
            self._revision += 1
            own = {
                "namespace": place[1],
                "resourceVersion": str(self._revision),
                "creationTimestamp": "2026-01-01T00:00:00Z",
            }
            own["uid"] = live["metadata"]["uid"] if live else str(uuid.uuid4())
            made = {**wanted, "metadata": {**wanted["metadata"], **own}}
            if made["kind"] == "Pod":
                made["status"] = {"phase": "Succeeded"}
            if not dry:
                self.objects[place] = made
            return made

    def _refuse(self, live: Manifest | None, wanted: Manifest) -> None:
        if wanted["kind"] in ("ConfigMap", "Secret"):
            size = sum(
                len(text) * (3 if wanted["kind"] == "Secret" else 4) // 4
                for text in (wanted.get("data") or {}).values()
            )
            if size > LARGEST:
                raise Refusal(422, "Invalid", f"data: Too long: {size} bytes, may not be more than {LARGEST}")
        # Entries of one key only what is applied on the server, by Helm 4, may not have; better nobody has.
        wrong = [*invalid({key: value for key, value in wanted.items() if key != "status"}, VERSION), *doubles(wanted)]
        wrong += frozen(live, wanted) if live else []
        if wrong:
            raise Refusal(
                422, "Invalid", f'{wanted["kind"]} "{wanted["metadata"]["name"]}" is invalid: {"; ".join(wrong)}'
            )


def selected(labels: dict[str, str], selector: str) -> bool:
    """Whether a label selector takes these labels."""
    for term in _TERM.finditer(selector):
        among = {term["one"]} if term["no"] is None else set(re.split(r"\s*,\s*", term["some"]))
        if (labels.get(term["key"]) in among) == (term["no"] == "notin"):
            return False
    return True


def plain(secret: Manifest, key: str) -> str:
    """A value of a Secret."""
    return base64.b64decode(secret["data"][key]).decode()
