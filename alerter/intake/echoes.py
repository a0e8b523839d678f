"""Words that alerts fire, from another Alertmanager than the one that had just told their end.

Mostly they are late, and the end follows from there too. But the first one may have lost sight of Prometheus while the
other has not; and says so once, since it repeats itself hours later. So such a word is put by until it can be judged.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from alerter.intake.states import ECHO
from alerter.model import Alert, Status
from alerter.store.episodes import chunks
from alerter.store.schema import episodes, facts, is_latest

# Then the second in which the alert ended: what can be judged first is found first, however much is put by.
_PREFIX = "echo:"
_DIGITS = 44  # of a key: what has room in a fact's name
_AT_ONCE = 500  # of them in one look
_WORDS = (
    "source", "fingerprint", "labels", "annotations", "starts_at", "generator_url", "external_url", "group_key",
)  # fmt: skip


def put_by(connection: Connection, words: Iterable[tuple[Alert, Row[Any]]]) -> None:
    """Keeps what was said after the end of an episode, which stands beside it; the latest word of each alert."""
    kept = {_name(alert.key, row): (alert, row.id) for alert, row in words}
    _forget(connection, kept)
    rows = [
        {"name": name, "value": json.dumps({"episode": episode, **{each: getattr(alert, each) for each in _WORDS}})}
        for name, (alert, episode) in kept.items()
    ]
    if rows:
        connection.execute(sa.insert(facts), rows)


def take_back(connection: Connection, ended: Iterable[Row[Any]]) -> None:
    """The end of these episodes was told once more: what was put by was late."""
    _forget(connection, [_name(row.key, row) for row in ended])


def waiting(connection: Connection, now: float) -> bool:
    """Asks, without a lock, whether `ripe` would find anything."""
    return connection.execute(_due(now).with_only_columns(facts.c.name).limit(1)).first() is not None


def ripe(connection: Connection, now: float) -> list[Alert]:
    """Alerts that fire all the same, since nobody has told their end again in time. Each is answered once."""
    due = connection.execute(_due(now).limit(_AT_ONCE)).all()
    _forget(connection, [row.name for row in due])
    kept = [json.loads(row.value) for row in due]
    # Of an alert that has fired again meanwhile, or is not known any more, there is nothing to say.
    over = (episodes.c.id.in_([value["episode"] for value in kept]), is_latest, episodes.c.status == Status.RESOLVED)
    still = set(connection.execute(sa.select(episodes.c.id).where(*over)).scalars())
    told = [{word: value[word] for word in _WORDS} for value in kept if value["episode"] in still]
    return [Alert(status=Status.FIRING, **words) for words in told]


def _name(key: str, episode: Row[Any]) -> str:
    """The fact that a word about an alert's `episode`, which has ended, is kept as."""
    return f"{_PREFIX}{episode.ended_at or 0.0:010.0f}:{key[:_DIGITS]}"


def _due(now: float) -> sa.Select[Any]:
    until = f"{_PREFIX}{now - ECHO:010.0f}"
    return sa.select(facts).where(facts.c.name >= _PREFIX, facts.c.name < until).order_by(facts.c.name)


def _forget(connection: Connection, names: Iterable[str]) -> None:
    for some in chunks(list(names)):
        connection.execute(sa.delete(facts).where(facts.c.name.in_(some)))
