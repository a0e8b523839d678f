"""A blocklist at work: how its answers are read, whether it may be believed, what it was asked."""

from __future__ import annotations

from dataclasses import dataclass, field

from chassis.secrets import SecretUnavailable, redact
from exporter.reputation.known import known
from exporter.reputation.names import Family
from exporter.reputation.options import BlocklistOptions, canonical, zone_problem
from exporter.reputation.verdict import Result, Rules

WEIGHTS = {"critical": 40.0, "warning": 15.0}
MOST_MISSED = 3  # questions in a row without a true answer, after which a list has to show again that it works
LONGEST_REASON = 300  # characters


class ZoneUnusable(Exception):
    """The zone cannot be asked; the text says why and holds no part of it."""


@dataclass
class Standing:
    """Whether a list may be believed for one address family."""

    usable: bool | None = None  # None: not tested yet
    why: str = ""  # it is not usable
    testing: bool = False
    failures: int = 0  # tests failed in a row
    missed: int = 0  # questions for addresses in a row without a true answer


@dataclass
class Finding:
    """What a list says of an address. Times are epoch seconds."""

    listed: bool | None = None  # None: no true answer yet
    codes: tuple[str, ...] = ()
    reason: str = ""  # the list's own words
    explained: tuple[str, ...] = ()  # codes that the reason is for
    since: float | None = None  # listed for the first time
    checked: float | None = None  # the last true answer
    holds: float = 0.0  # seconds for which it said that it holds: it is not asked for again before
    result: Result | None = None  # of the last question, true or not
    why: str = ""  # it was not true
    due: float | None = None  # monotonic seconds of the next question


@dataclass
class Blocklist:
    """One list. Guarded by its user's lock."""

    options: BlocklistOptions
    families: tuple[Family, ...]  # those that there are addresses of
    counts: dict[Result, int] = field(default_factory=lambda: dict.fromkeys(Result, 0))
    standings: dict[Family, Standing] = field(init=False)

    def __post_init__(self) -> None:
        self.label = self.options.label
        self.families = tuple(family for family in self.families if family in self.options.families)
        self.standings = {family: Standing() for family in self.families}
        try:
            facts = known(canonical(self.options.zone.reveal()))
        except SecretUnavailable:
            facts = known("")  # the file may be there later; its codes are known at the next start or reload
        self.tier = self.options.severity or facts.severity
        weight = facts.weight if self.options.weight is None else self.options.weight
        self.weight = WEIGHTS[self.tier] if weight is None else weight
        self.rules = Rules(self.options.codes or facts.codes)
        self.delisting = self.options.delisting or facts.delisting

    def zone(self) -> str:
        """The name to ask below, as it is now. Raises ZoneUnusable."""
        try:
            zone = self.options.zone.reveal()
        except SecretUnavailable as error:
            raise ZoneUnusable(str(error)) from None
        if problem := zone_problem(zone):
            raise ZoneUnusable(f"zone: {problem}")
        return canonical(zone)

    def reason(self, texts: tuple[str, ...]) -> str:
        """The list's words for an address, fit to be shown: one line, no key in it."""
        text = " ".join("".join(c if c.isprintable() else " " for c in " | ".join(texts)).split())
        return redact(text, [self.options.zone])[:LONGEST_REASON]

    def continue_from(self, before: Blocklist) -> None:
        """Go on counting; and believe what was shown, if it is the same list still."""
        self.counts = dict(before.counts)
        if before.options.zone == self.options.zone and before.options.test == self.options.test:
            for family, standing in before.standings.items():
                if family in self.standings:
                    self.standings[family] = Standing(standing.usable, standing.why, failures=standing.failures)
