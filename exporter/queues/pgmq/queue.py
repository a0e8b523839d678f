"""One queue of pgmq as it is being followed: what was counted of it, and how that is carried forward."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from exporter.model import QueueKey, SampleFailed
from exporter.queues.pgmq.flow import Flow
from exporter.queues.pgmq.listing import Listed

SMALL = 10_000  # messages up to which a queue is counted at each quick look
NARROW = 4_000  # pages (32 MB) up to which it is: a queue that was long once has few messages in many
GLANCED = 10_000  # messages not ready up to which they are counted at each quick look
MOST_RETRIED = 20_000  # retried messages of one queue that are followed one by one


@dataclass(frozen=True)
class Living:
    """The messages in a queue. Times are epoch seconds."""

    total: int
    scheduled: int  # put off, and not read yet
    active: int  # read, and not visible again yet
    oldest_ready: float | None
    oldest_active: float | None  # None: none is active, or nothing tells when it was read
    stuck: int = 0

    @property
    def waiting(self) -> int:
        """Ready to be read."""
        return max(self.total - self.scheduled - self.active, 0)


@dataclass(frozen=True)
class Count:
    """An exact count, and where the queue stood then."""

    living: Living
    at: float  # by the database's clock
    allocated: int
    settled: int | None
    deleted: int
    filenode: int | None
    retried: tuple[int, int]  # how many, and their reads


@dataclass
class Told:
    """What of the flow was added to the ledger."""

    enqueued: int = 0
    gone: int = 0
    purged: int = 0
    failed: int = 0
    completed: int = 0


@dataclass
class Followed:
    """State of one queue. Not thread-safe: its source holds a lock."""

    listed: Listed
    key: QueueKey
    flow: Flow
    told: Told = field(default_factory=Told)
    may_have_lost: bool = True  # whether any message can have left since the look before the last
    ends_seen: int = -1  # how many had gone when it was last looked for when; none yet
    counted: Count | None = None
    living: Living | None = None  # as of the last look
    known_at: float = 0.0  # monotonic; of the last look
    failed: int = 0  # of its messages, sent to its dead-letter queue
    retried: dict[int, int] | None = None  # reads by message; None: not looked at yet
    archived: set[int] | None = None  # retried ones, archived since the snapshot of a count that is still under way
    resuming: bool = False  # the server was started anew: the next count says where the flow goes on
    suspect: bool = False  # asked for apart from the others, since it failed among them
    broken: SampleFailed | None = None

    @property
    def moved(self) -> bool:
        """Whether anything may have changed since the last count. An empty queue changes by new numbers alone."""
        counted, flow = self.counted, self.flow
        if counted is None or self.resuming or self.listed.allocated is None or counted.living.total:
            return True
        return counted.settled is None or counted.settled != flow.allocated

    @property
    def at_most(self) -> int:
        """Messages that can be in the queue now, as far as is known."""
        numbered = self.listed.allocated
        if self.counted is None:
            return SMALL + 1 if numbered is None else numbered
        new = SMALL // 10 if numbered is None else max(numbered - self.counted.allocated, 0)
        return self.counted.living.total + new

    @property
    def unready(self) -> int:
        """Messages that were not ready at the last look."""
        return self.living.scheduled + self.living.active if self.living else 0

    @property
    def can_be_glanced_at(self) -> bool:
        """Whether an index finds the few messages that are not ready."""
        return self.living is not None and "vt" in self.listed.columns.indexed and self.unready <= GLANCED

    def is_unchanged(self, now: float) -> None:
        """It was empty and still is."""
        self.may_have_lost = False
        if self.counted is not None:
            self.counted = replace(self.counted, at=now)
            self.living = self.counted.living

    def carry(self, glanced: Living | None) -> None:
        """Not counted in this look: what came by its numbers, what left by the server's statistics."""
        counted, living, flow = self.counted, self.living, self.flow
        self.may_have_lost = True
        if counted is None or living is None:
            return
        left = max(self.listed.deleted - counted.deleted, 0)
        came = max(flow.allocated - counted.allocated, 0)
        total = max(counted.living.total + came - left, 0)
        flow.carry(min(left, counted.living.total + came))
        rest = glanced or living
        self.living = replace(rest, total=max(total, rest.scheduled + rest.active if glanced else 0))

    def retries(self, now: dict[int, int], *, count: bool) -> int:
        """Reads beyond the first since the last time, of messages that are in the queue; `now`: all their reads."""
        now = {message: reads for message, reads in now.items() if message not in (self.archived or ())}
        known, self.retried = self.retried, now
        if known is None and not count:
            return 0
        known = known or {}
        return sum(max(reads - known.get(message, 1), 0) for message, reads in now.items())

    def retries_of_archived(self, message: int, reads: int) -> int:
        """The same, of a message that has just been archived."""
        if self.archived is not None:
            self.archived.add(message)
        known = 1 if self.retried is None else self.retried.pop(message, 1)
        return max(reads - known, 0)
