"""Closes incidents whose end nobody will ever tell: Alertmanager sends none for what was silenced, or forgotten."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alerter.duties.alertmanager import View
from alerter.intake import ending
from alerter.model import Mark
from alerter.outbox.rows import Tray
from alerter.routing.policy import Policy
from alerter.store.schema import episodes, is_firing

YOUNG = 900.0  # seconds after its start in which an Alertmanager may not know yet what fires
BY = "reconciler"


@dataclass(frozen=True)
class Open:
    """An incident of ours."""

    id: int
    fingerprint: str


def absent(incidents: Iterable[Open], views: Sequence[View]) -> dict[int, str]:
    """The incidents that no Alertmanager tells any more, and why, in words for people."""
    reasons: dict[int, str] = {}
    for incident in incidents:
        having = [view for view in views if incident.fingerprint in view.known]
        if not having:
            reasons[incident.id] = "Alertmanager does not have this alert any more."
        elif all(incident.fingerprint in view.silenced for view in having):
            reasons[incident.id] = "The alert is silenced in Alertmanager."
    return reasons


def remembered(before: Mapping[int, float], missing: Iterable[int], now: float) -> dict[int, float]:
    """Since when each is missing, without a break; times are monotonic seconds."""
    return {each: before.get(each, now) for each in missing}


def ripe(since: Mapping[int, float], after: float, now: float) -> list[int]:
    """Those that are missing for long enough."""
    return [each for each, start in since.items() if now - start >= after]


def obstacle(views: Sequence[View], now: float) -> str:
    """Why nothing may be concluded from what they say; empty if it may. `now` by the wall clock."""
    young = sum(now - view.started_at < YOUNG for view in views)
    return f"{young} of {len(views)} Alertmanagers started less than 15 minutes ago" if young else ""


def incidents(connection: Connection, sources: Sequence[str]) -> list[Open]:
    """What fires, as far as we know, of these sources."""
    query = sa.select(episodes.c.id, episodes.c.fingerprint).where(is_firing, episodes.c.source.in_(sources))
    return [Open(row.id, row.fingerprint) for row in connection.execute(query)]


def close(
    connection: Connection, policy: Policy, reasons: Mapping[int, str], now: float
) -> tuple[int, set[str], Mapping[str, int]]:
    """Ends them with a note; answers how many it were, who has something to do, and how much each is spared."""
    tray = Tray(connection, policy.receivers, now)
    rows = connection.execute(sa.select(episodes).where(episodes.c.id.in_(list(reasons)), is_firing)).all()
    ended = [(row, ending.end_values(None, BY, reasons[row.id], now)) for row in rows]
    ending.end(connection, tray, ended, now, marks=[Mark.RECONCILED])
    return len(rows), tray.write(), tray.superseded
