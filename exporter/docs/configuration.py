"""docs/configuration.md, from the models of the settings."""

from __future__ import annotations

from chassis.settings import Setting, describe
from exporter.docs.page import code, fill, table
from exporter.queues import KINDS
from exporter.sections import SECTIONS
from exporter.settings import ExporterSettings


def configuration() -> str:
    """The page as Markdown."""
    settings = describe(ExporterSettings)
    return fill(
        "configuration.md",
        {
            "kinds": "\n\n".join(each.guide().configuration for each in (*KINDS, *SECTIONS) if hasattr(each, "guide")),
            "reference": _reference(settings),
        },
    )


def _reference(settings: list[Setting]) -> str:
    """A table for each mapping, in the order of the models."""
    members: dict[str, list[Setting]] = {}
    for setting in settings:
        members.setdefault(_parent(setting.path), []).append(setting)
    said = {setting.path: setting.doc for setting in settings}
    parts = []
    for path, inside in members.items():
        title = code(path) if path else "The whole file"
        above = said.get(path) or said.get(path.removesuffix(".<key>")) or said.get(path.partition("[")[0], "")
        parts.append(f"### {title}\n\n{above}\n\n{table(('key', 'type', 'default', 'meaning'), map(_row, inside))}")
    return "\n".join(parts)


def _parent(path: str) -> str:
    return path.rpartition(".")[0]


def _row(setting: Setting) -> tuple[str, str, str, str]:
    default = "required" if setting.default is None else code(setting.default)
    return code(setting.path.removeprefix(f"{_parent(setting.path)}.")), setting.type, default, setting.doc
