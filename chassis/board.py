"""Metric families rendered once when they change, and served as bytes.

`Board` keeps what each owner last published. An owner replaces all it published at once; its gauges
disappear when they grow stale, its counters and histograms stay. A scrape joins rendered fragments and
neither blocks on a producer nor calls one.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from chassis.clock import Clock
from chassis.exposition import Family, Format, Kind, Reading, negotiate, sample_lines
from chassis.packing import Piece, Stretch, unite

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
