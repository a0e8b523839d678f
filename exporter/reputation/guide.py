"""Chapters of the reference pages on reputation."""

from __future__ import annotations

from exporter.queues.guide import Guide


def guide() -> Guide:
    """What docs/configuration.md and docs/metrics.md say of it."""
    return Guide("", "")
