"""The page at `/`: what is watched, and how each sampler is doing. Plain HTML, readable on a phone, no script."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from html import escape
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from chassis.units import format_age, format_duration
from exporter.parts import Level, Line, Table, tables
from exporter.queues.base import QueueRow, QueueSource
from exporter.sampling.outcome import Outcome
from exporter.web.health import Picture

RENEWED = 15  # seconds after which a browser asks for the page again
STYLE = files(__package__).joinpath("landing.css").read_text(encoding="utf-8")
LEVELS = {Level.GOOD: "good", Level.UNKNOWN: "warn", Level.WARNING: "warn", Level.BAD: "bad"}
FIGURES = ("waiting", "oldest", "active", "scheduled", "failed", "in Redis")


def page(picture: Picture) -> str:
    """The page as HTML."""
    now = picture.clock.now()
    outcomes = sorted(picture.outcomes.values(), key=lambda o: (o.up is not False, o.source, o.kind))
    moment = datetime.fromtimestamp(now, UTC)
    up = format_age(picture.clock.monotonic() - picture.started)
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Postwatch exporter</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="refresh" content="{RENEWED}"><style>{STYLE}</style></head><body>'
        f"<h1>Postwatch exporter {escape(picture.version)}</h1>",
        f"<p>{_summary(outcomes)} · {moment:%H:%M:%S} UTC, renewed every {RENEWED} s · up for {up}</p>",
        '<p><a href="/metrics">metrics</a> · <a href="/health">health</a> · <a href="/readyz">ready</a></p>',
        _failures(outcomes),
    ]
    if not picture.sources and not picture.parts:
        parts.append("<p>Nothing is watched: name your sources under <code>queues</code> in the configuration.</p>")
    parts += [_source(source) for source in picture.sources]
    parts += map(_part, tables(picture.parts))
    parts.append(
        '<h2>Samplers</h2><table><thead><tr><th>sampler<th>state<th class="n">last run<th class="n">took'
        '<th class="n">interval<th class="n">next</tr></thead><tbody>'
        f"{''.join(_sampler(outcome, now) for outcome in outcomes)}</tbody></table></body></html>"
    )
    return "".join(parts)


def _summary(outcomes: list[Outcome]) -> str:
    failing = sum(o.up is False for o in outcomes)
    waiting = sum(o.up is None for o in outcomes)
    if failing:
        return f'<span class="bad">{failing} of {len(outcomes)} samplers fail</span>'
    if waiting:
        return f'<span class="warn">{waiting} of {len(outcomes)} samplers have not run yet</span>'
    return f'<span class="good">all {len(outcomes)} samplers are well</span>'


def _failures(outcomes: Iterable[Outcome]) -> str:
    """Each thing that fails once, with all the samplers that it keeps from their work."""
    found: dict[tuple[str, str], list[str]] = {}
    for outcome in outcomes:
        if outcome.up is False:
            found.setdefault((outcome.source, outcome.error), []).append(outcome.kind)
    return "".join(
        f'<p class="failure"><b>{escape(source)}: {escape(", ".join(kinds))}</b><br>{escape(error)}</p>'
        for (source, error), kinds in found.items()
    )


def _source(source: QueueSource) -> str:
    now = source.sampled_at()
    rows = "".join(_queue(source, row, now) for row in source.queues())
    headings = "".join(f'<th class="n">{name}' for name in FIGURES)
    workers = ""
    if source.health.workers:
        states = ", ".join(f"{count} {state}" for state, count in source.health.workers.items() if count)
        workers = f"<br>workers: {states or 'none'}"
    table = f"<table><thead><tr><th>queue{headings}<th>state</tr></thead><tbody>{rows}</tbody></table>"
    return (
        f"<h2>{escape(source.context.name)} ({escape(source.kind)})</h2>"
        f"<p>{escape(source.context.database.safe_url)}{workers}</p>"
        f"{table if rows else '<p>No queues are known yet.</p>'}"
    )


def _part(table: Table) -> str:
    headings = "".join(f"<th{_side(column)}>{escape(column.removeprefix('#'))}" for column in table.columns)
    rows = "".join(_line(table.columns, line) for line in table.lines)
    return (
        f"<h2>{escape(table.title)}</h2><table><thead><tr>{headings}<th>state</tr></thead><tbody>{rows}</tbody></table>"
    )


def _line(columns: tuple[str, ...], line: Line) -> str:
    cells = "".join(
        f'<td{_side(column)} data-of="{escape(column.removeprefix("#"))}">{escape(cell)}'
        for column, cell in zip(columns, line.cells, strict=True)
    )
    return f'<tr>{cells}<td class="state {LEVELS[line.level]}">{escape(line.word)}</tr>'


def _side(column: str) -> str:
    return ' class="n"' if column.startswith("#") else ' class="name"'


def _queue(source: QueueSource, row: QueueRow, now: float) -> str:
    word, standing = row.standing(source.targets.of(row.key).thresholds)
    age = ""
    if row.waiting and row.oldest_waiting is not None:
        age = format_age(max(now - row.oldest_waiting, 0))
    counts = (row.active, row.scheduled, row.failed, row.redis_length)
    cells = "".join(
        f'<td class="n" data-of="{name}">{value}'
        for name, value in zip(FIGURES, (_count(row.waiting), age, *map(_count, counts)), strict=True)
    )
    paused = ' <span class="paused">paused</span>' if row.paused else ""
    name = escape(row.key.full_name.removeprefix("queue:"))
    return f'<tr><td class="name">{name}{cells}<td class="state {LEVELS[standing]}">{word}{paused}</tr>'


def _sampler(outcome: Outcome, now: float) -> str:
    level, word = {True: ("good", "well"), False: ("bad", "fails"), None: ("warn", "waits")}[outcome.up]
    took = "" if outcome.last_duration is None else f"{outcome.last_duration * 1000:.1f} ms"
    soon = "" if outcome.next_run is None else f"in {format_age(max(outcome.next_run - now, 0))}"
    last = "" if outcome.last_start is None else f"{format_age(max(now - outcome.last_start, 0))} ago"
    return (
        f'<tr><td class="name">{escape(" / ".join(filter(None, (outcome.source, outcome.kind))))}'
        f'<td class="state {level}">{word}<td class="n" data-of="last run">{last}<td class="n" data-of="took">{took}'
        f'<td class="n" data-of="interval">{format_duration(round(outcome.interval, int(outcome.interval < 10)))}'
        f'<td class="n" data-of="next">{soon}</tr>'
    )


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def route(picture: Callable[[], Picture]) -> Route:
    """The page at `/`."""

    async def answer(_request: Request) -> Response:
        return HTMLResponse(page(picture()), headers={"Cache-Control": "no-store"})

    return Route("/", answer)
