"""Reads the exporter's /metrics, as Prometheus would."""

import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families


class NoMetrics(Exception):
    """Nothing usable came from /metrics."""


@dataclass(frozen=True)
class Scrape:
    """The samples of one look, and when it was taken (seconds since 1970)."""

    at: float
    samples: dict[str, list[tuple[dict[str, str], float]]]

    def each(self, name: str, **labels: str) -> Iterator[tuple[dict[str, str], float]]:
        """All samples of that name whose labels include the given ones."""
        wanted = labels.items()
        for found, value in self.samples.get(name, ()):
            if wanted <= found.items():
                yield found, value

    def value(self, name: str, **labels: str) -> float | None:
        """The sum of `each`; None if there is no such sample."""
        values = [value for _, value in self.each(name, **labels)]
        return sum(values) if values else None


def parse(text: str, at: float) -> Scrape:
    samples: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            samples.setdefault(sample.name, []).append((dict(sample.labels), float(sample.value)))
    return Scrape(at, samples)


def scrape(url: str) -> Scrape:
    """Raises NoMetrics if /metrics does not answer or its answer cannot be read."""
    try:
        with urllib.request.urlopen(f"{url}/metrics", timeout=5) as answer:  # noqa: S310 — our own URL
            return parse(answer.read().decode(), time.time())
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise NoMetrics(f"{url}/metrics: {error}") from error
