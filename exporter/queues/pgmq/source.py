"""A database with pgmq under watch: what its samplers share, and one look at all of its queues."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from psycopg import sql

from chassis.log import Repeats, get_logger
from exporter.clients.session import Session
from exporter.jobs.horizon import Horizon
from exporter.jobs.ledger import Ledger, Roster, Targets
from exporter.jobs.transactions import ACTIVITY, Activity, Transactions, read_activity
from exporter.model import QueueKey, Reason, SampleFailed
from exporter.queues.base import QueueRow, SourceContext
from exporter.queues.looking import Looking
from exporter.queues.pgmq.archives import Archives
from exporter.queues.pgmq.capabilities import absent_metrics
from exporter.queues.pgmq.counting import Counting, Due, Found
from exporter.queues.pgmq.ends import find_last_ends, tell
from exporter.queues.pgmq.following import Following
from exporter.queues.pgmq.listing import BLOCKS, Listing
from exporter.queues.pgmq.queue import Followed
from exporter.queues.pgmq.tracking import Tracking
from exporter.queues.pgmq.writers import Writers

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


class Watched(Looking):
    """State of one source: its queues, what was counted, and where reading stands.

    `lock` serialises looks; what is published is read under it too. Everyone else reads `shown`.
    """

    def __init__(self, context: SourceContext, targets: Targets) -> None:
        super().__init__(context)
        self.targets = targets
        self.ledger = Ledger(Roster(targets.named, context.max_queues), targets, context.buckets)
        self.tracking: Tracking | None = None
        self.tracking_trouble: SampleFailed | None = None
        self.failed: dict[QueueKey, int] = {}  # stored failed jobs
        self.database_now = context.clock.now()
        self.shown = Shown(tuple(self.ledger.roster))
        self._repeats = Repeats(log)
        self._listing = Listing()
        self._following = Following(self.ledger.roster)
        self._writers = Writers()
        self._history: tuple[object, ...] | None = None
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
            self._following.name_anew()

    def forget(self, failure: SampleFailed) -> None:  # noqa: ARG002 # whatever it was
        """As `Looking.forget`: the list of queues, and the tracking table."""
        self._listing.forget()
        if self.tracking is not None:
            self.tracking.forget()

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
        writers = self._writers.read(tx, self.context.clock.monotonic())
        activity = read_activity(tx.row(ACTIVITY))
        monotonic = self.context.clock.monotonic()
        tx.begin()
        (self.database_now,) = tx.row("select now()")
        self._notice_new_history(activity, started)
        if not self._following.meet(listed, writers, self.database_now, standby=standby):
            self._listing.forget()
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
            self._following.name_anew()
        self.note(activity)
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
            retries = queue.retries(found.reads, count=self._following.is_new(queue.listed))
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

    @property
    def queues(self) -> dict[str, Followed]:
        """The queues that there are, by name."""
        return self._following.queues

    @property
    def listed(self) -> bool:
        """Whether the list of queues was read at all."""
        return self._following.began is not None

    def present(self) -> list[QueueKey]:
        """Queues that exist now, and configured ones; in the roster's order."""
        return self._following.present()

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

    def _notice_new_history(self, activity: Activity, started: float) -> None:
        history, before = (activity.history, started), self._history
        self._history = history
        if before is None or before == history:
            return
        self._following.resume()
        if before[0] != activity.history:
            log.warning("reading_starts_afresh", source=self.context.name, reason="failover or restore")
            self._begin_afresh()
