"""Samples again and again as fast as it goes, and tells how its memory grows: run as a process of its own."""

import json
import sys

import psutil
import yaml

from chassis.board import Board
from chassis.clock import SystemClock
from chassis.exposition import Format
from chassis.settings import parse
from exporter.app import Watch
from exporter.catalogue import CATALOGUE
from exporter.queues.reading import samplers
from exporter.settings import ExporterSettings


def main(url: str, samples: int) -> None:
    """Writes resident bytes by samples taken, as JSON."""
    samplers.RECENT_LOOK = 0.0  # else a look so soon after another one is left out
    source = {"name": "mail", "kind": "hybrid", "postgres": url, "schema": "penguinmails", "interval": "1s"}
    settings = parse(yaml.safe_dump({"queues": [{**source, "budget": "100%"}]}), ExporterSettings, {})
    clock = SystemClock()
    board = Board([metric.family for metric in CATALOGUE], clock)
    watch = Watch(settings, board, clock)
    look, count = (f"{kind}/mail" for kind in ("changes", "counts"))
    itself = psutil.Process()
    seen: dict[int, int] = {}
    for number in range(1, samples + 1):
        outcome = watch.sampling.run_once(look if number % 10 else count)
        assert outcome.up, outcome.error
        board.body(Format.TEXT)
        if number % (samples // 10) == 0:
            seen[number] = itself.memory_info().rss
    watch.stop(2)
    sys.stdout.write(json.dumps(seen))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
