"""What became of a claimed message, and what follows for those who ask later.

Rows are changed in the order in which those change them who take in: episodes, tellings, outbox. Otherwise PostgreSQL
would have to end one of two transactions that wait for each other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alerter.model import Action, Reason
from alerter.outbox.claim import Claim
from alerter.outbox.rows import ACCEPTED, DEAD
from alerter.receivers.base import Accepted, DeliveryFailed
from alerter.store import episodes as rows
from alerter.store.schema import episodes, memories, outbox, tellings

SURELY_NOT = frozenset({Reason.REJECTED, Reason.RATE_LIMITED, Reason.AUTH, Reason.TOO_LARGE})
"""Reasons that say that nothing arrived."""


def accept(connection: Connection, claimed: Claim, holder: str, accepted: Accepted, now: float) -> bool:
    """The provider has it; answers whether the lease was still ours, since else another tells of it."""
    _touch(connection, claimed.episodes, now)
    told: dict[str, Any] = {"told_at": now, "fallback_at": None}
    if claimed.storm:
        told["storm"] = claimed.storm
    for some in rows.chunks(list(claimed.episodes)):
        connection.execute(
            sa.update(tellings)
            .where(tellings.c.receiver == claimed.receiver, tellings.c.episode_id.in_(some))
            .where(tellings.c.told_at.is_(None))
            .values(told)
        )
    _keep(connection, claimed, accepted, now)
    return _finish(connection, claimed, holder, now, state=ACCEPTED, reason="", error=accepted.note)


def settle(connection: Connection, claimed: Claim, holder: str, now: float) -> None:
    """It needs no word any more."""
    _touch(connection, claimed.episodes, now)
    _finish(connection, claimed, holder, now, state=claimed.settled, reason="", error="")


def postpone(
    connection: Connection, claimed: Claim, holder: str, failed: DeliveryFailed, until: float, *, counts: bool
) -> None:
    """It is tried again `until`; unless it `counts`, as if it had not been tried."""
    changes: dict[str, Any] = {
        "lease_until": None,
        "lease_by": None,
        "next_at": until,
        "reason": failed.reason,
        "error": failed.text,
        "ambiguities": claimed.ambiguities + failed.ambiguous,
    }
    if failed.progress:
        changes["progress"] = json.dumps(dict(failed.progress))
    if not counts:
        changes["attempts"] = outbox.c.attempts - 1
    _change(connection, claimed, holder, changes)
    if failed.reason in SURELY_NOT and claimed.attempts == 1 and not failed.progress:
        _change(connection, claimed, None, {"maybe": False})


def bury(connection: Connection, claimed: Claim, holder: str, failed: DeliveryFailed, now: float) -> None:
    """It is not tried any more: a dead letter, until somebody plays it again."""
    _touch(connection, claimed.episodes, now)
    _finish(connection, claimed, holder, now, state=DEAD, reason=failed.reason, error=failed.text)
    if failed.reason in SURELY_NOT and claimed.attempts == 1:
        _change(connection, claimed, None, {"maybe": False})


def _finish(connection: Connection, claimed: Claim, holder: str, now: float, **values: Any) -> bool:
    return _change(connection, claimed, holder, {"finished_at": now, "lease_until": None, "lease_by": None, **values})


def _change(connection: Connection, claimed: Claim, holder: str | None, values: Mapping[str, Any]) -> bool:
    changed = 0
    for some in rows.chunks(list(claimed.ids)):
        statement = sa.update(outbox).where(outbox.c.id.in_(some))
        if holder is not None:
            statement = statement.where(outbox.c.lease_by == holder)
        changed += connection.execute(statement.values(dict(values))).rowcount
    return changed == len(claimed.ids)


def _keep(connection: Connection, claimed: Claim, accepted: Accepted, now: float) -> None:
    where = (memories.c.receiver == claimed.receiver, memories.c.subject == claimed.subject)
    if claimed.action is Action.RESOLVE or accepted.memory == {}:
        connection.execute(sa.delete(memories).where(*where))
    elif accepted.memory is not None:
        values = {"memory": json.dumps(dict(accepted.memory)), "updated_at": now}
        if not connection.execute(sa.update(memories).where(*where).values(values)).rowcount:
            connection.execute(sa.insert(memories).values(receiver=claimed.receiver, subject=claimed.subject, **values))


def _touch(connection: Connection, ids: Sequence[int], now: float) -> None:
    """The feed shows how each delivery went."""
    for some in rows.chunks(list(ids)):
        connection.execute(sa.update(episodes).where(episodes.c.id.in_(some)).values(changed_at=now))
