"""Configurations that watch stores, and one more look at them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.support.exporter import Exporter, command, config
from tests.support.samples import Samples


def postgres(url: str, name: str = "oltp", **more: Any) -> dict[str, Any]:
    """A configuration with one database; `more` are its further options."""
    return {**config(), "postgres": [{"name": name, "url": url, "statements": {"interval": "1s"}, **more}]}


def redis(url: str, name: str = "cache", **more: Any) -> dict[str, Any]:
    """A configuration with one Redis."""
    return {**config(), "redis": [{"name": name, "url": url, **more}]}


def both(*configurations: Mapping[str, Any]) -> dict[str, Any]:
    """Several configurations as one."""
    return {key: value for each in configurations for key, value in each.items()}


def later(exporter: Exporter, kind: str, source: str, seconds: float = 60.0) -> Samples:
    """What a sampler tells when that time has passed, so that everything is due again."""
    exporter.clock.monotonic_offset += seconds
    return exporter.look(kind, source=source)


def checked(folder: Path, given: Mapping[str, Any]) -> str:
    """What `check --connect` says of a configuration."""
    path = folder / "exporter.yml"
    path.write_text(yaml.safe_dump(dict(given)))
    return command("check", "--connect", "--config", str(path)).stdout
