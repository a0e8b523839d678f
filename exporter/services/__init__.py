"""Services, as their users meet them: probes."""

from __future__ import annotations

from chassis.settings import Settings
from exporter.parts import Part, PartContext


class Section(Settings):
    """The part of the configuration that names services."""


def build(_section: Section, _context: PartContext) -> list[Part]:
    """What is to be watched."""
    return []
