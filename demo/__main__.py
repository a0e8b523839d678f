"""The command `postwatch-demo`."""

import argparse
import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from rich.console import Console

from chassis.units import parse_duration
from demo.alarms import Progress
from demo.check import CHECK_PACE, check
from demo.platform import Platform
from demo.process import ServerError
from demo.show import explain, play
from demo.stage import DEFAULT_PORT, Pace, set_up
from demo.story import SCENES, Story

_ABOUT = """\
A living email platform on this machine, watched by Postwatch.

Starts PostgreSQL and Valkey (which speaks Redis' protocol) from Python wheels on free ports, creates the
platform's queue tables (its own, pgmq's and pg-boss'), sets producers, a migrator and three workers to work,
adds an API, a mail server and blocklists of its own, and starts the exporter. Prometheus and Alertmanager, where
they are installed, and the alerter turn its figures into messages to stand-ins: it shows who would be told of what.
Then it tells a story and says what to look at and where. Ctrl-C ends all of it and removes its folder.
"""
_EXAMPLES = f"""\
scenes, played in a loop:
{chr(10).join(f"  {scene.name:<14}{scene.title}" for scene in SCENES)}

examples:
  postwatch-demo                          until Ctrl-C
  postwatch-demo --scene expiry           again and again the list that expires
  postwatch-demo --duration 5m --no-tty   plain lines, for a log
  postwatch-demo --keep --folder ./look   leaves configuration, logs and data behind
  postwatch-demo --check                  proves figures and messages against the truth; exit code 0 or 1
"""


def main() -> None:
    sys.exit(run(sys.argv[1:]))


def run(argv: list[str]) -> int:
    """The exit code: 0 as wished, 1 if something failed, 2 for a mistake on the command line."""
    options = _arguments(argv)
    # SIGINT too: it is ignored in what a script has started in the background.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    live = sys.stdout.isatty() and not options.no_tty
    console = Console(force_terminal=None if live else False)
    try:
        return _demo(options, console, live=live)
    except ServerError as error:
        print(f"postwatch-demo: {error}", file=sys.stderr)  # noqa: T201 — a command line's way to complain
        return 1
    except KeyboardInterrupt:
        with contextlib.suppress(BrokenPipeError):
            console.print("Ended: nothing is left running.")
        return 0
    except BrokenPipeError:
        # Whoever read our output has gone, as `head` does; keep Python from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _demo(options: argparse.Namespace, console: Console, *, live: bool) -> int:
    began = time.monotonic()
    progress = _progress(console, live=live)
    with set_up(
        progress,
        folder=options.folder,
        keep=options.keep,
        port=options.port,
        exporter=not options.no_exporter,
        pace=CHECK_PACE if options.check else Pace(),
    ) as stage:
        if options.check:
            stage.start_alarms(progress)
            return check(stage, console)
        with Platform(stage.postgres, stage.store, stage.outside) as platform:
            platform.live_as_ever()
            stage.start_alarms(progress)  # that nobody worked before is no news
            console.print(f"Up in {time.monotonic() - began:.1f} s. Look at:", highlight=False)
            explain(console, stage)
            scenes = [scene for scene in SCENES if options.scene in (None, scene.name)]
            with contextlib.closing(Story(platform, scenes)) as story:
                play(stage, platform, story, console, duration=options.duration, live=live)
    console.print("Ended: nothing is left running.")
    return 0


def _progress(console: Console, *, live: bool) -> Progress:
    @contextlib.contextmanager
    def step(what: str) -> Iterator[None]:
        began = time.monotonic()
        shown: AbstractContextManager[object] = contextlib.nullcontext()
        if live:
            shown = console.status(f"{what} …")
        else:
            console.print(f"{what} …", highlight=False, soft_wrap=True)
        with shown:
            yield
        if live:
            console.print(f"✓ {what} ({time.monotonic() - began:.1f} s)", highlight=False)

    return step


def _arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "postwatch-demo",
        description=_ABOUT,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--duration", type=_duration, metavar="TIME", help="end by itself after e.g. 90s, 5m")
    parser.add_argument(
        "--scene", choices=[scene.name for scene in SCENES], help="play only this scene, again and again"
    )
    parser.add_argument("--no-tty", action="store_true", help="plain lines instead of a live table")
    parser.add_argument(
        "--port",
        type=_port,
        help=f"the exporter's port (default: {DEFAULT_PORT}, or a free one if it is taken)",
    )
    parser.add_argument("--folder", type=Path, help="an empty or new folder for all data (default: a temporary one)")
    parser.add_argument("--keep", action="store_true", help="do not remove the folder at the end")
    parser.add_argument(
        "--no-exporter", action="store_true", help="start neither exporter nor what tells of its figures: run your own"
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="one quick loop; compares /metrics with the truth, and looks who was told: exit 0 or 1",
    )
    options = parser.parse_args(argv)
    if options.check and options.no_exporter:
        parser.error("--check is about the exporter's figures: leave out --no-exporter")
    return options


def _duration(text: str) -> float:
    try:
        return parse_duration(f"{text}s" if text.isdecimal() else text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"'{text}' is no port; write one from 1 to 65535")
    return int(text)


if __name__ == "__main__":
    main()
