"""Metric families as text: what is declared, what is read, and how each format writes it.

Formats: Prometheus text 0.0.4 and OpenMetrics 1.0.0. Sample lines are the same in both, headers differ.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
_HELP_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n"})


class Kind(StrEnum):
    """Type of a metric family, by the names of both formats."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Format(StrEnum):
    """Text format of an exposition; the value is its content type."""

    TEXT = TEXT_TYPE
    OPENMETRICS = OPENMETRICS_TYPE


@dataclass(frozen=True)
class Family:
    """A declared metric: full name (counters end in `_total`), type and help."""

    name: str
    kind: Kind
    help: str

    def header(self, form: Format) -> bytes:
        """HELP and TYPE lines; OpenMetrics names a counter's family without `_total`."""
        name = self.name
        escapes = _HELP_ESCAPES
        if form is Format.OPENMETRICS:
            escapes = _ESCAPES
            if self.kind is Kind.COUNTER:
                name = name.removesuffix("_total")
        text = f"# HELP {name} {self.help.translate(escapes)}\n# TYPE {name} {self.kind}\n"
        return text.encode()

    def answers_to(self, names: frozenset[str]) -> bool:
        """Whether one of `names` is this family's name or that of one of its samples."""
        mine = {self.name, self.name.removesuffix("_total")}
        if self.kind is Kind.HISTOGRAM:
            mine |= {f"{self.name}_bucket", f"{self.name}_sum", f"{self.name}_count"}
        return not mine.isdisjoint(names)


class Distribution(NamedTuple):
    """Value of a histogram: upper bounds, observations in each (not cumulated; one more for +Inf), their sum."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float


class Reading(NamedTuple):
    """One series and its value."""

    metric: str
    labels: Mapping[str, str]
    value: float | Distribution


def number(value: float) -> str:
    """A sample value as both formats write it."""
    if value == math.inf:
        return "+Inf"
    if value == -math.inf:
        return "-Inf"
    return "NaN" if math.isnan(value) else repr(float(value))


def label_pairs(labels: Mapping[str, str]) -> str:
    """`a="1",b="2"`, sorted by name, values escaped."""
    return ",".join([f'{name}="{_escaped(labels[name])}"' for name in sorted(labels)])


def _escaped(value: str) -> str:
    # Next to no value needs it, and to look for it is faster than to translate.
    return value.translate(_ESCAPES) if "\\" in value or '"' in value or "\n" in value else value


def sample_lines(reading: Reading) -> str:
    """The lines of one series, each ended by a newline."""
    pairs = label_pairs(reading.labels)
    value = reading.value
    if not isinstance(value, Distribution):
        series = f"{reading.metric}{{{pairs}}}" if pairs else reading.metric
        return f"{series} {number(value)}\n"
    lead = f"{reading.metric}_bucket{{{pairs}{',' if pairs else ''}le="
    series = f"{{{pairs}}}" if pairs else ""
    lines = []
    seen = 0
    for edge, count in zip(_edges(value.bounds), value.counts, strict=True):
        seen += count
        lines.append(f'{lead}"{edge}"}} {seen}.0\n')
    lines.append(f"{reading.metric}_sum{series} {number(value.total)}\n")
    lines.append(f"{reading.metric}_count{series} {seen}.0\n")
    return "".join(lines)


@lru_cache(maxsize=256)
def _edges(bounds: tuple[float, ...]) -> tuple[str, ...]:
    """Upper bounds of all buckets as they are written; a kind of histogram has them in common."""
    return tuple(number(bound) for bound in (*bounds, math.inf))


def negotiate(accept: str) -> Format:
    """The format that an `Accept` header prefers; text 0.0.4 where it leaves the choice.

    Rule: RFC 9110 quality values; OpenMetrics is offered as version 1.0.0 alone (Prometheus asks for it
    by name first).
    """
    best = (0.0, Format.TEXT)
    for item in accept.split(","):
        media, *parameters = (part.strip() for part in item.split(";"))
        options = dict(p.split("=", 1) for p in parameters if "=" in p)
        try:
            quality = float(options.get("q", "1"))
        except ValueError:
            continue
        form = {
            "application/openmetrics-text": Format.OPENMETRICS,
            "text/plain": Format.TEXT,
            "text/*": Format.TEXT,
            "*/*": Format.TEXT,
        }.get(media.lower())
        wanted = options.get("version", "").strip('"')
        if form is Format.OPENMETRICS and wanted not in ("", "1.0.0"):
            continue
        if form is not None and quality > best[0]:
            best = (quality, form)
    return best[1]
