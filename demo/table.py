"""The queues as the exporter shows them, for a person: a live table, or plain lines."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from demo.people import Line
from demo.queues import QUEUES, Queue
from demo.scrape import Scrape
from demo.story import Story

_WINDOW = 15.0  # seconds over which a rate is taken
_MESSAGES = 6  # that are shown


@dataclass(frozen=True)
class Row:
    """One queue; None where the exporter says nothing (yet)."""

    queue: Queue
    depth: float | None
    active: float | None
    oldest: float | None  # seconds that the oldest waiting job waits
    per_second: float | None  # jobs that ended
    drain: float | None  # seconds until the queue is empty at that rate; infinite if nothing ends
    failed: float | None
    drift: float | None
    stuck: float | None
    level: str  # ok, warning or critical, by depth


def make_rows(history: Sequence[Scrape]) -> list[Row]:
    """The newest scrape, with rates over the whole of `history` (oldest first)."""
    first, last = history[0], history[-1]
    return [_row(queue, first, last) for queue in QUEUES]


def _row(queue: Queue, first: Scrape, last: Scrape) -> Row:
    labels = {"queue": queue.name, "priority": queue.level}
    depth = last.value("postwatch_queue_depth", **labels)
    since = last.value("postwatch_queue_oldest_waiting_timestamp_seconds", **labels)
    ended = [look.value("postwatch_queue_jobs_finished_total", **labels) for look in (first, last)]
    rate = None
    if ended[0] is not None and ended[1] is not None and last.at > first.at:
        rate = (ended[1] - ended[0]) / (last.at - first.at)
    drain = None
    if depth is not None and rate is not None:
        drain = 0.0 if not depth else depth / rate if rate else float("inf")
    level = "ok"
    for name in ("warning", "critical"):
        threshold = last.value("postwatch_queue_depth_threshold", level=name, **labels)
        if depth is not None and threshold is not None and depth >= threshold:
            level = name
    return Row(
        queue,
        depth,
        active=last.value("postwatch_queue_jobs", state="active", **labels),
        oldest=None if since is None else max(0.0, last.at - since),
        per_second=rate,
        drain=drain,
        failed=last.value("postwatch_queue_jobs_finished_total", outcome="failed", **labels),
        drift=last.value("postwatch_queue_drift_jobs", **labels),
        stuck=last.value("postwatch_queue_stuck_jobs", **labels),
        level=level,
    )


COLUMNS = (
    "queue",
    "priority",
    "depth",
    "active",
    "oldest",
    "ended/s",
    "drained",
    "failed",
    "drift",
    "stuck",
)


def cells(row: Row) -> tuple[str, ...]:
    return (
        row.queue.name,
        row.queue.level,
        _count(row.depth),
        _count(row.active),
        _time(row.oldest),
        "·" if row.per_second is None else f"{row.per_second:.1f}",
        _time(row.drain),
        _count(row.failed),
        _count(row.drift),
        _count(row.stuck),
    )


def workers_line(last: Scrape) -> str:
    """How many workers there are, by state."""
    states = [(labels["state"], value) for labels, value in last.each("postwatch_workers")]
    if not states:
        return "workers: not seen yet"
    expected = last.value("postwatch_workers_expected")
    healthy = last.value("postwatch_workers_healthy")
    told = ", ".join(f"{value:.0f} {state}" for state, value in states if value or state == "active")
    dead_letters = _count(last.value("postwatch_queue_dead_letters"))
    health = f"{_count(healthy)} healthy of {_count(expected)} expected"
    return f"workers: {told}; {health} · dead letters: {dead_letters}"


def outside_line(last: Scrape) -> str:
    """Services by state, the worst first, and addresses on blocklists."""
    states: dict[str, list[str]] = {"down": [], "degraded": [], "healthy": []}
    for labels, value in last.each("postwatch_service_state"):
        if value:
            states[labels["state"]].append(labels["target"])
    told = "; ".join(f"{state}: {', '.join(names)}" for state, names in states.items() if names)
    listed = [
        f"{labels['ip']} on {labels['blocklist']}" for labels, value in last.each("postwatch_dnsbl_listed") if value
    ]
    return f"services {told or 'not seen yet'} · listed: {', '.join(listed) or 'none'}"


class Board:
    """Keeps the last scrapes and draws them."""

    def __init__(self) -> None:
        self._history: deque[Scrape] = deque()
        self._told: deque[Line] = deque(maxlen=_MESSAGES)

    def tell(self, lines: Sequence[Line]) -> None:
        """Who would have been sent something, and what."""
        self._told.extend(lines)

    def add(self, look: Scrape) -> None:
        self._history.append(look)
        while self._history[0].at < look.at - _WINDOW:
            self._history.popleft()

    def plain(self) -> list[str]:
        if not self._history:
            return []
        lines = [COLUMNS, *(cells(row) for row in make_rows(self._history))]
        widths = [max(len(line[n]) for line in lines) for n in range(len(COLUMNS))]
        table = [
            "  ".join(
                cell.ljust(width) if n < 2 else cell.rjust(width)
                for n, (cell, width) in enumerate(zip(line, widths, strict=True))
            )
            for line in lines
        ]
        return [*table, workers_line(self._history[-1]), outside_line(self._history[-1])]

    def drawn(self, story: Story, links: str) -> RenderableType:
        look = Text.assemble(story.beat.look, "\n", (story.beat.metric, "bold cyan"))
        scene = Panel(
            look,
            title=f"{story.scene.title} ({story.scene.name})",
            subtitle=f"{story.left:.0f} s",
            title_align="left",
        )
        if not self._history:
            return Group(scene, Text("no metrics yet", style="dim"), Text(links, style="dim"))
        table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
        for number, column in enumerate(COLUMNS):
            table.add_column(column, justify="left" if number < 2 else "right", no_wrap=number > 0)
        for row in make_rows(self._history):
            styles = {"ok": "green", "warning": "yellow", "critical": "bold red"}
            texts = [Text(cell) for cell in cells(row)]
            texts[2].stylize(styles[row.level])
            for number, value in ((8, row.drift), (9, row.stuck)):
                texts[number].stylize("bold red" if value else "dim")
            table.add_row(*texts)
        last = self._history[-1]
        return Group(
            scene,
            table,
            Text(workers_line(last)),
            Text(outside_line(last)),
            self._messages(),
            Text(links, style="dim"),
        )

    def _messages(self) -> RenderableType:
        table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim", expand=True)
        table.add_column("at", no_wrap=True)
        table.add_column("would be told", no_wrap=True)
        table.add_column("the latest first", no_wrap=True, overflow="ellipsis", ratio=1)
        for line in reversed(self._told):
            moment = datetime.fromtimestamp(line.at).astimezone().strftime("%H:%M:%S")
            table.add_row(moment, line.whom, Text(line.what))
        if not self._told:
            table.add_row("", "nobody yet", "")
        return table


def _count(value: float | None) -> str:
    return "·" if value is None else f"{value:,.0f}"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "·"
    if seconds == float("inf"):
        return "never"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
