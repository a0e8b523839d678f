"""Every generated file, by its path."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from alerter.settings import AlerterSettings
from exporter.settings import ExporterSettings
from helm.generate import kubernetes
from helm.generate.schema import Schemas
from helm.generate.table import table
from helm.generate.values import AlerterValues, ChartValues, ExporterValues

CHART = Path("helm/postwatch")
COPIES = {
    CHART / "files/rules": ("deploy/prometheus/rules", "*.yml"),
    CHART / "files/dashboards": ("deploy/grafana/dashboards", "*.json"),
}
FOLDERS = tuple(COPIES)
_PLACE = re.compile(r"(?<=<!-- values -->\n).*(?=<!-- end -->)", re.S)


def files(repository: Path) -> dict[Path, bytes]:
    """What each generated file has to hold."""
    chart = repository / CHART
    made = {
        chart / "values.schema.json": _json(schema()),
        chart / "Chart.yaml": _versions((chart / "Chart.yaml").read_text(encoding="utf-8"), _version(repository)),
        chart / "README.md": _readme(chart),
    }
    found = {path: content.encode() for path, content in made.items()}
    for target, (source, pattern) in COPIES.items():
        found |= {repository / target / path.name: path.read_bytes() for path in (repository / source).glob(pattern)}
    return found


def schema() -> dict[str, Any]:
    """The schema of the chart's values: its own, with both daemons' configuration files in their places."""
    own = Schemas(variables=False)
    written = Schemas(variables=True)
    own.reference(ChartValues)
    files_of: dict[type[BaseModel], type[BaseModel]] = {
        ExporterValues: ExporterSettings,
        AlerterValues: AlerterSettings,
    }
    for model, settings in files_of.items():
        part = own.definitions[f"{model.__module__}.{model.__qualname__}"]
        part["properties"]["config"] = written.reference(settings)
    top = own.definitions.pop(f"{ChartValues.__module__}.{ChartValues.__qualname__}")
    top["properties"] |= {"enabled": {"type": "boolean"}, "global": {"type": "object"}}
    own_only = _reached(top, own.definitions)
    definitions = {**own_only, **written.definitions, **kubernetes.definitions(own.kubernetes)}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the chart postwatch",
        **top,
        "definitions": dict(sorted(definitions.items())),
    }


def _reached(top: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    """Those definitions that `top` refers to, by whatever way."""
    found: dict[str, Any] = {}
    todo = [top]
    while todo:
        for name in re.findall(r'"#/definitions/([^"]+)"', json.dumps(todo.pop())):
            if name in definitions and name not in found:
                found[name] = definitions[name]
                todo.append(definitions[name])
    return found


def _json(data: dict[str, Any]) -> str:
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"


def _version(repository: Path) -> str:
    return str(tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"])


def _versions(chart: str, version: str) -> str:
    chart = re.sub(r"^version: .*$", f"version: {version}", chart, flags=re.M)
    return re.sub(r"^appVersion: .*$", f'appVersion: "{version}"', chart, flags=re.M)


def _readme(chart: Path) -> str:
    defaults = yaml.safe_load((chart / "values.yaml").read_text(encoding="utf-8"))
    text = (chart / "README.md").read_text(encoding="utf-8")
    return _PLACE.sub(lambda _: f"\n{table(ChartValues, defaults)}\n", text)
