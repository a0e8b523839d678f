"""What happened: `/api/v1/alerts` as JSON with filters, live as server-sent events, and acknowledging."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import anyio
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from alerter.outbox.rows import CRITICAL_LIFE
from alerter.store.engine import Store, StoreFailed
from alerter.store.episodes import chunks
from alerter.store.schema import episodes, is_grouped, outbox
from alerter.web.questions import MOST, BadQuestion, Question, limit_of, question
from chassis.clock import Clock

_LOOK = 1.0  # seconds between looks at what is new, for those who follow
_OVERLAP = 5.0  # seconds; another replica's commit may come later than its time
_BEAT = 15.0  # seconds after which a silent stream says that it lives


def entries(connection: Connection, asked: Question, limit: int) -> list[dict[str, Any]]:
    """What happened, the latest first."""
    rows = _episodes(connection, asked, limit)
    deliveries: dict[int, list[dict[str, Any]]] = {}
    for row in sorted(_deliveries(connection, rows), key=lambda row: int(row.id)):
        for about in json.loads(row.news):
            deliveries.setdefault(about, []).append(delivery(row))
    return [entry(row, deliveries.get(row.id, [])) for row in rows]


def _episodes(connection: Connection, asked: Question, limit: int) -> list[Row[Any]]:
    """In two steps, each of which an index answers: what has come since, then what came before and has changed."""
    received = episodes.c.received_at
    query = sa.select(episodes).where(*asked.conditions)
    came = query.where(received >= asked.since).order_by(received.desc(), episodes.c.id.desc())
    rows = [*connection.execute(came.limit(limit))]
    if len(rows) < limit:
        # By the bare time SQLite would read all of history from its end.
        earlier = query.where(received + 0 < asked.since, episodes.c.changed_at >= asked.since)
        ordered = earlier.order_by((received + 0).desc(), episodes.c.id.desc())
        rows += connection.execute(ordered.limit(limit - len(rows)))
    return rows


def _deliveries(connection: Connection, rows: Sequence[Row[Any]]) -> Iterator[Row[Any]]:
    """Those that may tell one of these episodes, each once."""
    for ids in chunks([row.id for row in rows]):
        alone = (outbox.c.episode_id.in_(ids), outbox.c.grouped.is_(False))
        yield from connection.execute(sa.select(outbox).where(*alone))
    # What joined one that waited may be younger than that, by the time that it is tried at most.
    since = min((row.received_at for row in rows), default=0.0) - CRITICAL_LIFE
    for groups in chunks(sorted({row.group_id for row in rows})):
        together = (is_grouped, outbox.c.subject.in_(groups), outbox.c.created_at >= since)
        yield from connection.execute(sa.select(outbox).where(*together))


def entry(row: Row[Any], deliveries: list[dict[str, Any]]) -> dict[str, Any]:
    """One alert's episode as the API tells it."""
    acknowledged = None
    if row.acknowledged_at is not None:
        acknowledged = {"by": row.acknowledged_by, "at": stamp(row.acknowledged_at)}
    return {
        "id": row.id,
        "timestamp": stamp(row.received_at),
        "severity": row.severity,
        "service": row.service,
        "message": row.message,
        "state": row.status,
        "acknowledged": acknowledged,
        "deliveries": deliveries,
        "changed": stamp(row.changed_at),
        "starts_at": stamp(row.starts_at),
        "ended_at": stamp(row.ended_at),
        "source": row.source,
        "fingerprint": row.fingerprint,
        "labels": json.loads(row.labels),
        "annotations": json.loads(row.annotations),
        "because": row.because,
        "note": row.note,
    }


def delivery(row: Row[Any]) -> dict[str, Any]:
    """How one delivery went, or goes."""
    return {
        "id": row.id,
        "receiver": row.receiver,
        "action": row.action,
        "state": row.state,
        "attempts": row.attempts,
        "at": stamp(row.finished_at or row.created_at),
        "marks": [mark for mark in row.marks.split(",") if mark],
        "reason": row.reason,
        "error": row.error,
    }


def stamp(seconds: float | None) -> str | None:
    """RFC 3339, in UTC."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def routes(
    store: Store,
    clock: Clock,
    keep: Callable[[], float],
    acknowledge: Callable[[int, str], bool | None],
    stopping: threading.Event,
) -> list[Route]:
    """The API's. `keep` in seconds; `acknowledge` answers whether it is then, and None if there is no such alert."""

    def ask(parameters: Mapping[str, str]) -> list[dict[str, Any]]:
        asked = question(parameters, keep(), clock.now())
        limit = limit_of(parameters)
        with store.read() as connection:
            return entries(connection, asked, limit)

    async def listing(request: Request) -> Response:
        try:
            found = await anyio.to_thread.run_sync(ask, dict(request.query_params))
        except BadQuestion as error:
            return JSONResponse({"error": str(error)}, 400)
        except StoreFailed as error:
            return JSONResponse({"error": str(error)}, 503)
        return JSONResponse({"alerts": found}, headers={"Cache-Control": "no-store"})

    async def stream(request: Request) -> Response:
        parameters = dict(request.query_params)
        try:
            question(parameters, keep(), clock.now())
        except BadQuestion as error:
            return JSONResponse({"error": str(error)}, 400)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(follow(parameters), media_type="text/event-stream", headers=headers)

    def changed(parameters: Mapping[str, str], since: float) -> list[dict[str, Any]]:
        asked = question(parameters, keep(), clock.now())
        with store.read() as connection:
            return entries(connection, replace(asked, since=max(asked.since, since)), MOST)

    async def follow(parameters: Mapping[str, str]) -> AsyncIterator[str]:
        seen: dict[int, str] = {}
        since, silent, begun = clock.now(), 0.0, False
        while not stopping.is_set():
            now = clock.now()
            try:
                found = await anyio.to_thread.run_sync(changed, parameters, since - _OVERLAP)
            except StoreFailed:
                await asyncio.sleep(_LOOK)
                continue
            for each in reversed(found):
                text = json.dumps(each, ensure_ascii=False)
                if begun and seen.get(each["id"]) != text:
                    silent = 0.0
                    yield f"id: {each['id']}\nevent: alert\ndata: {text}\n\n"
                seen[each["id"]] = text
            if not begun:  # not before it is known what was there: what comes from now on is told
                yield ": listening\n\n"
            since, begun = now, True
            while len(seen) > 2 * MOST:
                del seen[next(iter(seen))]
            silent += _LOOK
            if silent >= _BEAT:
                silent = 0.0
                yield ": alive\n\n"
            await asyncio.sleep(_LOOK)

    async def ack(request: Request) -> Response:
        try:
            body = await request.json() if await request.body() else {}
            who = who_asks(request) or str(body.get("by", ""))
        except (ValueError, AttributeError):
            return JSONResponse({"error": 'the body is no JSON object; send nothing, or {"by": "name"}'}, 400)
        try:
            number = request.path_params["id"]
            done = await anyio.to_thread.run_sync(acknowledge, number, who)
        except StoreFailed as error:
            return JSONResponse({"error": str(error)}, 503)
        if done is None:
            return JSONResponse({"error": f"there is no alert {number}"}, 404)
        note = {} if done else {"note": "it is over, and was not acknowledged while it fired"}
        return JSONResponse({"id": number, "acknowledged": done, **note})

    return [
        Route("/api/v1/alerts", listing),
        Route("/api/v1/alerts/stream", stream),
        Route("/api/v1/alerts/{id:int}/ack", ack, methods=["POST"]),
    ]


def who_asks(request: Request) -> str:
    """The user's name, which was proven before; empty for a token's holder."""
    scheme, _, credentials = request.headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(credentials).partition(b":")[0].decode("utf-8", "replace")
    except binascii.Error:
        return ""
