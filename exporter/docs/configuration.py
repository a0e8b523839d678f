"""docs/configuration.md, from the models of the settings."""

from __future__ import annotations

from chassis.pages import reference
from exporter.docs.page import fill
from exporter.queues import KINDS
from exporter.sections import SECTIONS
from exporter.settings import ExporterSettings


def configuration() -> str:
    """The page as Markdown."""
    return fill(
        "configuration.md",
        {
            "kinds": "\n\n".join(each.guide().configuration for each in (*KINDS, *SECTIONS) if hasattr(each, "guide")),
            "reference": reference(ExporterSettings),
        },
    )
