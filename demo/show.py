"""Plays the story and shows it, until its time is over."""

import contextlib
import time
from collections.abc import Iterator
from datetime import datetime

from rich.console import Console
from rich.live import Live

from demo.platform import Platform
from demo.process import ServerError
from demo.scrape import NoMetrics, scrape
from demo.stage import Stage
from demo.story import Story
from demo.table import Board

_LOOK_EVERY = 1.0
_PRINT_EVERY = 5.0


def explain(console: Console, stage: Stage) -> None:
    """What there is to look at, and where."""
    lines = [
        ("queues, workers, the exporter itself", f"{stage.url}/metrics"),
        ("what it samples, and how that goes", f"{stage.url}/"),
        ("health as JSON", f"{stage.url}/health"),
        ("its configuration", str(stage.config)),
        ("its log", str(stage.log)),
        *(() if stage.alarms is None else stage.alarms.links()),
        ("the platform's database", f"psql {stage.postgres.url('mail')}"),
        ("the platform's lists", f"redis-cli -p {stage.store.port}"),
    ]
    for what, where in lines:
        console.print(f"  {what:<38}{where}", highlight=False, soft_wrap=True)
    console.print(f'  try: curl -s "{stage.url}/metrics" | grep queue_depth', highlight=False, soft_wrap=True)
    if stage.alarms is not None:
        console.print(stage.alarms.remark, highlight=False, soft_wrap=True)


def play(
    stage: Stage, platform: Platform, story: Story, console: Console, *, duration: float | None, live: bool
) -> None:
    """Raises ServerError with a sentence if a part of the demo fails."""
    board = Board()
    links = f"{stage.url}/  {stage.url}/metrics  {stage.url}/health    Ctrl-C ends it all"
    end = None if duration is None else time.monotonic() + duration
    next_look = next_print = 0.0
    with _screen(board, story, links, console, live=live) as screen:
        _tell(console, story, live=live)
        while end is None or time.monotonic() < end:
            problem = platform.problem or stage.problem()
            if problem:
                raise ServerError(problem)
            if story.tick():
                _tell(console, story, live=live)
            now = time.monotonic()
            if stage.exporter is not None and now >= next_look:
                next_look = now + _LOOK_EVERY
                with contextlib.suppress(NoMetrics):  # stage.problem tells if the exporter has ended
                    board.add(scrape(stage.url))
            told = [] if stage.alarms is None else stage.alarms.people.look()
            board.tell(told)
            if screen is not None:
                screen.update(board.drawn(story, links), refresh=True)
            else:
                lines = [f"would be told: {line.whom}: {line.what}" for line in told]
                if now >= next_print:
                    next_print = now + _PRINT_EVERY
                    lines += board.plain()
                for line in lines:
                    console.print(line, highlight=False, markup=False, soft_wrap=True)
            platform.trouble.wait(0.25)


@contextlib.contextmanager
def _screen(board: Board, story: Story, links: str, console: Console, *, live: bool) -> Iterator[Live | None]:
    if not live:
        yield None
        return
    with Live(board.drawn(story, links), console=console, auto_refresh=False) as screen:
        yield screen


def _tell(console: Console, story: Story, *, live: bool) -> None:
    if live:
        return  # the panel above the table says it
    moment = datetime.now().astimezone().strftime("%H:%M:%S")
    text = f"\n[{moment}] {story.scene.title}: {story.beat.look}\n           look at: {story.beat.metric}"
    console.print(text, highlight=False, markup=False, soft_wrap=True)
