"""Puts deliveries into the outbox, inside the transaction that makes them necessary."""

from __future__ import annotations

import json
import secrets
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from alerter.model import Action, Mark, Severity
from alerter.routing.policy import Ability
from alerter.store import bulk
from alerter.store.episodes import chunks
from alerter.store.schema import is_pending, outbox

PENDING, ACCEPTED, SUPERSEDED, DEAD, COLLAPSED = "pending", "accepted", "superseded", "dead", "collapsed"
CRITICAL_LIFE, LIFE = 24 * 3600.0, 6 * 3600.0  # seconds for which a delivery is tried


@dataclass(frozen=True)
class About:
    """The episode that a delivery tells."""

    id: int
    key: str
    group: str
    severity: Severity

    @classmethod
    def of(cls, row: Row[Any]) -> About:
        """Of an episode's row."""
        return cls(row.id, row.key, row.group_id, Severity(row.severity))


@dataclass
class Tray:
    """Collects the rows of one transaction and writes them at its end: one for each alert, or for a group."""

    connection: Connection
    receivers: Mapping[str, Ability]
    now: float
    superseded: Counter[str] = field(default_factory=Counter)  # by receiver: what needs no word
    _rows: list[dict[str, Any]] = field(default_factory=list)
    _groups: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)

    def put(
        self,
        receiver: str,
        about: About,
        action: Action,
        *,
        marks: Iterable[Mark] = (),
        note: str = "",
        received_at: float | None = None,
        state: str = PENDING,
    ) -> None:
        """One delivery; nothing if the receiver cannot tell such a thing."""
        ability = self.receivers.get(receiver)
        if ability and action not in ability.actions:
            return
        grouped = bool(ability and ability.grouped)
        if state == SUPERSEDED:
            self.superseded[receiver] += 1
        row = self._row(receiver, about, action, grouped, marks, note, received_at, state)
        if not grouped or state != PENDING:
            self._rows.append(row)
            return
        known = self._groups.setdefault((receiver, about.group), row)
        if known is not row:
            _merge(known, row)

    def write(self) -> set[str]:
        """Puts all into the store; answers the receivers that have something to do."""
        rows = self._rows + self._unmerged()
        for row in rows:
            row["news"] = json.dumps(list(row["news"]))
            row["marks"] = ",".join(sorted(row["marks"]))
            row["severity"] = row["severity"].value
        bulk.insert(self.connection, outbox, rows)
        return {row["receiver"] for row in rows if row["state"] == PENDING} | {receiver for receiver, _ in self._groups}

    def _unmerged(self) -> list[dict[str, Any]]:
        """The groups' rows, without those that are told by a row which waits anyway, and was never tried."""
        waiting: dict[tuple[str, str], Row[Any]] = {}
        for some in chunks(list(self._groups)):
            query = (
                sa.select(outbox)
                .where(is_pending, outbox.c.attempts == 0, outbox.c.storm.is_(None))
                .where(outbox.c.receiver.in_({receiver for receiver, _ in some}))
                .where(outbox.c.subject.in_({subject for _, subject in some}))
                .order_by(outbox.c.id)
            )
            waiting |= {(row.receiver, row.subject): row for row in self.connection.execute(query)}
        return [row for key, row in self._groups.items() if key not in waiting or not self._merged(waiting[key], row)]

    def _merged(self, waiting: Row[Any], row: dict[str, Any]) -> bool:
        """Whether `waiting` tells `row` as well from now on; not if somebody began to send it."""
        marks = set(filter(None, waiting.marks.split(","))) | set(row["marks"])
        changed = self.connection.execute(
            sa.update(outbox)
            .where(outbox.c.id == waiting.id, outbox.c.attempts == 0, outbox.c.state == PENDING)
            .values(
                news=json.dumps(list(dict.fromkeys([*json.loads(waiting.news), *row["news"]]))),
                marks=",".join(sorted(marks)),
                note=row["note"] or waiting.note,
                urgent=waiting.urgent or row["urgent"],
                severity=min(Severity(waiting.severity), row["severity"], key=lambda each: each.rank),
                expires_at=max(waiting.expires_at, row["expires_at"]),
            )
        )
        return changed.rowcount == 1

    def _row(
        self,
        receiver: str,
        about: About,
        action: Action,
        grouped: bool,
        marks: Iterable[Mark],
        note: str,
        received_at: float | None,
        state: str,
    ) -> dict[str, Any]:
        urgent = about.severity is Severity.CRITICAL
        return {
            "delivery_id": secrets.token_hex(16),
            "receiver": receiver,
            "subject": about.group if grouped else about.key,
            "grouped": grouped,
            "action": action.value,
            "marks": list(marks),
            "note": note,
            "episode_id": about.id,
            "news": {about.id: None},  # a set that keeps its order
            "severity": about.severity,
            "urgent": urgent,
            "state": state,
            "created_at": self.now,
            "received_at": self.now if received_at is None else received_at,
            "next_at": self.now,
            "expires_at": self.now + (CRITICAL_LIFE if urgent else LIFE),
            "attempts": 0,
            "maybe": False,
            "finished_at": None if state == PENDING else self.now,
        }


def _merge(known: dict[str, Any], row: dict[str, Any]) -> None:
    known["news"].update(row["news"])
    known["marks"] = sorted({*known["marks"], *row["marks"]})
    known["urgent"] = known["urgent"] or row["urgent"]
    known["expires_at"] = max(known["expires_at"], row["expires_at"])
    known["severity"] = min(known["severity"], row["severity"], key=lambda each: each.rank)
