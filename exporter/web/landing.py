"""The page at `/`: what is watched, and how each sampler is doing. Plain HTML, readable on a phone, no script."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from chassis.units import format_duration
from exporter.queues.base import QueueRow, QueueSource
from exporter.sampling.outcome import Outcome
from exporter.web.health import Picture

STYLE = """
:root { color-scheme: light dark; --line: #8884; --good: #1a7f37; --bad: #cf222e; --warn: #9a6700; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 72rem; padding: 1rem; }
h1 { font-size: 1.4rem; margin: 0 } h2 { font-size: 1.1rem; margin: 1.6rem 0 .4rem }
p { margin: .3rem 0 } a { color: inherit }
.scroll { overflow-x: auto }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); white-space: nowrap }
td.n, th.n { text-align: right } td.wrap { white-space: normal; min-width: 14rem }
.good { color: var(--good) } .bad { color: var(--bad); font-weight: 600 } .warn { color: var(--warn) }
@media (prefers-color-scheme: dark) { :root { --good: #3fb950; --bad: #ff7b72; --warn: #d29922 } }
"""


def page(picture: Picture) -> str:
    """The page as HTML."""
    now = picture.clock.now()
    outcomes = sorted(picture.outcomes.values(), key=lambda o: (o.up is not False, o.source, o.kind))
    failing = sum(o.up is False for o in outcomes)
    waiting = sum(o.up is None for o in outcomes)
    if failing:
        summary = f'<span class="bad">{failing} of {len(outcomes)} samplers fail</span>'
    elif waiting:
        summary = f'<span class="warn">{waiting} of {len(outcomes)} samplers have not run yet</span>'
    else:
        summary = f'<span class="good">all {len(outcomes)} samplers are well</span>'
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Postwatch exporter</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style></head><body><h1>Postwatch exporter {escape(picture.version)}</h1>",
        f"<p>{summary} · up for {format_duration(round(picture.clock.monotonic() - picture.started))}</p>",
        '<p><a href="/metrics">metrics</a> · <a href="/health">health</a> · <a href="/readyz">ready</a></p>',
    ]
    parts += [_queues(source, now) for source in picture.sources]
    rows = "".join(_sampler(outcome, now) for outcome in outcomes)
    parts.append(
        '<h2>Samplers</h2><div class="scroll"><table><tr><th>source<th>sampler<th>state'
        '<th class="n">last run<th class="n">took<th class="n">interval<th class="n">next<th>error</tr>'
        f"{rows}</table></div></body></html>"
    )
    return "".join(parts)


def _queues(source: QueueSource, now: float) -> str:
    rows = "".join(_queue(source, row, now) for row in source.queues())
    return (
        f"<h2>Queues of {escape(source.context.name)} ({escape(source.kind)})</h2>"
        f"<p>{escape(source.context.database.safe_url)}</p>"
        '<div class="scroll"><table><tr><th>queue<th class="n">waiting<th class="n">oldest<th class="n">active'
        f'<th class="n">scheduled<th class="n">failed<th class="n">in Redis<th></tr>{rows}</table></div>'
    )


def _queue(source: QueueSource, row: QueueRow, now: float) -> str:
    limits = source.targets.of(row.key).thresholds
    level = ""
    if row.waiting is not None:
        level = "bad" if row.waiting > limits.depth_critical else "warn" if row.waiting > limits.depth_warning else ""
    word = {"bad": "critical", "warn": "warning"}.get(level, "")
    state = " · ".join(filter(None, (word, "paused" if row.paused else "")))
    age = _ago(row.oldest_waiting, now) if row.waiting else ""
    return (
        f'<tr><td>{escape(row.key.full_name)}<td class="n {level}">{_count(row.waiting)}<td class="n">{age}'
        f'<td class="n">{_count(row.active)}<td class="n">{_count(row.scheduled)}<td class="n">{_count(row.failed)}'
        f'<td class="n">{_count(row.redis_length)}<td class="{level}">{state}</tr>'
    )


def _sampler(outcome: Outcome, now: float) -> str:
    state = {True: '<td class="good">well', False: '<td class="bad">fails', None: '<td class="warn">waits'}[outcome.up]
    took = "" if outcome.last_duration is None else f"{outcome.last_duration * 1000:.1f} ms"
    soon = "" if outcome.next_run is None else f"in {max(outcome.next_run - now, 0):.0f} s"
    return (
        f"<tr><td>{escape(outcome.source)}<td>{escape(outcome.kind)}{state}"
        f'<td class="n">{_ago(outcome.last_start, now)}<td class="n">{took}'
        f'<td class="n">{outcome.interval:.4g} s<td class="n">{soon}<td class="wrap">{escape(outcome.error)}</tr>'
    )


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _ago(moment: float | None, now: float) -> str:
    return "" if moment is None else f"{format_duration(max(round(now - moment), 0))} ago"


def route(picture: Callable[[], Picture]) -> Route:
    """The page at `/`."""

    async def answer(_request: Request) -> Response:
        return HTMLResponse(page(picture()), headers={"Cache-Control": "no-store"})

    return Route("/", answer)
