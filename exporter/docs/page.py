"""What the exporter's reference pages share."""

from __future__ import annotations

from collections.abc import Mapping

from chassis import pages
from chassis.pages import code, table

__all__ = ["code", "fill", "table"]


def fill(template: str, places: Mapping[str, str]) -> str:
    """A template of this package with all its places filled in. KeyError for a place that nobody fills."""
    return pages.fill(__package__, template, places)
