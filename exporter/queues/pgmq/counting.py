"""Counts what is in the queues: small ones at each look, large ones when the budget allows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from exporter.clients.session import Session
from exporter.jobs.ledger import Targets
from exporter.queues.pgmq.asking import Asked, ask
from exporter.queues.pgmq.flow import Flow
from exporter.queues.pgmq.listing import Listed
from exporter.queues.pgmq.queue import MOST_RETRIED, NARROW, SMALL, Count, Followed, Living

# Of all queues together, in one quick look.
QUICK_MESSAGES = 20_000  # that are counted, and as many that are not ready in queues too large for that
QUICK_PAGES = 6_000
NEVER = 10.0**9  # seconds
EMPTY = (0, 0, 0, 0, None, None, 0, 0, 0, None, None)  # what `count` has no row for


@dataclass(frozen=True)
class Due:
    """A queue that is to be counted in a snapshot, as it stood just before that."""

    queue: Followed
    listed: Listed
    settled: int | None


@dataclass(frozen=True)
class Found:
    """What was counted of it, and the reads of messages that were read more than once; None: not looked at."""

    due: Due
    row: tuple[Any, ...]
    reads: dict[int, int] | None


class Counting:
    """Counts in the snapshot of one look."""

    def __init__(self, tx: Session, now: float, monotonic: float, targets: Targets, *, retries: bool) -> None:
        """`now`: epoch seconds by the database's clock. `retries`: look which messages were read more than once."""
        self._tx = tx
        self._now = now
        self._monotonic = monotonic
        self._targets = targets
        self._retries = retries

    def look(self, queues: Iterable[Followed]) -> tuple[list[Found], list[Due]]:
        """Count what is small, carry the rest forward; answers what was counted, and what was not."""
        due: list[Due] = []
        large: list[Due] = []
        messages = pages = 0
        for queue in sorted(queues, key=lambda queue: queue.at_most):
            if queue.broken is not None:
                continue
            one = Due(queue, queue.listed, queue.flow.settled)
            if not queue.moved:
                queue.is_unchanged(self._now)
                queue.known_at = self._monotonic
            elif (
                queue.at_most <= SMALL
                and queue.listed.pages <= NARROW
                and messages + queue.at_most <= QUICK_MESSAGES
                and pages + queue.listed.pages <= QUICK_PAGES
            ):
                messages += queue.at_most
                pages += queue.listed.pages
                due.append(one)
            else:
                large.append(one)
        found = self.count(due)
        self._glance([one.queue for one in large if one.queue.counted is not None])
        return found, large

    def count(self, due: Iterable[Due], **how: int) -> list[Found]:
        """Count exactly, and change nothing: `enter` does, later if need be."""
        by_queue = {id(one.queue): one for one in due}
        asked: list[Asked] = [(one.queue, self._names(one.queue, one.settled)) for one in by_queue.values()]
        rows = {id(queue): row for queue, row in ask(self._tx, "count", asked, **how)}
        rows |= {key: EMPTY for key, one in by_queue.items() if key not in rows and one.queue.broken is None}
        changed = [by_queue[key].queue for key, row in rows.items() if self._look_at_reads(by_queue[key].queue, row)]
        reads: dict[int, dict[int, int]] = {id(queue): {} for queue in changed}
        some: list[Asked] = [(queue, {}) for queue in changed if _retried(rows[id(queue)])[0]]
        for queue, (message, times) in ask(self._tx, "retried", some, **how):
            reads[id(queue)][message] = times
        return [Found(by_queue[key], row, reads.get(key)) for key, row in rows.items()]

    def enter(self, found: Found) -> None:
        """Take a count over."""
        queue, listed, settled = found.due.queue, found.due.listed, found.due.settled
        total, unsettled, scheduled, active, ready, read, stuck, _, _, oldest, newest = found.row
        before, gone = queue.counted, queue.flow.gone
        if before is not None and before.at > self._now:
            return  # a later look has counted it meanwhile
        last = queue.flow.allocated if listed.allocated is None else listed.allocated
        queue.may_have_lost = before is None or before.living.total + max(last - before.allocated, 0) != total
        allocated = _advance(queue, listed, settled, total, unsettled, newest or 0)
        living = Living(total, scheduled, active, ready, read, stuck)
        known_settled = None if listed.allocated is None else settled
        counted = Count(
            living, self._now, allocated, known_settled, listed.deleted, listed.filenode, _retried(found.row)
        )
        if before is not None and _was_emptied(before, counted, oldest):
            queue.flow.purge(before.living.total, gone)
        queue.counted, queue.living, queue.known_at = counted, living, self._monotonic

    def _look_at_reads(self, queue: Followed, row: tuple[Any, ...]) -> bool:
        before = queue.counted
        changed = before is None or before.retried != _retried(row)
        return self._retries and changed and _retried(row)[0] <= MOST_RETRIED

    def _names(self, queue: Followed, settled: int | None = None) -> dict[str, str]:
        limit = self._targets.of(queue.key).time_limit
        return {"settled": f"{settled or 0:d}", "late": f"{NEVER if limit is None else limit:.3f}"}

    def _glance(self, large: list[Followed]) -> None:
        glanced: dict[int, Living] = {}
        near: list[Asked] = []
        messages = 0
        for queue in sorted(large, key=lambda queue: queue.unready):
            if queue.can_be_glanced_at and messages + queue.unready <= QUICK_MESSAGES:
                messages += queue.unready
                near.append((queue, self._names(queue)))
        for queue, (scheduled, active, ready, read, stuck) in ask(self._tx, "glance", near):
            glanced[id(queue)] = Living(0, scheduled, active, ready, read, stuck)
        for queue in large:
            if queue.broken is None:
                queue.carry(glanced.get(id(queue)))
                queue.known_at = self._monotonic


def _retried(row: tuple[Any, ...]) -> tuple[int, int]:
    return row[7], row[8]


def _advance(queue: Followed, listed: Listed, settled: int | None, total: int, unsettled: int, newest: int) -> int:
    """Tell the flow of an exact count; answers what was numbered then. `newest`: the largest number in the queue."""
    flow, before = queue.flow, queue.counted
    if queue.resuming:
        queue.resuming = False
        came = max(newest - flow.allocated, 0)
        anew = listed.allocated is not None and listed.allocated < flow.allocated
        known = before is not None and not (listed.unlogged or anew)
        left = came - (total - before.living.total) if known and before is not None else 0
        allocated = max(newest, flow.allocated) if listed.allocated is None else listed.allocated
        flow.resume(allocated, newest, total, left)
        return allocated
    if listed.allocated is None:
        # Nobody says what was numbered: the newest that is there is as good as can be seen.
        if before is None:
            queue.flow = flow = Flow(newest, born=False)
        allocated = max(newest, flow.allocated)
        flow.allocate(allocated, frozenset())
        flow.count(allocated, total, 0)
        return allocated
    flow.count(settled, total, unsettled)
    return listed.allocated


def _was_emptied(before: Count, now: Count, oldest: int | None) -> bool:
    """Whether all that was there was thrown away together: the table is another file, and none of it is in there."""
    if None in (before.filenode, now.filenode) or before.filenode == now.filenode:
        return False
    return oldest is None or oldest > before.allocated
