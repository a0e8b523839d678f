"""Words that alerts fire, from another Alertmanager than the one that had just told their end.

Mostly they are late, and the end follows from there too. But the first one may have lost sight of Prometheus while the
other has not; and says so once, since it repeats itself hours later. So such a word is put by until it can be judged.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alerter.intake.states import ECHO
from alerter.model import Alert, Status
from alerter.store.episodes import chunks
from alerter.store.schema import episodes, facts, is_latest

_PREFIX = "echo:"
_DIGITS = 56  # of a key: what has room in a fact's name
_WORDS = (
    "source", "fingerprint", "labels", "annotations", "starts_at", "generator_url", "external_url", "group_key",
)  # fmt: skip


def put_by(connection: Connection, words: Iterable[tuple[Alert, int]]) -> None:
    """Keeps what was said after the end of an episode, whose id stands beside it; the latest word of each alert."""
    kept = {_name(alert.key): (alert, episode) for alert, episode in words}
    _forget(connection, kept)
    rows = [
        {"name": name, "value": json.dumps({"episode": episode, **{each: getattr(alert, each) for each in _WORDS}})}
        for name, (alert, episode) in kept.items()
    ]
    if rows:
        connection.execute(sa.insert(facts), rows)


def take_back(connection: Connection, keys: Iterable[str]) -> None:
    """The end of these alerts was told once more: what was put by was late."""
    _forget(connection, map(_name, keys))


def waiting(connection: Connection, now: float) -> bool:
    """Asks, without a lock, whether `ripe` would find anything."""
    return any(now - ended_at >= ECHO for _, _, ended_at in _kept(connection))


def ripe(connection: Connection, now: float) -> list[Alert]:
    """Alerts that fire all the same, since nobody has told their end again in time. Each is answered once."""
    found = []
    for name, value, ended_at in _kept(connection):
        if now - ended_at < ECHO:
            continue
        _forget(connection, [name])
        # Of an alert that has fired again meanwhile, or is not known any more, there is nothing to say.
        latest = sa.select(episodes.c.status).where(episodes.c.id == value.pop("episode"), is_latest)
        if connection.execute(latest).scalar() == Status.RESOLVED:
            found.append(Alert(status=Status.FIRING, **value))
    return found


def _kept(connection: Connection) -> list[tuple[str, dict[str, Any], float]]:
    """Names, values, and when each one's episode ended; 0 if that is not known any more."""
    query = sa.select(facts).where(facts.c.name.startswith(_PREFIX))
    kept = [(row.name, json.loads(row.value)) for row in connection.execute(query)]
    ends: dict[int, float] = {}
    for some in chunks([value["episode"] for _, value in kept]):
        rows = connection.execute(sa.select(episodes.c.id, episodes.c.ended_at).where(episodes.c.id.in_(some)))
        ends |= {row.id: row.ended_at or 0.0 for row in rows}
    return [(name, value, ends.get(value["episode"], 0.0)) for name, value in kept]


def _forget(connection: Connection, names: Iterable[str]) -> None:
    for some in chunks(list(names)):
        connection.execute(sa.delete(facts).where(facts.c.name.in_(some)))


def _name(key: str) -> str:
    return f"{_PREFIX}{key[:_DIGITS]}"
