"""The page at `/`: what is wrong first, then receivers, what fires, deliveries, dead letters. Plain HTML, no script."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from importlib.resources import files
from typing import Any

import anyio
from sqlalchemy.engine import Row
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from alerter.delivery.circuit import State
from alerter.messages.clean import line, link
from alerter.model import Severity
from alerter.outbox.overview import Backlog
from alerter.store.engine import StoreFailed
from chassis.units import format_age

MOST = 50  # alerts that are named
RENEWED = 15  # seconds after which a browser asks for the page again
LATE = 60.0  # seconds that a delivery may wait before it is said
STYLE = files(__package__).joinpath("landing.css").read_text(encoding="utf-8")
_CODE = re.compile("`([^`]+)`")
_STATES = {State.OK: "good", State.THROTTLED: "warn", State.OPEN: "bad"}
_ENDS = {"accepted": "good", "dead": "bad", "pending": "warn"}
_SEVERITIES = {"critical": "bad", "warning": "warn"}


@dataclass(frozen=True)
class Post:
    """A receiver as it stands. `since` in seconds since the epoch: nothing has got through from then on."""

    name: str
    kind: str
    state: State
    error: str
    since: float | None = None
    refuses: bool = False


@dataclass(frozen=True)
class Picture:
    """What the page shows. `now` and `watchdog_at` (0: never) in seconds since the epoch, the others in seconds."""

    version: str
    now: float
    up: float
    posts: tuple[Post, ...]
    backlog: Mapping[str, Backlog]
    last: Sequence[Row[Any]]
    dead: Sequence[Row[Any]]
    firing: Sequence[Row[Any]]  # MOST at most, and one more if there are more
    watchdog_at: float = 0.0
    watchdog_every: float | None = None
    refused: bool = False  # the configuration file as it is now
    storage: str = ""
    deaf: str = ""  # why nothing can be taken in; empty while it can


def page(picture: Picture) -> str:
    """The page as HTML."""
    firing = sorted(picture.firing[:MOST], key=lambda row: (Severity(row.severity).rank, -row.id))
    troubles = list(_troubles(picture))
    title = f"{len(troubles)} to see to" if troubles else "all is well"
    return "".join(
        (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            f"<title>{title}: Postwatch alerter</title>",
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<meta http-equiv="refresh" content="{RENEWED}"><style>{STYLE}</style></head><body>',
            f"<h1>Postwatch alerter {escape(picture.version)}</h1>",
            f'<p class="quiet">{_moment(picture.now)} · up for {format_age(picture.up)} · ',
            f"{escape(picture.storage)}</p>",
            f"<ul>{''.join(troubles)}</ul>" if troubles else _well(picture),
            '<p><a href="/api/v1/alerts">feed</a> · <a href="/metrics">metrics</a> · <a href="/readyz">ready</a></p>',
            _table(
                f"Firing: {_count(picture)}",
                ("severity", "service", "message", "#since", "acknowledged", "what to do", "#id"),
                (_alert(row, picture.now) for row in firing),
                "Nothing fires.",
                _HOW if firing else "",
            ),
            _table(
                "Receivers",
                ("receiver", "kind", "state", "#waiting", "#oldest", "#dead letters", "last error"),
                (_receiver(picture, post) for post in picture.posts),
                "Nobody is told: name your receivers under <code>receivers</code> in the configuration.",
            ),
            _table("Last deliveries", _DELIVERY, (_delivery(row, picture.now) for row in picture.last), "None yet."),
            _table("Dead letters", _DELIVERY, (_delivery(row, picture.now) for row in picture.dead), "None."),
            "</body></html>",
        )
    )


_HOW = (
    "Somebody sees to one? <code>POST /api/v1/alerts/ID/ack</code> stops repeats and escalation, and shows it to all"
    " who were told; so does whoever acknowledges in PagerDuty, where its webhook is set up."
)
_DELIVERY = ("receiver", "action", "state", "#tries", "#ago", "message", "error", "#id")


def _troubles(picture: Picture) -> Iterator[str]:
    """What somebody has to see to, the worst first."""
    if picture.deaf:
        yield _trouble("bad", "webhooks are answered 503", picture.deaf)
    for post in picture.posts:
        if post.state is State.OPEN:
            what = "refuses us until somebody acts" if post.refuses else "cannot be reached"
            since = "" if post.since is None else f", for {format_age(picture.now - post.since)}"
            yield _trouble("bad", f"{post.name} {what}{since}", post.error)
    if picture.watchdog_every is not None:
        ago = picture.now - picture.watchdog_at
        if not picture.watchdog_at and picture.up > picture.watchdog_every:
            yield _trouble("bad", "no watchdog has ever arrived", "look at Prometheus and Alertmanager")
        elif picture.watchdog_at and ago > picture.watchdog_every:
            yield _trouble("bad", f"no watchdog for {format_age(ago)}", "look at Prometheus and Alertmanager")
    for name, backlog in picture.backlog.items():
        if name not in {post.name for post in picture.posts} and backlog.pending:
            yield _trouble("bad", f"{backlog.pending:,} wait for {name}", "no receiver has this name any more")
        elif backlog.oldest is not None and picture.now - backlog.oldest > LATE:
            yield _trouble(
                "warn", f"{name} is late", f"the oldest waits for {format_age(picture.now - backlog.oldest)}"
            )
    if dead := sum(backlog.dead for backlog in picture.backlog.values()):
        advice = "read them below; once the cause is mended, `postwatch-alerter retry --all` plays them again"
        yield _trouble("warn", f"{dead:,} dead letter{'s' if dead > 1 else ''}", advice)
    if picture.refused:
        advice = "the log names its mistakes, and so does `postwatch-alerter check`"
        yield _trouble("warn", "the configuration file was refused, the earlier one is in use", advice)


def _trouble(style: str, what: str, more: str) -> str:
    words = _CODE.sub(r"<code>\1</code>", escape(more))
    return f'<li class="{style}">{escape(what)}<span>{": " if more else ""}{words}</span>'


def _well(picture: Picture) -> str:
    if not picture.posts:
        return '<p class="warn">nobody is told</p>'
    count = len(picture.posts)
    return f'<p class="good">all is well: {count} receiver{"s" if count > 1 else ""}, none in trouble</p>'


def _count(picture: Picture) -> str:
    return f"more than {MOST}" if len(picture.firing) > MOST else str(len(picture.firing))


def _table(title: str, columns: tuple[str, ...], lines: Iterable[str], empty: str, below: str = "") -> str:
    body = "".join(lines)
    if not body:
        return f"<h2>{title}</h2><p>{empty}</p>"
    heads = "".join(f"<th{' class=n' if c.startswith('#') else ''}>{escape(c.removeprefix('#'))}" for c in columns)
    more = f'<p class="quiet">{below}</p>' if below else ""
    return f"<h2>{title}</h2><table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>{more}"


def _cell(text: object, style: str = "", of: str = "") -> str:
    """`of` says on a small screen, where there are no headings, what it is."""
    marks = (f' class="{style}"' if style else "") + (f' data-of="{of}"' if of else "")
    return f"<td{marks}>{escape(line(str(text)))}"


def _receiver(picture: Picture, post: Post) -> str:
    backlog = picture.backlog.get(post.name, Backlog(0, None, 0))
    oldest = "" if backlog.oldest is None else format_age(picture.now - backlog.oldest)
    return "".join(
        (
            f"<tr>{_cell(post.name)}{_cell(post.kind, 'quiet')}{_cell(post.state, _STATES[post.state])}",
            _cell(f"{backlog.pending:,}", "n", "waiting"),
            _cell(oldest, "n", "oldest"),
            _cell(f"{backlog.dead:,}", "n bad" if backlog.dead else "n", "dead"),
            _cell(post.error, "wide"),
        )
    )


def _alert(row: Row[Any], now: float) -> str:
    annotations = json.loads(row.annotations)
    urls = {name: link(str(annotations.get(f"{name}_url", ""))) for name in ("runbook", "dashboard")}
    links = " ".join(f'<a href="{escape(url)}" rel="noreferrer">{name}</a>' for name, url in urls.items() if url)
    return "".join(
        (
            f"<tr>{_cell(row.severity, _SEVERITIES.get(row.severity, ''))}{_cell(row.service)}",
            _cell(row.message[:300], "wide"),
            _cell(format_age(now - row.starts_at), "n", "since"),
            _cell(row.acknowledged_by, of="acknowledged by"),
            f"<td>{links}{_cell(row.id, 'n', 'id')}",
        )
    )


def _delivery(row: Row[Any], now: float) -> str:
    action = " ".join((row.action, *(f"({mark})" for mark in row.marks.split(",") if mark)))
    return "".join(
        (
            f"<tr>{_cell(row.receiver)}{_cell(action)}{_cell(row.state, _ENDS.get(row.state, 'quiet'))}",
            _cell(row.attempts, "n", "tries"),
            _cell(format_age(now - (row.finished_at or row.created_at)), "n", "ago"),
            f"{_cell(row.message[:200], 'wide')}{_cell(row.error)}{_cell(row.id, 'n', 'id')}",
        )
    )


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def route(picture: Callable[[], Picture]) -> Route:
    """The page at `/`."""

    async def answer(_request: Request) -> Response:
        try:
            shown = await anyio.to_thread.run_sync(picture)
        except StoreFailed as error:
            return HTMLResponse(f"<!doctype html><p>{escape(str(error))}", 503)
        return HTMLResponse(page(shown), headers={"Cache-Control": "no-store"})

    return Route("/", answer)
