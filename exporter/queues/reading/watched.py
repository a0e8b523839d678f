"""A source under watch whose jobs stand in a table of PostgreSQL: what its samplers share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from chassis.exposition import Reading
from chassis.log import get_logger
from exporter.clients.session import Session
from exporter.jobs.book import Active, Book, Exact
from exporter.jobs.horizon import Horizon
from exporter.jobs.journal import Journal, WorkerTally
from exporter.jobs.ledger import Ledger, Roster, Targets
from exporter.jobs.transactions import ACTIVITY, Activity, Transactions, read_activity
from exporter.model import QueueKey, Reason, SampleFailed
from exporter.queues.base import SourceContext
from exporter.queues.looking import Looking
from exporter.queues.reading.by_time import Follower
from exporter.queues.reading.naming import Namer
from exporter.queues.reading.presence import Presence
from exporter.queues.reading.tables import Readable
from exporter.sampling.sampler import Run

log = get_logger(__name__)

# Bitmaps visit each page once, where an index scan visits it for each dead row.
QUICK_PLAN = ("seqscan", "indexscan", "indexonlyscan")
EXACT_PLAN = ("seqscan",)

SNAPSHOT = """
select now(), array(select to_regclass(name)::oid::int8
                    from unnest(%(names)s::text[]) with ordinality as wanted (name, place) order by place)
"""


@dataclass(frozen=True)
class Shown:
    """What the last look made known, for whoever must not wait for the next: a look holds the lock for long."""

    present: tuple[QueueKey, ...]
    workers: frozenset[str] = frozenset()  # that run a job, by its row
    split: Mapping[QueueKey, tuple[int, int, int]] | None = None  # scheduled, waiting, active; None: not counted yet
    oldest_waiting: Mapping[QueueKey, float | None] = field(default_factory=dict)
    paused: Mapping[QueueKey, bool] = field(default_factory=dict)


T = TypeVar("T", bound=Readable)


class Watched(Looking, ABC, Generic[T]):
    """State of one source: its tables, what was counted, and where reading stands.

    `lock` serialises looks; what is published is read under it too. Everyone else reads `shown`.
    """

    numbered = False  # whether a number tells the priority, so that one name in the table of queues is several keys

    def __init__(self, context: SourceContext, targets: Targets, by_worker: WorkerTally) -> None:
        super().__init__(context)
        self.targets = targets
        self._by_worker = by_worker
        self.roster = Roster(targets.named, context.max_queues)
        self.namer = self.new_namer(self.roster)
        self.ledger = Ledger(self.roster, targets, context.buckets)
        self.presence = Presence(self.roster, numbered=self.numbered)
        self.tables: T | None = None
        self.failed: dict[QueueKey, int] = {}
        self.database_now = context.clock.now()
        self.finds_changes = False  # whether a look costs what has changed, not what there is
        self.uncounted_since: float | None = None  # monotonic; since when exact counts fail
        self._history: tuple[object, ...] | None = None
        self._xmax = 0
        self._begin_afresh()
        self.show()

    # What a queue system says of itself

    @abstractmethod
    def read_tables(self, tx: Session) -> T:
        """The tables as they are now; sets `finds_changes` and the ledger's `absent` too.

        Raises SampleFailed if they do not serve.
        """

    @abstractmethod
    def read_queues(self, tx: Session, tables: T) -> None:
        """Look which queues there are, and which are paused, for `know_queues`."""

    @abstractmethod
    def new_follower(self, tables: T) -> Follower | None:
        """Whoever reads what changed; None if nothing tells it."""

    def new_namer(self, roster: Roster) -> Namer:
        """How rows name their queues."""
        return Namer(roster)

    def gather(self, rows: list[tuple[Any, ...]]) -> dict[QueueKey, Exact]:
        """The rows of an exact count by queue."""
        exact: dict[QueueKey, Exact] = {}
        for queue, index, handed_over, due, count, ready, *_ in rows:
            if queue is None:
                continue
            one = exact.setdefault(self.namer.by_class(queue, index), Exact())
            if due is not None:
                one.scheduled[due] += count
                continue
            one.waiting += count
            one.handed_over += count if handed_over else 0
            if ready is not None:
                one.oldest_ready = ready if one.oldest_ready is None else min(one.oldest_ready, ready)
        return exact

    def beside_counts(self, run: Run) -> Any:
        """What is to be asked elsewhere at the moment of an exact count's snapshot."""

    def counted(self, exact: Mapping[QueueKey, Exact], beside: Any) -> None:
        """An exact count was taken, with what `beside_counts` answered. The caller holds the lock."""

    def more_living(self, present: Sequence[QueueKey]) -> Iterator[Reading]:  # noqa: ARG002 # for those who have some
        """Gauges of living jobs that only this system has."""
        return iter(())

    def redis_length(self, key: QueueKey) -> int | None:  # noqa: ARG002 # for those that have a Redis
        """Length of a queue's list in Redis, as last seen."""
        return None

    @property
    def looks_with_counts(self) -> bool:
        """Whether each exact count reads what changed as well; not where a look costs more than the count."""
        return True

    def is_gone(self, active: Active) -> bool:  # noqa: ARG002 # for those who can tell
        """Whether the worker that runs a job is known to be gone."""
        return False

    def publish_more(self, run: Run) -> None:
        """What only this system publishes at each look. The caller holds the lock."""

    # What all of them do

    def show(self) -> None:
        """Make the present known. The caller holds the lock."""
        present, book = self.present(), self.book
        self.shown = Shown(
            tuple(present),
            frozenset(one.worker for one in book.active() if one.worker),
            None if book.counted_at is None else book.split(self.database_now),
            {key: book.oldest_waiting(key) for key in present},
            dict(self.presence.paused(present)),
        )

    def _begin_afresh(self) -> None:
        self.book = Book()
        self.journal = Journal(self.ledger, self.book, self._by_worker)
        self.horizon = Horizon()
        self.transactions = Transactions()
        self.follower: Follower | None = None

    def adopt(self, other: Watched[T]) -> None:
        """Go on by the options of `other`, which has not begun."""
        with self.lock:
            self.context, self.targets = other.context, other.targets
            self.roster.adopt(other.roster)
            self.ledger.targets = other.targets
            self.namer.forget()
            self.show()

    def look(self, tx: Session, avoid: Sequence[str] = EXACT_PLAN, *, changes: bool = True) -> None:
        """Begin the session's transaction and, with `changes`, read what changed since the last look in its snapshot.

        The caller holds the lock: looks follow one another, and what is open is read before each snapshot.
        """
        clock = self.context.clock
        activity = read_activity(tx.row(ACTIVITY))
        monotonic = clock.monotonic()
        tx.begin(avoid)
        tables = self.known_tables(tx)
        self.database_now, oids = tx.row(SNAPSHOT, {"names": list(tables.names)})
        if tuple(oids) != tables.oids:
            tables = self.tables = self.read_tables(tx)
        self.read_queues(tx, tables)
        tables = self.known_tables(tx)  # a new queue may have changed what they can do
        self._notice_new_history(activity, tables)
        if self.follower is not None:
            self.follower.go_on(tables)
        if changes:
            self._read_changes(tx, tables, activity, monotonic)
        self.note(activity)

    def _read_changes(self, tx: Session, tables: T, activity: Activity, monotonic: float) -> None:
        moment = self.transactions.moment(activity, monotonic)
        plan = self.horizon.plan(moment)
        if plan.first or self.follower is None:
            self.follower = self.new_follower(tables)
        if self.follower is None:
            self.horizon.forget()
            return
        if plan.stepped:
            log.warning("database_clock_stepped", source=self.context.name, seconds=round(plan.stepped, 3))
        self.journal.look(plan, self.database_now, monotonic)
        unread = self.follower.read(tx, plan, self.journal)
        self.horizon.done(plan, activity.xmin, unread)
        self.journal.looked(self.horizon.reach)
        self.ledger.long_transactions += plan.given_up

    def known_tables(self, tx: Session) -> T:
        """The tables as last read, or read now. Raises SampleFailed if they do not serve."""
        if self.tables is None:
            self.tables = self.read_tables(tx)
        return self.tables

    def know_queues(self, names: Sequence[str], paused: Mapping[str, bool] = MappingProxyType({})) -> None:
        """The table of queues names these, and says of some whether they are paused."""
        self.presence.know((self.namer.by_number(name, None) for name in names), paused)

    def note_end(self, key: QueueKey, last: float | None = None) -> None:
        """A queue is known to have finished a job at `last`, epoch seconds. The caller holds the lock."""
        if last is not None:
            tally = self.ledger.tally(key)
            tally.last_finished = max(last, tally.last_finished or last)

    def read_active(self, tx: Session, every: float) -> None:
        """All that runs, in the snapshot of a look; in between, for `every` seconds, it is followed one by one."""
        at = self.book.active_at
        followed = self.follower is not None
        if self.tables is None or (followed and at is not None and 0 <= self.database_now - at < every):
            return
        active = {
            job: Active(self.namer.by_number(queue, priority), started, worker, *late)
            for job, queue, priority, started, worker, *late in tx.rows(self.tables.query("active"))
            if queue is not None
        }
        self.book.set_active(active, self.database_now)

    def _notice_new_history(self, activity: Activity, tables: T) -> None:
        history = (*activity.history, tables.read_by)
        if self._history is not None and (history != self._history or activity.xmax < self._xmax):
            reason = "the table is another one" if history[:-1] == self._history[:-1] else "failover or restore"
            log.warning("reading_starts_afresh", source=self.context.name, reason=reason)
            self._begin_afresh()
        self._history, self._xmax = history, activity.xmax

    def forget(self, failure: SampleFailed) -> None:
        """As `Looking.forget`: the tables, if a change of theirs may explain the failure."""
        if failure.reason in (Reason.MISSING, Reason.MISMATCH, Reason.PERMISSION):
            self.tables = None

    @property
    def counts_are_stale(self) -> bool:
        """Whether exact counts have failed for so long that the last one is no longer shown."""
        since = self.uncounted_since
        return since is not None and self.context.clock.monotonic() - since > self.context.stale_after

    def present(self) -> list[QueueKey]:
        """Queues that exist now: configured, in the table of queues, or with jobs. In the roster's order."""
        return self.presence.present(self.book.living)
