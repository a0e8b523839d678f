"""Health of PostgreSQL and Redis themselves."""

from __future__ import annotations

from exporter.parts import Part, PartContext
from exporter.stores.options import Section
from exporter.stores.postgres import PostgresHealth
from exporter.stores.redis import RedisHealth
from exporter.stores.reference import guide


def build(section: Section, context: PartContext) -> list[Part]:
    """A part for each store."""
    databases: list[Part] = [PostgresHealth(options, context) for options in section.postgres]
    return [*databases, *(RedisHealth(options, context) for options in section.redis)]


__all__ = ["Section", "build", "guide"]
