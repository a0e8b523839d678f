"""A database with pgmq under watch: what its samplers share, and one look at all of its queues."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from psycopg import sql

from chassis.log import Repeats, get_logger
from exporter.clients.session import Session
from exporter.jobs.horizon import LONGEST, Horizon
from exporter.jobs.ledger import Ledger, Roster, Targets
from exporter.jobs.transactions import ACTIVITY, Activity, Transactions, read_activity
from exporter.model import OTHER_QUEUE, QueueKey, Reason, SampleFailed
from exporter.queues.base import QueueRow, SourceContext, SourceHealth
from exporter.queues.pgmq.archives import Archives
from exporter.queues.pgmq.capabilities import absent_metrics
from exporter.queues.pgmq.counting import Counting, Due, Found
from exporter.queues.pgmq.ends import find_last_ends, tell
from exporter.queues.pgmq.flow import Flow
from exporter.queues.pgmq.listing import BLOCKS, Listed, Listing
from exporter.queues.pgmq.queue import Followed
from exporter.queues.pgmq.tracking import Tracking
from exporter.sampling.sampler import Run

log = get_logger(__name__)


@dataclass(frozen=True)
class Snapshot:
    """What a look leaves to be counted in its transaction."""

    counting: Counting
    large: list[Due]


@dataclass(frozen=True)
class Shown:
    """What was last published, for whoever must not wait for the next look."""

    present: tuple[QueueKey, ...]
    rows: tuple[QueueRow, ...] = ()


class Watched:
    """State of one source: its queues, what was counted, and where reading stands.

    `lock` serialises looks; what is published is read under it too. Everyone else reads `shown`.
    """

    def __init__(self, context: SourceContext, targets: Targets) -> None:
        self.context = context
        self.targets = targets
        self.ledger = Ledger(Roster(targets.named, context.max_queues), targets, context.buckets)
        self.tracking: Tracking | None = None
        self.tracking_trouble: SampleFailed | None = None
        self.lock = threading.RLock()
        self.health = SourceHealth()
        self.queues: dict[str, Followed] = {}
        self.failed: dict[QueueKey, int] = {}  # stored failed jobs
        self.listed = False  # whether the list of queues was read at all
        self.database_now = context.clock.now()
        self.shown = Shown(tuple(self.ledger.roster))
        self._repeats = Repeats(log)
        self._listing = Listing()
        self._began: float | None = None
        self._history: tuple[object, ...] | None = None
        self._writers: dict[str, float] = {}  # transactions, and the monotonic moment they were first seen
        self._begin_afresh()

    def _begin_afresh(self) -> None:
        self._horizon = Horizon()
        self._transactions = Transactions()
        self._archives = Archives(self.ledger)
        if self.tracking is not None:
            self.tracking.begin_afresh()

    def adopt(self, other: Watched) -> None:
        """Go on by the options of `other`, which has not begun."""
        with self.lock:
            self.context, self.targets = other.context, other.targets
            self.ledger.roster.adopt(other.ledger.roster)
            self.ledger.targets = other.targets
            self._name_anew()

    @contextmanager
    def session(self, run: Run, lane: str) -> Iterator[Session]:
        """A session whose failures make the tables be looked at again."""
        try:
            with self.context.database.session(run, lane) as session:
                yield session
        except SampleFailed as failure:
            self._listing.forget()
            if self.tracking is not None:
                self.tracking.forget()
            failure.about = failure.about or self.context.database.safe_url
            raise

    def look(self, tx: Session, *, follow: bool) -> Snapshot:
        """Begin the session's transaction; see what each queue holds and what became of its messages.

        The caller holds the lock. What was numbered is read before who may have written without having committed,
        and that before the snapshot: see `Flow`. `follow`: read the tracking table too, if there is one. Answers what
        was too large to be counted.
        """
        there, standby, started = tx.row(sql.SQL(BLOCKS["there"]))
        if not there:
            address = self.context.database.safe_url
            raise SampleFailed(
                Reason.MISSING,
                f"{address}: there is no table pgmq.meta",
                "name the database that has pgmq, or create the extension there",
                about=address,
            )
        listed = self._listing.read(tx, standby=standby)
        writers = self._open_writers(tx)
        activity = read_activity(tx.row(ACTIVITY))
        monotonic = self.context.clock.monotonic()
        tx.begin()
        (self.database_now,) = tx.row("select now()")
        self._notice_new_history(activity, started)
        self._meet(listed, writers, standby=standby)
        queues = list(self.queues.values())
        counting = Counting(tx, self.database_now, monotonic, self.targets, retries=self.tracking is None)
        found, large = counting.look(queues)
        for one in found:
            counting.enter(one)
        if follow or self.tracking is None:
            self._follow(tx, activity, monotonic)
        for one in found:
            self._enter_reads(one)
        tell(queues, self.ledger, self.database_now, ends=self.tracking is None)
        self._can_tell()
        if self.ledger.attend(frozenset(self.present()), monotonic):
            self._name_anew()
        self._note(activity)
        return Snapshot(counting, large)

    def take_over(self, snapshot: Snapshot, found: Iterable[Found]) -> None:
        """What was counted of large queues in the snapshot of an earlier look. The caller holds the lock."""
        for one in found:
            if self.queues.get(one.due.listed.name) is one.due.queue:  # else it is another by now
                snapshot.counting.enter(one)
                self._enter_reads(one)
        tell(self.queues.values(), self.ledger, self.database_now, ends=self.tracking is None)

    def _enter_reads(self, found: Found) -> None:
        queue = found.due.queue
        if found.reads is not None:
            retries = queue.retries(found.reads, count=self._is_new(queue.listed))
            self.ledger.tally(queue.key).retries += retries
        queue.archived = None

    def _follow(self, tx: Session, activity: Activity, monotonic: float) -> None:
        """Read what tables tell by their times: the project's tracking table, or else the archives."""
        plan = self._horizon.plan(self._transactions.moment(activity, monotonic))
        if plan.stepped:
            log.warning("database_clock_stepped", source=self.context.name, seconds=round(plan.stepped, 3))
        if self.tracking is None:
            queues = list(self.queues.values())
            unread = self._archives.read(tx, plan, queues)
            find_last_ends(tx, queues, self.ledger, self.database_now)
        else:
            self.tracking_trouble = None
            try:
                unread = self.tracking.read(tx, plan, self.database_now, monotonic)
            except SampleFailed as failure:
                # The queues themselves were seen all the same; where reading stands is left as it is.
                self.tracking_trouble = failure
                return
        self._horizon.done(plan, activity.xmin, unread)
        (self.tracking or self._archives).looked(self._horizon.reach)
        self.ledger.long_transactions += plan.given_up

    def present(self) -> list[QueueKey]:
        """Queues that exist now, and configured ones; in the roster's order."""
        keys = {queue.key for queue in self.queues.values()}
        roster = self.ledger.roster
        return [
            *(key for key in roster if key in keys or roster.is_configured(key)),
            *([OTHER_QUEUE] if OTHER_QUEUE in keys else []),
        ]

    def trouble(self) -> SampleFailed | None:
        """Why a look was not what it should be: no queue could be seen, or the tracking table could not be read.

        That some queues cannot be seen is told once in the log; they are without gauges meanwhile.
        """
        name = self.context.name
        broken = []
        for queue in self.queues.values():
            about = f"queue {queue.listed.name}"
            if queue.broken is None:
                self._repeats.recovered(about, "queue_readable", source=name, queue=queue.listed.name)
                continue
            broken.append(queue.broken)
            self._repeats.failed(
                about,
                "queue_not_readable",
                source=name,
                queue=queue.listed.name,
                reason=queue.broken.reason.value,
                error=str(queue.broken),
            )
        if broken and len(broken) == len(self.queues):
            return broken[0]
        return self.tracking_trouble

    def _can_tell(self) -> None:
        """Note which metrics these queues and the tracking table cannot tell."""
        listed = [queue.listed for queue in self.queues.values()]
        table = self.tracking.table if self.tracking is not None else None
        tracked = None if self.tracking is None else table.columns if table is not None else frozenset[str]()
        self.ledger.absent = frozenset(
            absent_metrics(
                tracked=tracked,
                tells_reads=any(one.tells_reads for one in listed) or not listed,
                dead_letters=any(one.base_name for one in listed),
            )
        )

    def _open_writers(self, tx: Session) -> dict[int, frozenset[str]]:
        """By table, who may have written there; those that have been open for too long are given up."""
        found = {table: frozenset(writers) for table, writers in tx.rows(sql.SQL(BLOCKS["writers"]))}
        now = self.context.clock.monotonic()
        present = frozenset(writer for writers in found.values() for writer in writers)
        self._writers = {writer: self._writers.get(writer, now) for writer in present}
        given_up = frozenset(writer for writer, since in self._writers.items() if now - since > LONGEST)
        return {table: writers - given_up for table, writers in found.items()}

    def _notice_new_history(self, activity: Activity, started: float) -> None:
        history, before = (activity.history, started), self._history
        self._history = history
        if before is None or before == history:
            return
        for queue in self.queues.values():
            queue.resuming = True
        if before[0] != activity.history:
            log.warning("reading_starts_afresh", source=self.context.name, reason="failover or restore")
            self._begin_afresh()

    def _meet(self, listed: Iterable[Listed], writers: dict[int, frozenset[str]], *, standby: bool) -> None:
        """Take note of queues that came and went, and of their numbers."""
        met: dict[str, Followed] = {}
        for one in listed:
            queue = self._queue(one)
            queue.broken = one.problem(standby=standby)
            if queue.broken is not None:
                self._listing.forget()
            numbered = queue.listed.allocated
            if numbered is not None and not queue.resuming:
                if numbered < queue.flow.allocated:
                    queue.resuming = True  # its numbers begin anew
                else:
                    queue.flow.allocate(numbered, writers.get(one.oid or 0, frozenset()))
            met[one.name] = queue
        self.queues = met
        self.listed = True
        if self._began is None:
            self._began = self.database_now

    def _queue(self, listed: Listed) -> Followed:
        queue = self.queues.get(listed.name)
        if queue is None or queue.listed.oid != listed.oid:
            # New, or made anew under its name: then its messages went with it, and its counters go on.
            key = self.ledger.roster.admit(_key(listed))
            born = self._is_new(listed) and listed.allocated is not None
            queue = Followed(listed, key, Flow(listed.allocated or 0, born=born), ends_seen=0 if born else -1)
        queue.listed = listed
        return queue

    def _is_new(self, listed: Listed) -> bool:
        """Whether the queue was made since the first look."""
        return self._began is not None and listed.created >= self._began

    def _name_anew(self) -> None:
        """There may be room now for queues that came too late."""
        for queue in self.queues.values():
            queue.key = self.ledger.roster.admit(_key(queue.listed))

    def _note(self, activity: Activity) -> None:
        health = self.health
        health.database_at = self.context.clock.monotonic()
        health.connections_active, health.connections_idle = activity.active, activity.idle
        health.connections_total = activity.sessions

    def too_busy(self) -> SampleFailed:
        """Another look kept the lock for all of a run's time."""
        address = self.context.database.safe_url
        return SampleFailed(Reason.TIMEOUT, f"{address}: another look took all the time", about=address)


def _key(listed: Listed) -> QueueKey:
    return QueueKey(listed.name, "normal")
