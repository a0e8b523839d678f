"""Metric families rendered once when they change, and served as bytes.

`Board` keeps what each owner last published. An owner replaces all it published at once; its gauges
disappear when they grow stale, its counters and histograms stay. A scrape joins rendered fragments and
neither blocks on a producer nor calls one.

Formats: Prometheus text 0.0.4 and OpenMetrics 1.0.0. Sample lines are the same in both, headers differ.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from chassis.clock import Clock
from chassis.packing import Piece, Stretch, unite

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


_END = Stretch.of([Piece.of(b"# EOF\n")])


@dataclass
class _Published:
    pieces: dict[str, Piece]  # by family
    expires: float | None  # monotonic seconds; None: never


class Board:
    """What all owners have published, ready to be served.

    `families` fixes the order of families and which exist: an undeclared metric raises KeyError at
    once, in the owner's thread, so that nothing undeclared is ever served.

    A series is rendered when it is published, and a family joined when it is asked for after a change: with tens of
    thousands of series, most are as they were at the scrape before.
    """

    def __init__(self, families: Sequence[Family], clock: Clock) -> None:
        self._families = {family.name: family for family in families}
        self._headers = {form: {f.name: Stretch.of([Piece.of(f.header(form))]) for f in families} for form in Format}
        self._clock = clock
        self._lock = threading.Lock()
        self._published: dict[str, _Published] = {}  # by owner
        self._pieces: dict[str, dict[str, Piece]] = {family.name: {} for family in families}  # by family and owner
        self._joined: dict[str, Stretch] = {}  # families that have not changed since
        self._version = 0
        self._bodies: dict[Format, tuple[int, bytes]] = {}
        self._packed: dict[Format, tuple[int, bytes]] = {}

    def publish(self, owner: str, readings: Iterable[Reading], ttl: float | None = None) -> None:
        """Replace all that `owner` published. Gauges vanish `ttl` seconds from now; None: they stay."""
        lasting: dict[str, list[str]] = {}
        fading: dict[str, list[str]] = {}
        for reading in readings:
            gauge = self._families[reading.metric].kind is Kind.GAUGE
            target = fading if gauge and ttl is not None else lasting
            target.setdefault(reading.metric, []).append(sample_lines(reading))
        expires = None if ttl is None else self._clock.monotonic() + ttl
        gauges = f"{owner} (gauges)"
        rendered = {
            owner: _Published(self._render(owner, lasting), None),
            gauges: _Published(self._render(gauges, fading), expires),
        }
        with self._lock:
            for name, published in rendered.items():
                self._replace(name, published)
            self._version += 1

    def withdraw(self, prefix: str) -> None:
        """Remove all that owners whose names start with `prefix` published."""
        with self._lock:
            for owner in [owner for owner in self._published if owner.startswith(prefix)]:
                self._replace(owner, None)
            self._version += 1

    def body(self, form: Format, names: frozenset[str] = frozenset()) -> bytes:
        """The whole exposition, or of the families that answer to `names` alone."""
        with self._lock:
            self._expire()
            known = self._bodies.get(form)
            if known and known[0] == self._version and not names:
                return known[1]
            body = b"".join([part.plain for part in self._parts(form, names)])
            if not names:
                self._bodies[form] = (self._version, body)
            return body

    def gzipped(self, form: Format, names: frozenset[str] = frozenset()) -> bytes:
        """The same, compressed. Kept until something changes, for several scrapers of one moment."""
        with self._lock:
            self._expire()
            known = self._packed.get(form)
            if known and known[0] == self._version and not names:
                return known[1]
            version, parts = self._version, self._parts(form, names)
        packed = unite(parts)
        if not names:
            with self._lock:
                self._packed[form] = (version, packed)
        return packed

    def _render(self, owner: str, lines: dict[str, list[str]]) -> dict[str, Piece]:
        """A piece for each family; what says the same as before is not compressed again."""
        known = self._published.get(owner)
        before = known.pieces if known else {}
        pieces: dict[str, Piece] = {}
        for metric, series in lines.items():
            plain = "".join(series).encode()
            piece = before.get(metric)
            pieces[metric] = piece if piece and piece.plain == plain else Piece.of(plain)
        return pieces

    def _replace(self, owner: str, published: _Published | None) -> None:
        known = self._published.pop(owner, None)
        before = known.pieces if known else {}
        after = published.pieces if published else {}
        for metric in before.keys() - after.keys():
            del self._pieces[metric][owner]
            self._joined.pop(metric, None)
        for metric, piece in after.items():
            if before.get(metric) is not piece:
                self._pieces[metric][owner] = piece
                self._joined.pop(metric, None)
        if published and after:
            self._published[owner] = published

    def _expire(self) -> None:
        now = self._clock.monotonic()
        stale = [o for o, p in self._published.items() if p.expires is not None and p.expires <= now]
        for owner in stale:
            self._replace(owner, None)
        self._version += bool(stale)

    def _parts(self, form: Format, names: frozenset[str]) -> list[Stretch]:
        parts: list[Stretch] = []
        for name, family in self._families.items():
            if self._pieces[name] and (not names or family.answers_to(names)):
                if name not in self._joined:
                    self._joined[name] = Stretch.of(self._pieces[name].values())
                parts += (self._headers[form][name], self._joined[name])
        if form is Format.OPENMETRICS:
            parts.append(_END)
        return parts


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


class BoardEndpoint:
    """`/metrics` of a board, as the web shell asks for it: a body and its content type."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def body(self, accept: str, names: tuple[str, ...]) -> tuple[bytes, str]:
        """The exposition in the preferred format and its content type."""
        form = negotiate(accept)
        return self._board.body(form, frozenset(names)), form.value

    def gzipped(self, accept: str, names: tuple[str, ...]) -> tuple[bytes, str]:
        """The same, gzip-compressed."""
        form = negotiate(accept)
        return self._board.gzipped(form, frozenset(names)), form.value
