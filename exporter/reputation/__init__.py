"""Reputation of the addresses that mail is sent from: DNS blocklists."""

from __future__ import annotations

from pydantic import Field

from chassis.document import Mistake
from chassis.settings import Settings
from exporter.parts import Part, PartContext
from exporter.reputation.guide import guide
from exporter.reputation.options import ReputationOptions
from exporter.reputation.part import Reputation
from exporter.reputation.remarks import of_settings

__all__ = ["Section", "build", "guide", "warnings"]


class Section(Settings):
    """The part of the configuration on reputation."""

    reputation: ReputationOptions | None = Field(
        None, description="Addresses that mail is sent from, and the blocklists to ask for them."
    )


def build(section: Section, context: PartContext) -> list[Part]:
    """The one part, if it is configured."""
    return [] if section.reputation is None else [Reputation(section.reputation, context)]


def warnings(section: Section) -> list[Mistake]:
    """What the file alone tells, and a user should think of."""
    return [Mistake(*each) for each in of_settings(section.reputation)] if section.reputation else []
