"""A hybrid queue under watch: what its samplers share."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from chassis.exposition import Reading
from chassis.log import get_logger
from exporter.clients.postgres import Session
from exporter.jobs.book import Book
from exporter.jobs.horizon import Horizon
from exporter.jobs.journal import Journal
from exporter.jobs.ledger import Ledger, Roster, Targets
from exporter.jobs.transactions import ACTIVITY, Activity, Transactions, read_activity
from exporter.model import OTHER_QUEUE, QueueKey, Reason, SampleFailed
from exporter.queues.base import SourceContext, SourceHealth
from exporter.queues.hybrid.by_time import ByTime, finds_changes
from exporter.queues.hybrid.capabilities import absent_metrics
from exporter.queues.hybrid.follow import ByIdentity, Follower
from exporter.queues.hybrid.layout import Layout
from exporter.queues.hybrid.naming import Namer
from exporter.queues.hybrid.tables import Tables, read_tables, regclass
from exporter.queues.hybrid.workers import Crew
from exporter.sampling.sampler import Run

log = get_logger(__name__)

# Bitmaps visit each page once, where an index scan visits it for each dead row.
QUICK_PLAN = ("seqscan", "indexscan", "indexonlyscan")
EXACT_PLAN = ("seqscan",)


@dataclass(frozen=True)
class Shown:
    """What the last look made known, for whoever must not wait for the next: a look holds the lock for long."""

    present: tuple[QueueKey, ...]
    workers: frozenset[str] = frozenset()  # that run a job, by its row
    split: Mapping[QueueKey, tuple[int, int, int]] | None = None  # scheduled, waiting, active; None: not counted yet
    oldest_waiting: Mapping[QueueKey, float | None] = field(default_factory=dict)
    paused: Mapping[QueueKey, bool] = field(default_factory=dict)


class Watched:
    """State of one hybrid source: its tables, what was counted, and where reading stands.

    `lock` serialises looks; what is published is read under it too. Everyone else reads `shown`.
    """

    def __init__(self, context: SourceContext, layout: Layout, targets: Targets, crew: Crew) -> None:
        self.context = context
        self.layout = layout
        self.targets = targets
        self.crew = crew
        self.lock = threading.RLock()
        self.roster = Roster(targets.named, context.max_queues)
        self.namer = Namer(self.roster)
        self.ledger = Ledger(self.roster, targets, context.buckets)
        self.health = SourceHealth()
        self.tables: Tables | None = None
        self.paused: dict[str, bool] = {}  # by the name in the table of queues
        self.named: frozenset[QueueKey] | None = None  # None: there is no table of queues
        self.failed: dict[QueueKey, int] = {}
        self.redis_lengths: dict[QueueKey, int] = {}
        self.aligned: list[dict[QueueKey, tuple[int, int]]] = []  # handed over and in Redis, of the last two counts
        self.database_now = context.clock.now()
        logs = layout.logs.table if layout.logs else None
        self._table_names = {"jobs": regclass(layout.jobs.table), "logs": regclass(logs) if logs else None}
        self.finds_changes = False  # whether a look costs what has changed, not what there is
        self.uncounted_since: float | None = None  # monotonic; since when exact counts fail
        self._ever_named: frozenset[QueueKey] = frozenset()
        self._history: tuple[object, ...] | None = None
        self._xmax = 0
        self._begin_afresh()
        self.show()

    def show(self) -> None:
        """Make the present known. The caller holds the lock."""
        present, book = self.present(), self.book
        self.shown = Shown(
            tuple(present),
            frozenset(one.worker for one in book.active() if one.worker),
            None if book.counted_at is None else book.split(self.database_now),
            {key: book.oldest_waiting(key) for key in present},
            dict(self._paused(present)),
        )

    def _begin_afresh(self) -> None:
        self.book = Book()
        self.journal = Journal(self.ledger, self.book, self.crew)
        self.horizon = Horizon()
        self.transactions = Transactions()
        self.follower: Follower | None = None

    def adopt(self, other: Watched) -> None:
        """Go on by the options of `other`, which has not begun."""
        with self.lock:
            self.context, self.targets = other.context, other.targets
            self.crew.adopt(other.crew)
            self.roster.adopt(other.roster)
            self.ledger.targets = other.targets
            self.namer.forget()
            self.show()

    def look(self, tx: Session, avoid: Sequence[str] = EXACT_PLAN) -> None:
        """Begin the session's transaction and read what changed since the last look in its snapshot.

        The caller holds the lock: looks follow one another, and what is open is read before each snapshot.
        """
        clock = self.context.clock
        activity = read_activity(tx.row(ACTIVITY))
        monotonic = clock.monotonic()
        tx.begin(avoid)
        tables = self.known_tables(tx)
        _, self.database_now, *oids = tx.row(tables.query("snapshot"), self._table_names)
        if tuple(oids) != tables.oids:
            tables = self._read_tables(tx)
        self._notice_new_history(activity, tables)
        if self.follower is not None:
            self.follower.go_on(tables)
        self._read_queues(tx, tables)
        if tables.follows_changes or tables.reads_logs:
            moment = self.transactions.moment(activity, monotonic)
            plan = self.horizon.plan(moment)
            if plan.first or self.follower is None:
                self.follower = (ByIdentity if tables.reads_logs else ByTime)(tables, self.namer)
            if plan.stepped:
                log.warning("database_clock_stepped", source=self.context.name, seconds=round(plan.stepped, 3))
            self.journal.look(plan, self.database_now, monotonic)
            unread = self.follower.read(tx, plan, self.journal)
            self.horizon.done(plan, activity.xmin, unread)
            self.journal.looked(self.horizon.reach)
            self.ledger.long_transactions += plan.given_up
        self._note(activity)

    def known_tables(self, tx: Session) -> Tables:
        """The tables as last read, or read now. Raises SampleFailed if they do not serve."""
        return self.tables or self._read_tables(tx)

    def _read_tables(self, tx: Session) -> Tables:
        self.tables = read_tables(tx, self.layout)
        self.finds_changes = self.tables.reads_logs or (self.tables.follows_changes and finds_changes(tx, self.tables))
        self.ledger.absent = frozenset(absent_metrics(self.tables, has_redis=self.context.store is not None))
        return self.tables

    def _read_queues(self, tx: Session, tables: Tables) -> None:
        if tables.queues is None:
            return
        rows = tx.rows(tables.query("queues"))
        self.paused = {name: not active for name, active in rows if name is not None and active is not None}
        self.named = frozenset(self.namer.by_number(name, None) for name, _ in rows if name is not None)
        self._ever_named |= self.named

    def _notice_new_history(self, activity: Activity, tables: Tables) -> None:
        history = (*activity.history, tables.read_by)
        if self._history is not None and (history != self._history or activity.xmax < self._xmax):
            reason = "the table is another one" if history[:-1] == self._history[:-1] else "failover or restore"
            log.warning("reading_starts_afresh", source=self.context.name, reason=reason)
            self._begin_afresh()
        self._history, self._xmax = history, activity.xmax

    def _note(self, activity: Activity) -> None:
        health = self.health
        health.database_at = self.context.clock.monotonic()
        health.connections_active, health.connections_idle = activity.active, activity.idle
        health.connections_total = activity.sessions

    def too_busy(self) -> SampleFailed:
        """Another look kept the lock for all of a run's time."""
        address = self.context.database.safe_url
        return SampleFailed(Reason.TIMEOUT, f"{address}: another look took all the time", about=address)

    def forget_tables(self, failure: SampleFailed) -> None:
        """After a failure that a change of the tables may explain: look at them again next time."""
        if failure.reason in (Reason.MISSING, Reason.MISMATCH, Reason.PERMISSION):
            self.tables = None

    @contextmanager
    def session(self, run: Run, lane: str) -> Iterator[Session]:
        """A session whose failures make the tables be looked at again."""
        try:
            with self.context.database.session(run, lane) as session:
                yield session
        except SampleFailed as failure:
            self.forget_tables(failure)
            failure.about = failure.about or self.context.database.safe_url
            raise

    @property
    def counts_are_stale(self) -> bool:
        """Whether exact counts have failed for so long that the last one is no longer shown."""
        since = self.uncounted_since
        return since is not None and self.context.clock.monotonic() - since > self.context.stale_after

    def present(self) -> list[QueueKey]:
        """Queues that exist now: configured, in the table of queues, or with jobs. In the roster's order."""
        if self.named is None:
            return [*self.roster, *([OTHER_QUEUE] if self.roster.turned_away else [])]
        # Gone is what the table named once and names no more; what it never named may yet have jobs.
        gone = self._ever_named - self.named
        if self.layout.jobs.priority is not None:
            names = {key.queue for key in self.named}
            gone_names = {key.queue for key in gone} - names
            gone = frozenset(key for key in self.roster if key.queue in gone_names)
        living = {key for key, count in self.book.living().items() if count}
        keys = [key for key in self.roster if key not in gone or key in living or self.roster.is_configured(key)]
        return [*keys, *([OTHER_QUEUE] if self.roster.turned_away else [])]

    def paused_readings(self, present: list[QueueKey]) -> Iterator[Reading]:
        """Whether each queue is paused, where the table of queues says so."""
        for key, paused in self._paused(present):
            yield Reading("postwatch_queue_paused", {**self.context.all_labels, **key.labels}, float(paused))

    def _paused(self, present: list[QueueKey]) -> Iterator[tuple[QueueKey, bool]]:
        exact = {QueueKey.parse(name): paused for name, paused in self.paused.items()}
        by_name = {key.queue: paused for key, paused in exact.items() if key.priority == "normal"}
        numbered = self.layout.jobs.priority is not None
        for key in present:
            paused = exact.get(key, by_name.get(key.queue) if numbered else None)
            if paused is not None:
                yield key, paused
