"""Routes as the configuration has them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from alerter.routing.matchers import Matcher
from chassis.settings import Settings
from chassis.units import duration

Wait = Annotated[float, duration(min=1, max=7 * 86400)]
Names = Annotated[tuple[str, ...], Field(min_length=1)]


class Fallback(Settings):
    """Who is told when those who should be cannot be reached."""

    after: Wait = Field(30.0, description="Time for the first to be reached.")
    receivers: Names = Field(description="Who is told then.")


class Escalation(Settings):
    """Who is told when nobody acknowledges."""

    after: Wait = Field(600.0, description="Time to acknowledge.")
    receivers: Names = Field(description="Who is told then.")


class Target(Settings):
    """Who is told."""

    receivers: tuple[str, ...] = Field((), description="Names of receivers; none keeps it in the feed.")
    fallback: Fallback | None = Field(None, description="Another way, when one of them is not reached in time.")
    escalate: Escalation | None = Field(None, description="Who else is told while nobody acknowledges.")
    repeat: Annotated[float, duration(min=60)] | None = Field(
        None, description="Told again that often, until it ends or is acknowledged; by default once."
    )
    quiet: tuple[str, ...] = Field((), description="Quiet periods in which nobody is told.")

    @property
    def names(self) -> frozenset[str]:
        """All receivers that are named, in whatever part."""
        parts = [part.receivers for part in (self.fallback, self.escalate) if part]
        return frozenset(self.receivers).union(*parts)


class Route(Target):
    """Which alerts go where. The first that matches is taken."""

    match: tuple[Matcher, ...] = Field((), description="Matchers as in Alertmanager; all have to hold.")
    go_on: bool = Field(False, alias="continue", description="Look at the routes below, too.")

    @property
    def title(self) -> str:
        """How explanations name it."""
        return "{" + ", ".join(map(str, self.match)) + "}"
