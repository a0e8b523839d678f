"""This section's chapters of docs/configuration.md and docs/metrics.md."""

from __future__ import annotations

from importlib.resources import files

from exporter.queues.guide import Guide


def guide() -> Guide:
    """Both chapters."""
    return Guide(configuration=_read("configuration.md"), metrics=_read("metrics.md"))


def _read(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8").strip("\n")
