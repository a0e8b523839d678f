"""What Helm asks a cluster: the wire of an API server, as far as Helm 3 and 4 speak it.

No API server can be had from the package registries. This one has discovery, create, get, list, watch, replace, delete,
and patches of all kinds (kubernetes.io/docs/reference/using-api/api-concepts).
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

from tests.helm import wire
from tests.helm.chart import Manifest
from tests.helm.cluster import KINDS, VERSION, Cluster, Refusal, plural
from tests.helm.merging import merged, strategic

_PLACE = re.compile(
    r"/(?:api|apis/(?P<group>[^/]+))/(?P<version>[^/]+)(?:/namespaces/(?P<namespace>[^/]+))?"
    r"/(?P<resource>[a-z]+)(?:/(?P<name>[^/]+))?"
)


def sent(data: bytes) -> Any:
    """The object in a request's body: of JSON, YAML, or what typed clients send."""
    return wire.secret(data) if data.startswith(wire.MAGIC) else yaml.load(data, Loader=yaml.CSafeLoader)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each answer waits 40 ms for the client to acknowledge its head
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: what was asked shows in the cluster's objects."""

    def _answer(self, body: Manifest, code: int = 200) -> None:
        data = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _handle(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        data = self.rfile.read(length)
        body = {} if self.command == "DELETE" else sent(data)
        parts = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        try:
            place = _PLACE.fullmatch(parts.path)
            if place and self.command == "GET" and query.get("watch") in ("true", "1"):
                self._watch(place, query)
            elif place:
                self._answer(self._do(place, query, body), 201 if self.command == "POST" else 200)
            else:
                self._answer(discovered(parts.path))
        except Refusal as no:
            status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": no.code}
            self._answer({**status, "reason": no.reason, "message": str(no)}, no.code)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle  # noqa: N815  # http.server's names

    def _do(self, found: re.Match[str], query: dict[str, str], body: Any) -> Manifest:
        cluster, (api, namespace, resource, name) = self.server.cluster, placed(found)
        if self.command == "GET":
            return (
                cluster.get((api, namespace, resource, name)) if name else cluster.list(api, namespace, resource, query)
            )
        place = (api, namespace, resource, name or body["metadata"]["name"])
        dry = "dryRun" in query
        if self.command == "DELETE":
            gone = cluster.get(place)
            cluster.objects.pop(place)
            return gone
        if self.command == "POST":
            return cluster.put(place, body, new=True, dry=dry)
        if self.command == "PUT":
            return cluster.put(place, body, new=False, dry=dry)
        match self.headers["Content-Type"].partition(";")[0]:
            case "application/apply-patch+yaml":
                return cluster.put(place, body, new=None, dry=dry)
            case "application/strategic-merge-patch+json":
                return cluster.put(place, strategic(cluster.get(place), body), new=False, dry=dry)
            case _:
                return cluster.put(place, merged(cluster.get(place), body), new=False, dry=dry)

    def _watch(self, found: re.Match[str], query: dict[str, str]) -> None:
        """What is there; then nothing more happens."""
        api, namespace, resource, _ = placed(found)
        told = self.server.cluster.list(api, namespace, resource, query)
        events = [{"type": "ADDED", "object": each} for each in told["items"]]
        if query.get("sendInitialEvents") == "true":
            end = {**told["metadata"], "annotations": {"k8s.io/initial-events-end": "true"}}
            kind = told["kind"].removesuffix("List")
            events.append({"type": "BOOKMARK", "object": {"kind": kind, "apiVersion": api, "metadata": end}})
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Connection", "close")
        self.end_headers()
        for event in events:
            self.wfile.write(json.dumps(event).encode() + b"\n")
        self.wfile.flush()
        self.close_connection = True
        self.server.stopping.wait(10)


def placed(found: re.Match[str]) -> tuple[str, str, str, str]:
    """API, namespace, resource and name of a path."""
    api = "/".join(filter(None, (found["group"], found["version"])))
    if found["resource"] not in [plural(kind) for kind in KINDS.get(api, [])]:
        raise Refusal(404, "NotFound", f"the server could not find {found[0]}")
    return api, found["namespace"] or "", found["resource"], found["name"] or ""


def discovered(path: str) -> Manifest:
    """What the server says of itself."""
    if path == "/version":
        major, minor = VERSION.split(".")
        return {"major": major, "minor": minor, "gitVersion": f"v{VERSION}.0"}
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        versions = [{"groupVersion": api, "version": api.partition("/")[2]} for api in KINDS if "/" in api]
        groups = [
            {"name": each["groupVersion"].partition("/")[0], "versions": [each], "preferredVersion": each}
            for each in versions
        ]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
    if path.startswith("/openapi/v3"):
        return described(path.removeprefix("/openapi/v3").strip("/"))
    api = re.sub("^/apis?/", "", path)
    if api not in KINDS:
        raise Refusal(404, "NotFound", f"the server could not find {path}")
    verbs = ["create", "delete", "get", "list", "patch", "update", "watch"]
    resources = [
        {
            "name": plural(kind),
            "singularName": kind.lower(),
            "namespaced": kind != "Namespace",
            "kind": kind,
            "verbs": verbs,
        }
        for kind in KINDS[api]
    ]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api, "resources": resources}


def described(path: str) -> Manifest:
    """OpenAPI, as far as Helm reads it: that the server itself validates fields."""
    places = {("apis/" if "/" in api else "api/") + api: api for api in KINDS}
    if not path:
        return {"paths": {place: {"serverRelativeURL": f"/openapi/v3/{place}"} for place in places}}
    group, _, version = ("/" + places[path]).rpartition("/")
    patches = {
        f"/{path}/{plural(kind)}/{{name}}": {
            "patch": {
                "parameters": [{"name": "fieldValidation", "in": "query"}],
                "x-kubernetes-group-version-kind": {"group": group.strip("/"), "version": version, "kind": kind},
            }
        }
        for kind in KINDS[places[path]]
    }
    return {"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": VERSION}, "paths": patches}


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.cluster = cluster
        self.stopping = threading.Event()


@contextmanager
def serving(cluster: Cluster) -> Iterator[str]:
    """The URL at which a cluster's API answers."""
    server = _Server(cluster)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.stopping.set()
        server.shutdown()
        server.server_close()
        thread.join()
