"""Episodes as rows, and rows as what the rest of the alerter knows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from alerter.model import Alert, Status, Told, digest
from alerter.store.schema import episodes, is_firing, is_latest

CHUNK = 500  # values in one statement, below every store's limit
_json = json.JSONEncoder(ensure_ascii=False).encode  # made once; `json.dumps` makes one each time


def latest(connection: Connection, keys: list[str]) -> dict[str, Row[Any]]:
    """The latest episode of each alert that is known, by its key."""
    columns = episodes.c
    query = sa.select(
        columns.id, columns.key, columns.status, columns.starts_at, columns.ends_at, columns.ended_at, columns.ended_by,
        columns.content, columns.group_id, columns.severity, columns.received_at, columns.acknowledged_at,
    )  # fmt: skip
    found: dict[str, Row[Any]] = {}
    for some in chunks(keys):
        where = (columns.key.in_(some), is_latest)
        found |= {row.key: row for row in connection.execute(query.where(*where))}
    return found


def values(alert: Alert, content: str, now: float) -> dict[str, Any]:
    """A new row for `alert`, told at `now`."""
    return {
        "key": alert.key,
        "latest": True,
        "source": alert.source,
        "fingerprint": alert.fingerprint,
        "group_id": alert.group,
        "group_key": alert.group_key,
        "status": alert.status.value,
        "severity": alert.severity.value,
        "service": alert.service,
        "starts_at": alert.starts_at,
        "received_at": now,
        **words(alert, content, now),
    }


def words(alert: Alert, content: str, now: float) -> dict[str, Any]:
    """What may change while it fires."""
    return {
        "message": alert.summary,
        "labels": _json(dict(alert.labels)),
        "annotations": _json(dict(alert.annotations)),
        "content": content,
        "generator_url": alert.generator_url,
        "external_url": alert.external_url,
        "changed_at": now,
    }


def content_of(alert: Alert) -> str:
    """A digest of what a person would be told."""
    return digest(*chain.from_iterable(sorted(alert.labels.items()) + sorted(alert.annotations.items())))


def told(row: Row[Any]) -> Told:
    """A whole row as receivers are handed it."""
    return Told(
        id=row.id,
        alert=Alert(
            source=row.source,
            fingerprint=row.fingerprint,
            status=Status(row.status),
            labels=json.loads(row.labels),
            annotations=json.loads(row.annotations),
            starts_at=row.starts_at,
            ends_at=row.ends_at if row.ends_at is not None else row.ended_at,
            generator_url=row.generator_url,
            external_url=row.external_url,
            group_key=row.group_key,
        ),
        received_at=row.received_at,
        acknowledged_by=row.acknowledged_by,
        acknowledged_at=row.acknowledged_at,
        note=row.note,
    )


def by_id(connection: Connection, ids: Iterable[int]) -> dict[int, Row[Any]]:
    """Whole rows by their ids."""
    found: dict[int, Row[Any]] = {}
    for some in chunks(list(ids)):
        found |= {row.id: row for row in connection.execute(sa.select(episodes).where(episodes.c.id.in_(some)))}
    return found


def chunks(items: list[Any]) -> Iterator[list[Any]]:
    """In pieces that one statement can bear."""
    return (items[start : start + CHUNK] for start in range(0, len(items), CHUNK))


def firing_labels(connection: Connection) -> list[dict[str, str]]:
    """Of all that fires."""
    query = sa.select(episodes.c.labels).where(is_firing)
    return [json.loads(text) for text in connection.execute(query).scalars()]
