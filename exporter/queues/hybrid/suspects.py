"""Jobs that look adrift in one look, and what two looks confirm of them. Pure: no effects."""

from __future__ import annotations

from dataclasses import dataclass, field

KINDS = ("missing_in_redis", "missing_in_postgres", "expired")


@dataclass
class Suspects:
    """Jobs of one queue that look adrift in one look, by kind, and how many were compared."""

    found: dict[str, set[str]] = field(default_factory=lambda: {kind: set() for kind in KINDS})
    checked: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    nameless: int = 0  # elements without an id, which nobody can run
    difference: int | None = None  # rows handed over less elements, of a list too long to compare


def confirmed(before: Suspects | None, now: Suspects) -> dict[str, int]:
    """Drift by kind: what two looks agree on. Jobs merely on their way between the stores are no drift."""
    before = before or Suspects()
    counts = {kind: len(now.found[kind] & before.found[kind]) for kind in KINDS}
    counts["missing_in_postgres"] += min(now.nameless, before.nameless)
    if now.difference is not None and before.difference is not None:
        lost = min(now.difference, before.difference)
        unknown = -max(now.difference, before.difference)
        counts["missing_in_redis"] = max(counts["missing_in_redis"], lost)
        counts["missing_in_postgres"] = max(counts["missing_in_postgres"], unknown)
    return counts
