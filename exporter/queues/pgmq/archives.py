"""Reads from the archives what is told nowhere else: how often a message was read before it was archived.

The time of archiving is that of its transaction's start, so that stretches of time are read as `Horizon` plans
them; an index finds them, whatever the archives hold.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from exporter.clients.session import Session
from exporter.jobs.horizon import Plan, Stretch
from exporter.jobs.ledger import Ledger
from exporter.jobs.seen import Seen
from exporter.queues.pgmq.asking import ask
from exporter.queues.pgmq.queue import Followed

SLICE = 120.0  # seconds of an old stretch that are read in one look
SKEW = 30.0  # seconds that archived messages are remembered for beyond what is read again
BUCKET = 10.0


class Archives:
    """Retries of archived messages, each counted once. Not thread-safe: its source holds a lock."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._seen = Seen(BUCKET)

    def read(self, tx: Session, plan: Plan, queues: Iterable[Followed]) -> tuple[Stretch, ...]:
        """Read what `plan` asks for of those that have an index for it; answers what is left for the next look."""
        queues = [queue for queue in queues if queue.broken is None and queue.listed.seek_archive]
        unread = list(plan.rereads)
        if unread:
            stretch = unread.pop(0)
            high = min(stretch.high, stretch.low + SLICE)
            self._enter(tx, queues, Stretch(stretch.low, high, stretch.mark))
            if high < stretch.high:
                unread.insert(0, Stretch(high, stretch.high, stretch.mark))
        recent = [queue for queue in queues if queue.may_have_lost]
        self._enter(tx, recent, Stretch(plan.window.low, plan.window.high, plan.first))
        return tuple(unread)

    def looked(self, reach: float) -> None:
        """What was archived before `reach` (epoch seconds) is not read again."""
        self._seen.forget_before(reach - SKEW)

    def _enter(self, tx: Session, queues: Iterable[Followed], stretch: Stretch) -> None:
        bounds = {
            "low": f"{stretch.low:.6f}",
            "high": "'infinity'" if math.isinf(stretch.high) else f"{stretch.high:.6f}",
        }
        for queue, (message, reads, archived) in ask(tx, "archived", [(queue, bounds) for queue in queues]):
            if self._seen.add(hash((queue.listed.oid, message)), archived) and not stretch.mark:
                retries = queue.retries_of_archived(message, reads)
                if retries:
                    self._ledger.tally(queue.key).retries += retries
