"""A database in miniature: transactions, a clock that may step, and one table of jobs under watch.

Rows keep PostgreSQL's rules alone: what a transaction writes is seen when it commits, bears the time at which
it began or was written, and its id. `Watcher` reads it by the exporter's own parts, from activity to ledger.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any, cast

from psycopg import sql

from exporter.jobs.book import Book, Exact, Mark
from exporter.jobs.horizon import Horizon, OpenTransaction, Stretch
from exporter.jobs.journal import Change, Journal
from exporter.jobs.ledger import Ledger, Roster, Targets
from exporter.jobs.transactions import Activity, Transactions
from exporter.model import OUTCOMES, QueueKey, Target
from exporter.queues.reading.by_time import ByTime
from exporter.queues.reading.naming import Namer

EPOCH = 1_700_000_000.0
AMBIGUOUS = 200.0


@dataclass(frozen=True)
class Row:
    """A job as one committed version of its row shows it."""

    job: int
    status: str
    created: float
    changed: float
    ended: float | None
    xmin: int
    attempts: int = 0
    true_created: float = 0.0
    true_ended: float = 0.0


@dataclass
class Transaction:
    """One that is open. `late`: it stamps rows with the moment of writing, not of its begin."""

    pid: int
    start: float
    true_start: float
    late: bool = False
    xid: int | None = None
    prepared: float | None = None
    rows: dict[int, Row | None] = field(default_factory=dict)


class World:
    """Committed rows, open transactions, and a clock `offset` seconds ahead of true time."""

    def __init__(self) -> None:
        self.true = 0.0
        self.offset = EPOCH
        self.rows: dict[int, Row] = {}
        self.open: list[Transaction] = []
        self._went_back = -math.inf
        self._lowest = math.inf
        self._next_xid = 1000
        self._next_pid = 1
        self._next_job = 1

    @property
    def now(self) -> float:
        return self.true + self.offset

    def begin(self, *, late: bool) -> Transaction:
        """Open a transaction."""
        one = Transaction(self._next_pid, self.now, self.true, late)
        self._next_pid += 1
        self.open.append(one)
        return one

    def step(self, seconds: float) -> None:
        """Set the clock."""
        self.offset += seconds
        if seconds < 0:
            self._went_back = self.true
            self._lowest = min(self._lowest, self.now)

    def _is_ambiguous(self, row: Row) -> bool:
        """Whether a row of before a step back bears a time that is just now being given out again.

        If it were written anew nobody could tell its old creation or end from a new one.
        """
        return any(
            true < self._went_back and self._lowest - AMBIGUOUS < time < self.now + AMBIGUOUS
            for true, time in ((row.true_created, row.created), (row.true_ended, row.ended or 0.0))
        )

    def write(self, one: Transaction, action: str, choice: int) -> None:
        """Do something to some job; nothing if another transaction holds its row."""
        mine = {**self.rows, **one.rows}
        held = {job for other in self.open if other is not one for job in other.rows}
        wanted = {"finish": ("queued",), "retry": ("queued",), "create": ()}.get(action, OUTCOMES)
        if action == "delete":
            wanted = OUTCOMES
        jobs = sorted(
            j
            for j, r in mine.items()
            if r is not None and r.status in wanted and j not in held and not self._is_ambiguous(r)
        )
        if one.xid is None:
            one.xid, self._next_xid = self._next_xid, self._next_xid + 1
        stamp, true = (self.now, self.true) if one.late else (one.start, one.true_start)
        if action == "create" or not jobs:
            row = Row(self._next_job, "queued", stamp, stamp, None, one.xid, 0, true)
            self._next_job += 1
            one.rows[row.job] = row
            return
        before = mine[jobs[choice % len(jobs)]]
        assert before is not None
        now = replace(before, changed=stamp, xmin=one.xid)
        match action:
            case "finish":
                one.rows[before.job] = replace(now, status=OUTCOMES[choice % 2], ended=stamp, true_ended=true)
            case "retry":
                one.rows[before.job] = replace(now, attempts=before.attempts + 1)
            case "touch":
                one.rows[before.job] = now
            case "put back":
                one.rows[before.job] = replace(now, status="queued", ended=None, attempts=0)
            case "delete":
                one.rows[before.job] = None

    def end(self, one: Transaction, *, commit: bool) -> None:
        """Commit or roll back."""
        self.open.remove(one)
        for job, row in one.rows.items() if commit else ():
            if row is None:
                self.rows.pop(job, None)
            else:
                self.rows[job] = row

    def prepare(self, one: Transaction) -> None:
        """First half of a two-phase commit."""
        one.prepared = self.now

    def activity(self, *, sees_all: bool) -> Activity:
        """What pg_stat_activity and pg_prepared_xacts show."""
        xids = [one.xid for one in self.open if one.xid is not None]
        seen = tuple(
            OpenTransaction(
                session if one.xid is None else f"xid {one.xid}",
                one.start if one.prepared is None else one.prepared,
                one.xid is not None,
                one.prepared is not None,
                session if one.prepared is None else "",
            )
            for one in self.open
            for session in [f"pid {one.pid} {one.start}"]
        )
        xmin = min(xids, default=self._next_xid)
        return Activity(self.now, False, None, sees_all, xmin, self._next_xid, 1, 1, 0, 0, 0, seen if sees_all else ())


class _Tables:
    """As much of `Tables` as `ByTime` asks for."""

    keeps_ends = True
    shows_xmin = True


class _Follower(ByTime):
    """Decides what to read as ever, but reads a world."""

    world: World

    def _enter(self, tx: Any, stretch: Stretch, older: sql.Composable, journal: Journal, expected: float = 0.0) -> int:
        oldest = int(found[1]) if (found := re.search(r"'(\d+)'", older.as_string(None))) else 0
        rows = [r for r in self.world.rows.values() if stretch.low <= r.changed < stretch.high and r.xmin >= oldest]
        for r in rows:
            key = QueueKey(f"j{r.job}", "normal")
            state = {"queued": "waiting"}.get(r.status, r.status)
            journal.enter(
                Change(r.job, key, state, r.attempts, r.created, None, None, r.ended, r.changed, str(r.job), "")
            )
        return len(rows)


End = tuple[int, float | None]


class Watcher:
    """The exporter's reading of a world; `counted` holds every end it counted."""

    def __init__(self, world: World, *, sees_all: bool = True) -> None:
        self.world = world
        self.sees_all = sees_all
        self.counted: Counter[End] = Counter()
        self.book = Book()
        roster = Roster((), 1_000_000)
        self.ledger = Ledger(roster, Targets({}, Target()), (1.0,))
        self.journal = Journal(self.ledger, self.book, self)
        self.horizon = Horizon()
        self.transactions = Transactions()
        self.follower = _Follower(cast(Any, _Tables()), Namer(roster))
        self.follower.world = world
        self.old_ends: set[End] = set()
        self.history: set[End] = set()  # whose count is not awaited
        self.old_jobs: set[int] = set()
        self.either: set[int] = set()
        self.first = 0.0
        self.visible: Counter[End] = Counter()  # looks in whose snapshot an end stood
        self.jobs: set[int] = set()
        self.unread = 0
        self._activity: tuple[Activity, float] | None = None

    def ended(self, worker: str, outcome: str, started: float | None, ended: float | None) -> None:
        """As `WorkerTally.ended`."""
        self.counted[int(worker), ended] += 1

    def ask(self) -> None:
        """First half of a look: what is open."""
        self._activity = (self.world.activity(sees_all=self.sees_all), self.world.true)

    def look(self, *, breaks_off: bool = False) -> None:
        """Second half: read in a snapshot. `breaks_off`: the connection ends before it is noted."""
        if self._activity is None:
            self.ask()
        assert self._activity
        activity, monotonic = self._activity
        self._activity = None
        plan = self.horizon.plan(self.transactions.moment(activity, monotonic))
        self.journal.look(plan, self.world.now, monotonic)
        unread = self.follower.read(cast(Any, None), plan, self.journal)
        if breaks_off:
            return
        self.horizon.done(plan, activity.xmin, unread)
        self.journal.looked(self.horizon.reach)
        self.unread = len(unread)
        self._note(first=plan.first)

    def _note(self, *, first: bool) -> None:
        rows = self.world.rows.values()
        ends = {(r.job, r.ended) for r in rows if r.status in OUTCOMES}
        if first:
            self.first = self.world.now
            # Whether one is told that was written over, just before the start, by who began earlier: either is right.
            self.either = {r.job for r in rows if r.changed < max(r.created, r.ended or 0)}
            self.history, self.old_ends, self.old_jobs = set(ends), ends, set(self.world.rows)
        if not self.sees_all:
            # Who was open before the first look cannot be told.
            self.history |= {(r.job, r.ended) for r in rows if r.ended and min(r.ended, r.changed) <= self.first}
        self.visible.update(ends - self.history)
        self.jobs |= self.world.rows.keys() - self.old_jobs

    def mark(self) -> tuple[Mark, dict[QueueKey, Exact]]:
        """Begin an exact count in the snapshot of the look just made."""
        exact = {QueueKey(f"j{r.job}", "normal"): Exact(1) for r in self.world.rows.values() if r.status == "queued"}
        return self.book.mark(self.world.now), exact

    @property
    def enqueued(self) -> dict[int, int]:
        """Creations that were counted, by job."""
        jobs = {*self.jobs, *self.old_jobs}
        return {job: n for job in jobs if (n := self.ledger.tally(QueueKey(f"j{job}", "normal")).enqueued)}

    def verdict(self) -> dict[str, dict[Any, int]]:
        """What was counted wrongly; empty values if nothing was.

        An end that stood in one snapshot alone is gone within an interval: whoever only reads may miss it.
        """
        return {
            "missed": {
                (job, ended): looks
                for (job, ended), looks in self.visible.items()
                if looks > 1 and not self.counted[job, ended]
            },
            "counted twice": {end: n for end, n in self.counted.items() if n > 1},
            "history": {
                end: n for end, n in self.counted.items() if end in self.old_ends and end[0] not in self.either
            },
            "jobs counted twice": {job: n for job, n in self.enqueued.items() if n > 1},
            "old jobs counted": {job: n for job, n in self.enqueued.items() if job in self.old_jobs - self.either},
        }
