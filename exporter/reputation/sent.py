"""How much was sent today by each address, as the configured query tells."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from psycopg import sql

from chassis.clock import Clock
from exporter.clients.postgres import Database
from exporter.reputation.names import read
from exporter.sampling.sampler import Run


@dataclass(frozen=True)
class Sent:
    """Mail by address, every known one; and how many rows made no sense."""

    counts: dict[str, float] = field(default_factory=dict)
    bad_rows: int = 0
    example: str = ""  # what was wrong with the first of them


def tally(rows: Iterable[Sequence[Any]], known: Collection[str]) -> Sent:
    """Rows of `ip, count`, summed by known address. Those of others are left out, and what is neither is counted."""
    counts = dict.fromkeys(known, 0.0)
    bad, example = 0, ""
    for row in rows:
        try:
            ip, count = _pair(row)
        except (ValueError, TypeError, ArithmeticError) as error:
            bad += 1
            example = example or str(error)
            continue
        if ip in counts:
            counts[ip] += count
    return Sent(counts, bad, example)


def _pair(row: Sequence[Any]) -> tuple[str, float]:
    if len(row) < 2:
        raise ValueError("a row needs two columns: ip, count")
    try:
        ip = str(read(str(row[0])))
    except ValueError:
        raise ValueError("the first column holds what is no IP address") from None
    try:
        count = float(row[1])
    except (ValueError, TypeError):
        raise ValueError("the second column holds what is no number") from None
    if not isfinite(count) or count < 0:
        raise ValueError("the second column holds what is no count")
    return ip, count


class SentToday:
    """The query at its interval. What it found last is kept until the next run."""

    def __init__(self, database: Database, query: str, interval: float, timeout: float, clock: Clock) -> None:
        self._database = database
        # The configuration's own text; one statement, since it goes by the extended protocol.
        self._query = sql.SQL(query)
        self.interval = interval
        self._timeout = timeout
        self._clock = clock
        self._due = -float("inf")

    def due_in(self) -> float:
        """Seconds until the next run; never negative."""
        return max(0.0, self._due - self._clock.monotonic())

    def look(self, run: Run, known: Collection[str]) -> Sent:
        """Run the query, read-only and within the time limit; charged to `run`. Raises SampleFailed."""
        self._due = self._clock.monotonic() + self.interval
        mine = Run(self._clock, min(self._timeout, run.left))
        try:
            with self._database.session(mine, "exact") as session:
                session.begin()
                # Midnight is UTC's, whatever the database's own time zone.
                session.rows("select set_config('TimeZone', 'UTC', true)")
                return tally(session.rows(self._query), known)
        finally:
            run.spent(mine.source_seconds)
