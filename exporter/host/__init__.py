"""The machine, or the container, that it runs on."""

from __future__ import annotations

from chassis.settings import Settings
from exporter.parts import Part, PartContext


class Section(Settings):
    """The part of the configuration on the host."""


def build(_section: Section, _context: PartContext) -> list[Part]:
    """What is to be watched."""
    return []
