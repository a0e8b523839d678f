"""The demo's platform on servers that somebody else runs: `python -m demo.elsewhere --postgres URL --redis URL`.

For deploy/compose.yaml. Its tables are created once; what only this machine could see, the API, the mail server and
the blocklists, is left out of the story.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import psycopg
from rich.console import Console

from chassis.units import parse_duration
from demo.outside import Outside
from demo.platform import DATABASE, Platform, create_layout
from demo.process import ServerError
from demo.story import SCENES, Story

NOT_SEEN = ("services", "listing")


@dataclass(frozen=True)
class Somewhere:
    """A PostgreSQL by the URL of its superuser."""

    base: str

    def url(self, database: str = "postgres") -> str:
        """As `demo.platform.Database` has it."""
        return urlunsplit(urlsplit(self.base)._replace(path=f"/{database}"))


@dataclass(frozen=True)
class Lists:
    """A Redis by its URL."""

    url: str


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0 as wished, 1 if something failed."""
    parser = argparse.ArgumentParser("python -m demo.elsewhere", description=__doc__)
    parser.add_argument(
        "--postgres", required=True, metavar="URL", help="of a superuser, with pg_stat_statements loaded"
    )
    parser.add_argument("--redis", required=True, metavar="URL")
    parser.add_argument("--duration", type=parse_duration, metavar="TIME", help="end by itself after e.g. 90s, 5m")
    options = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console(force_terminal=False)
    try:
        _live(Somewhere(options.postgres), Lists(options.redis), console, options.duration)
    except (ServerError, psycopg.Error) as error:
        sys.stderr.write(f"demo: {error}\n")
        return 1
    except KeyboardInterrupt:
        pass
    return 0


def _live(postgres: Somewhere, store: Lists, console: Console, duration: float | None) -> None:
    if not _is_there(postgres):
        create_layout(postgres)
    end = None if duration is None else time.monotonic() + duration
    scenes = [scene for scene in SCENES if scene.name not in NOT_SEEN]
    with Outside() as outside, Platform(postgres, store, outside) as platform:
        platform.live_as_ever()
        with contextlib.closing(Story(platform, scenes)) as story:
            while end is None or time.monotonic() < end:
                if platform.problem:
                    raise ServerError(platform.problem)
                if story.tick():
                    console.print(
                        f"{story.scene.title}: {story.beat.look}", highlight=False, markup=False, soft_wrap=True
                    )
                platform.trouble.wait(0.25)


def _is_there(postgres: Somewhere) -> bool:
    with psycopg.connect(postgres.url(), autocommit=True) as admin:
        return admin.execute("select from pg_database where datname = %s", [DATABASE]).fetchone() is not None


if __name__ == "__main__":
    sys.exit(main())
