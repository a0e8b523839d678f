"""The page at `/`: receivers, circuits, outbox, last deliveries, dead letters. Plain HTML, no script."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import anyio
from sqlalchemy.engine import Row
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from alerter.delivery.circuit import State
from alerter.outbox.overview import Backlog
from alerter.store.engine import StoreFailed

RENEWED = 15  # seconds after which a browser asks for the page again
STYLE = """
:root{color-scheme:light dark;--good:#1a7f37;--warn:#9a6700;--bad:#cf222e;--line:#8884}
@media(prefers-color-scheme:dark){:root{--good:#3fb950;--warn:#d29922;--bad:#f85149}}
body{font:15px/1.5 system-ui,sans-serif;margin:1.5rem auto;max-width:70rem;padding:0 1rem}
h1{font-size:1.3rem}h2{font-size:1.05rem;margin-top:1.8rem}
div.wide{overflow-x:auto}table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:.25rem .7rem .25rem 0;border-bottom:1px solid var(--line);vertical-align:top}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
.good{color:var(--good)}.warn{color:var(--warn)}.bad{color:var(--bad)}
"""
_STATES = {State.OK: "good", State.THROTTLED: "warn", State.OPEN: "bad"}
_ENDS = {"accepted": "good", "dead": "bad", "pending": "warn"}
_SEVERITIES = {"critical": "bad", "warning": "warn"}


@dataclass(frozen=True)
class Picture:
    """What the page shows. `now` in seconds since the epoch, `up` in seconds."""

    version: str
    now: float
    up: float
    desks: tuple[tuple[str, str, State, str], ...]  # name, kind, state, last error
    backlog: Mapping[str, Backlog]
    last: tuple[Row[Any], ...]
    dead: tuple[Row[Any], ...]
    firing: tuple[Row[Any], ...]


def page(picture: Picture) -> str:
    """The page as HTML."""
    bad = sum(state is State.OPEN for _, _, state, _ in picture.desks)
    verdict = f'<span class="bad">{bad} of {len(picture.desks)} receivers cannot be reached</span>'
    if not bad:
        verdict = f'<span class="good">{len(picture.desks)} receivers, none in trouble</span>'
    return "".join(
        (
            '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Postwatch alerter</title>',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<meta http-equiv="refresh" content="{RENEWED}"><style>{STYLE}</style></head><body>',
            f"<h1>Postwatch alerter {escape(picture.version)}</h1>",
            f"<p>{verdict} · {len(picture.firing)} alerts fire · up for {coarse(picture.up)}</p>",
            '<p><a href="/metrics">metrics</a> · <a href="/api/v1/alerts">feed</a> · <a href="/readyz">ready</a></p>',
            _table(
                "Receivers",
                ("receiver", "kind", "state", "#waiting", "#oldest", "#dead letters", "last error"),
                (_desk(picture, *desk) for desk in picture.desks),
                "Nobody is told: name your receivers under <code>receivers</code> in the configuration.",
            ),
            _table(
                "Firing",
                ("#id", "severity", "service", "message", "#since", "acknowledged"),
                (_alert(row, picture.now) for row in picture.firing),
                "Nothing fires.",
            ),
            _table("Last deliveries", _DELIVERY, (_delivery(r, picture.now) for r in picture.last), "None yet."),
            _table("Dead letters", _DELIVERY, (_delivery(r, picture.now) for r in picture.dead), "None."),
            "</body></html>",
        )
    )


_DELIVERY = ("#id", "receiver", "action", "state", "#attempts", "#ago", "message", "error")


def _table(title: str, columns: tuple[str, ...], lines: Iterable[str], empty: str) -> str:
    body = "".join(lines)
    if not body:
        return f"<h2>{title}</h2><p>{empty}</p>"
    heads = "".join(f"<th{' class=n' if c.startswith('#') else ''}>{escape(c.removeprefix('#'))}" for c in columns)
    return (
        f'<h2>{title}</h2><div class="wide"><table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _desk(picture: Picture, name: str, kind: str, state: State, error: str) -> str:
    backlog = picture.backlog.get(name, Backlog(0, None, 0))
    oldest = "" if backlog.oldest is None else coarse(picture.now - backlog.oldest)
    dead = f'<td class="n{" bad" if backlog.dead else ""}">{backlog.dead:,}'
    return (
        f'<tr><td>{escape(name)}<td>{escape(kind)}<td class="{_STATES[state]}">{state}'
        f'<td class="n">{backlog.pending:,}<td class="n">{oldest}{dead}<td>{escape(error)}</tr>'
    )


def _alert(row: Row[Any], now: float) -> str:
    return (
        f'<tr><td class="n">{row.id}<td class="{_SEVERITIES.get(row.severity, "")}">{escape(row.severity)}'
        f"<td>{escape(row.service)}<td>{escape(row.message[:300])}"
        f'<td class="n">{coarse(now - row.starts_at)}<td>{escape(row.acknowledged_by)}</tr>'
    )


def _delivery(row: Row[Any], now: float) -> str:
    return (
        f'<tr><td class="n">{row.id}<td>{escape(row.receiver)}<td>{escape(row.action)}'
        f'<td class="{_ENDS.get(row.state, "")}">{escape(row.state)}<td class="n">{row.attempts}'
        f'<td class="n">{coarse(now - (row.finished_at or row.created_at))}'
        f"<td>{escape(row.message[:200])}<td>{escape(row.error)}</tr>"
    )


def coarse(seconds: float) -> str:
    """A time to the unit that matters: `42s`, `17m`, `5h`, `3d`."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length:.0f}{unit}"
    return f"{max(seconds, 0):.0f}s"


def route(picture: Callable[[], Picture]) -> Route:
    """The page at `/`."""

    async def answer(_request: Request) -> Response:
        try:
            shown = await anyio.to_thread.run_sync(picture)
        except StoreFailed as error:
            return HTMLResponse(f"<!doctype html><p>{escape(str(error))}", 503)
        return HTMLResponse(page(shown), headers={"Cache-Control": "no-store"})

    return Route("/", answer)
