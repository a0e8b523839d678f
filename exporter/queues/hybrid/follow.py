"""Follows what happens to jobs by identities that only grow."""

from __future__ import annotations

from collections import deque
from typing import Any

from psycopg import sql

from exporter.clients.session import Session
from exporter.jobs.horizon import Plan, Stretch
from exporter.jobs.journal import Change, Journal
from exporter.jobs.seen import Seen
from exporter.queues.hybrid.tables import Tables
from exporter.queues.reading.naming import Namer

FIRST_IDENTITIES = 20_000  # newest rows that are remembered as history at the start
OPEN_ATTEMPTS = 5_000  # attempts under way whose rows are looked at again


class _Identities:
    """One table whose identity only grows: which of them may hold rows that were not seen."""

    def __init__(self) -> None:
        self._newest: deque[tuple[float, int]] = deque()  # (time of a look, largest identity it saw)
        self._seen = Seen(width=50_000)

    def begin(self, newest: int) -> None:
        """The first look: what is there is history."""
        self._newest.append((float("-inf"), max(newest - FIRST_IDENTITIES, 0)))

    def before(self, time: float) -> int:
        """An identity such that what was not visible after `time` has a larger one."""
        found = self._newest[0][1]
        for at, newest in self._newest:
            if at > time:
                break
            found = newest
        return found

    def is_new(self, identity: int) -> bool:
        """Whether it is met for the first time."""
        return self._seen.add(identity, identity)

    def looked(self, now: float, newest: int, reach: float) -> None:
        """Note how far the look came; what is older than `reach` is needed no more."""
        self._newest.append((now, max(newest, self._newest[-1][1])))
        while len(self._newest) > 1 and self._newest[1][0] < reach:
            self._newest.popleft()
        self._seen.forget_before(self._newest[0][1])


class ByIdentity:
    """By the log of attempts and the jobs' own numbers: only new rows are read, whatever the tables hold."""

    def __init__(self, tables: Tables, namer: Namer) -> None:
        self._tables = tables
        self._namer = namer
        self._jobs = _Identities()
        self._logs = _Identities()
        self._begun = False
        self._newest_job = self._newest_log = 0
        self._open: dict[int, int] = {}  # attempts under way: job, identity of the row
        spec = tables.layout.logs
        assert spec is not None  # noqa: S101  # Tables.reads_logs says so
        self._meanings = {
            **dict.fromkeys(spec.attempting, "active"),
            **dict.fromkeys(spec.retry, "waiting"),
            **dict.fromkeys(spec.success, "completed"),
            **dict.fromkeys(spec.failed, "failed"),
        }

    def go_on(self, tables: Tables) -> None:
        """As `Follower.go_on`."""
        self._tables = tables

    def read(self, tx: Session, plan: Plan, journal: Journal) -> tuple[Stretch, ...]:
        """As `Follower.read`. Identities are dense: rereading an old stretch costs little, so none is left."""
        if plan.first or not self._begun:
            self._begin(tx)
        for stretch in (*plan.rereads, plan.window):
            low, high = stretch.low, stretch.high
            until = 2**62 if high == float("inf") else self._jobs.before(high + 1)
            self._read_jobs(tx, self._jobs.before(low), until, journal, mark=plan.first)
            until = 2**62 if high == float("inf") else self._logs.before(high + 1)
            self._read_logs(tx, self._logs.before(low), until, journal, mark=plan.first)
        now = plan.next.moment.now
        self._jobs.looked(now, self._newest_job, plan.next.reach - 60)
        self._logs.looked(now, self._newest_log, plan.next.reach - 60)
        return ()

    def _begin(self, tx: Session) -> None:
        self._jobs, self._logs, self._open = _Identities(), _Identities(), {}
        (self._newest_job,) = tx.row(self._tables.query("newest_job"))
        (self._newest_log,) = tx.row(self._tables.query("newest_log"))
        self._jobs.begin(self._newest_job)
        self._logs.begin(self._newest_log)
        self._begun = True

    def _read_jobs(self, tx: Session, low: int, high: int, journal: Journal, *, mark: bool) -> None:
        bounds = {"low": low, "high": high}
        for rows in tx.stream(self._tables.query("new_jobs"), bounds):
            for identity, job, queue, priority, _, attempts, created, run_at in rows:
                self._newest_job = max(self._newest_job, identity)
                if queue is None or not self._jobs.is_new(identity) or mark:
                    continue
                key = self._namer.by_number(queue, priority)
                journal.enter_new_job(
                    Change(job, key, "waiting", attempts, created, run_at, None, None, None, None, None)
                )

    def _read_logs(self, tx: Session, low: int, high: int, journal: Journal, *, mark: bool) -> None:
        again = sorted(self._open.values())
        query = self._tables.query("new_logs") + sql.SQL(" or l.{} = any(%(again)s)").format(
            sql.Identifier(self._tables.layout.logs.id if self._tables.layout.logs else "id")
        )
        for rows in tx.stream(query, {"low": low, "high": high, "again": again}):
            # Identities grow with time, so that what happened to one job is entered in its order.
            for row in sorted(rows):
                self._enter_log(row, journal, mark=mark)

    def _enter_log(self, row: tuple[Any, ...], journal: Journal, *, mark: bool) -> None:
        identity, job, queue, priority, status, _, created, started, finished, logged, error = row
        self._newest_log = max(self._newest_log, identity)
        meaning = self._meanings.get(status)
        new = self._logs.is_new(identity)
        if queue is None or meaning is None:
            return
        if meaning == "active":
            if new:
                self._open[job] = identity
                while len(self._open) > OPEN_ATTEMPTS:
                    del self._open[next(iter(self._open))]
        else:
            # Either a row of its own, or the attempt's first row, brought up to date where it stands.
            new = self._open.pop(job, None) == identity or new
        if mark or not new:
            return
        key = self._namer.by_number(queue, priority)
        ended = finished if finished is not None else logged
        journal.enter_attempt(Change(job, key, meaning, 1, created, None, started, ended, logged, None, error))
