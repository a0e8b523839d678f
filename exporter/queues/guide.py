"""What a queue system says of itself in the reference pages."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Guide:
    """Chapters in Markdown, from headings of the second level down."""

    configuration: str  # in docs/configuration.md, before the table of all settings
    metrics: str  # in docs/metrics.md: how its figures are come by, and which it cannot tell
