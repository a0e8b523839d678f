"""The exporter's samplers at work in the test's own process, and what they publish."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client.parser import text_string_to_metric_families

from chassis.board import Board
from chassis.clock import Clock, SystemClock
from chassis.exposition import Format
from chassis.settings import parse
from exporter.app import Watch
from exporter.catalogue import CATALOGUE
from exporter.settings import ExporterSettings


class Watching:
    """A `Watch` of a configuration; `start` it, or run single samplers by `run_once("counts/mail")`."""

    def __init__(self, configuration: str, clock: Clock | None = None) -> None:
        clock = clock or SystemClock()
        settings = parse(textwrap.dedent(configuration), ExporterSettings, {})
        self.board = Board([metric.family for metric in CATALOGUE], clock)
        self.watch = Watch(settings, self.board, clock)
        self.watch.publish_settings()

    def run_once(self, *names: str) -> None:
        """Run samplers in this thread, in order; a failure fails the test with what the sampler says."""
        for name in names:
            outcome = self.watch.sampling.run_once(name)
            assert outcome.up, f"{name}: {outcome.error}"

    def samples(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """All samples by name and labels."""
        text = self.board.body(Format.TEXT).decode()
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def total(self, name: str, **labels: str) -> float:
        """Sum of the samples of that name which bear these labels; AssertionError if there is none."""
        wanted = labels.items()
        values = [v for (n, have), v in self.samples().items() if n == name and wanted <= dict(have).items()]
        assert values, f"no sample {name}{labels}"
        return sum(values)


@contextmanager
def watching(configuration: str) -> Iterator[Watching]:
    """Samplers that run by themselves until the block ends."""
    one = Watching(configuration)
    one.watch.sampling.start()
    try:
        yield one
    finally:
        one.watch.stop(5.0)
