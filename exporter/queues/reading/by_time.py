"""Follows jobs by the column that tells when a row was changed: every state of a job is met in its own row."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from typing import Any, Protocol

from psycopg import sql

from exporter.clients.session import Session, from_ticks
from exporter.jobs.horizon import LONGEST, Plan, Stretch
from exporter.jobs.journal import Change, Journal
from exporter.queues.reading.naming import Namer
from exporter.queues.reading.tables import Readable

REREAD_ROWS = 20_000  # of old stretches in one look, so that the present is never late for them
ROWS_AT_ONCE = 40_000  # more than that is read in portions


class Follower(Protocol):
    """Reads what changed since the last look."""

    def go_on(self, tables: Any) -> None:
        """The same tables were looked at anew: their columns may have changed, not their rows."""

    def read(self, tx: Session, plan: Plan, journal: Journal) -> tuple[Stretch, ...]:
        """Enter all changes of the plan into the journal; answers which stretches are left for the next look."""


class ByTime:
    """A `Follower` that reads stretches of time."""

    def __init__(self, tables: Readable, namer: Namer) -> None:
        self._tables = tables
        self._namer = namer
        self._rate = 10.0  # rows a second, as last seen

    def go_on(self, tables: Readable) -> None:
        """As `Follower.go_on`."""
        self._tables = tables

    def read(self, tx: Session, plan: Plan, journal: Journal) -> tuple[Stretch, ...]:
        """As `Follower.read`."""
        older: sql.Composable = sql.SQL("")
        if plan.xid_floor is not None and self._tables.shows_xmin:
            older = sql.SQL("and age(xmin) <= age({}::text::xid)").format(sql.Literal(str(plan.xid_floor % 2**32)))
        unread = deque(plan.rereads)
        # History is remembered in the snapshot that begins it: what commits later is news.
        while unread and (plan.first or plan.stepped < 0):
            stretch = unread.popleft()
            journal.marking(mark=stretch.mark)
            self._enter(tx, stretch, older, journal, expected=math.inf)
        if plan.first and not self._tables.keeps_ends:
            # Without a time of their end rows are known by having been met: those of the last minutes, too.
            journal.marking(mark=True)
            recent = Stretch(plan.window.low - LONGEST, plan.window.low)
            self._enter(tx, recent, older, journal, expected=math.inf)
        read = 0
        while unread and read < REREAD_ROWS:
            stretch = unread.popleft()
            # A slice that holds about half of what one look may read.
            high = min(stretch.high, stretch.low + max(1.0, REREAD_ROWS / 2 / self._rate))
            journal.marking(mark=stretch.mark)
            read += 1 + self._enter(tx, Stretch(stretch.low, high), older, journal)
            if high < stretch.high:
                unread.appendleft(Stretch(high, stretch.high, stretch.mark))
        journal.marking(mark=plan.first)
        seconds = max(plan.next.moment.now - plan.window.low, 1.0)
        rows = self._enter(tx, plan.window, older, journal, expected=self._rate * seconds)
        self._rate = max(rows / seconds, 1.0)
        return tuple(unread)

    def _enter(
        self, tx: Session, stretch: Stretch, older: sql.Composable, journal: Journal, expected: float = 0.0
    ) -> int:
        query = self._tables.query("changes", older=older)
        bounds = {"low": stretch.low, "high": stretch.high}
        large = expected > ROWS_AT_ONCE
        count = 0
        for rows in tx.stream(query, bounds, ticks=True) if large else [tx.rows(query, bounds, ticks=True)]:
            count += len(rows)
            for change in self._changes(rows):
                journal.enter(change)
        return count

    def _changes(self, rows: list[tuple[Any, ...]]) -> Iterator[Change]:
        meanings, name = self._tables.meanings, self._namer.by_number
        for job, queue, priority, status, attempts, created, run_at, started, ended, changed, worker, error in rows:
            if queue is None:
                continue
            yield Change(
                job,
                name(queue, priority),
                meanings[status],
                1 if attempts is None else attempts,
                from_ticks(created),
                from_ticks(created if run_at is None else run_at),
                from_ticks(started),
                from_ticks(ended),
                from_ticks(changed),
                worker,
                error,
            )


def finds_by(tx: Session, query: sql.Composed, column: str) -> bool:
    """Whether an index on `column` finds the rows of a stretch of time; else each look reads the whole table."""
    bounds = {"low": 4e9, "high": math.inf}
    ((plan,),) = tx.rows(sql.SQL("explain (format json) ") + query, bounds)
    return all(any(column in node.get("Index Cond", "") for node in _nodes(child)) for child in _scans(plan[0]["Plan"]))


def _scans(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """One scan for a table, one for each partition of a partitioned one."""
    if plan["Node Type"] in ("Append", "Merge Append", "Result", "Gather"):
        return [scan for child in plan.get("Plans", []) for scan in _scans(child)]
    return [plan]


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from _nodes(child)
