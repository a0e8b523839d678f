"""What became of messages, from what was seen of each queue into the ledger."""

from __future__ import annotations

from collections.abc import Iterable

from exporter.clients.session import Session
from exporter.jobs.ledger import Ledger
from exporter.queues.pgmq.asking import Asked, ask
from exporter.queues.pgmq.queue import Followed


def find_last_ends(tx: Session, queues: Iterable[Followed], ledger: Ledger, now: float) -> None:
    """When messages last left: by the archive, or `now` (epoch seconds) if they were deleted."""
    left = [q for q in queues if q.broken is None and q.flow.gone > q.ends_seen]
    seekable: list[Asked] = [(queue, {}) for queue in left if queue.listed.seek_archive]
    archived = {id(queue): last for queue, (last,) in ask(tx, "last_archived", seekable)}
    for queue in left:
        tally = ledger.tally(queue.key)
        last = archived.get(id(queue))
        if queue.ends_seen >= 0 and (last is None or last <= (tally.last_finished or 0.0)):
            last = now
        queue.ends_seen = queue.flow.gone
        if last is not None:
            tally.last_finished = max(last, tally.last_finished or last)


def tell(queues: Iterable[Followed], ledger: Ledger, now: float, *, ends: bool) -> None:
    """Add what is new at `now` (epoch seconds) to the ledger.

    `ends`: how messages ended as well, since no table of the project's tells it. What is sent to the dead-letter
    queue of a queue is one of its messages that has failed; that message leaves the queue itself too, before or after,
    and is not counted as completed for it.
    """
    queues = list(queues)
    by_name = {queue.listed.name.lower(): queue for queue in queues}
    for queue in queues:
        new = queue.flow.enqueued - queue.told.enqueued
        queue.told.enqueued += new
        ledger.tally(queue.key).enqueued += new
        failed_of = by_name.get((queue.listed.base_name or "").lower())
        if failed_of is not None:
            failed_of.failed += new
    for queue in queues if ends else ():
        flow, told = queue.flow, queue.told
        tally = ledger.tally(queue.key)
        finished = tally.finished
        if queue.failed > told.failed:
            tally.note_failures(now, queue.failed - told.failed)
        finished["cancelled"] += flow.purged - told.purged
        finished["failed"] += queue.failed - told.failed
        completed = max(flow.gone - flow.purged - queue.failed, told.completed)
        finished["completed"] += completed - told.completed
        told.gone, told.purged, told.failed, told.completed = flow.gone, flow.purged, queue.failed, completed
