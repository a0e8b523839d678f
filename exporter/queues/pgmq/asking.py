"""Asks of many queues at once, so that one which cannot answer takes nothing from the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from exporter.clients.session import Session
from exporter.model import SampleFailed
from exporter.queues.pgmq.listing import AT_ONCE, joined
from exporter.queues.pgmq.queue import Followed

ALONE = 0.05  # seconds to wait for the lock of a queue that is asked for by itself

Names = Mapping[str, str]
Asked = tuple[Followed, Names]


def ask(
    tx: Session, block: str, asked: Sequence[Asked], at_once: int = AT_ONCE
) -> Iterator[tuple[Followed, tuple[Any, ...]]]:
    """The rows of a block by queue, each without its first column, the number.

    Many queues go in one statement. If that fails each is asked by itself, and who fails then is `broken`, and asked
    by itself the next time too.
    """
    sound = [one for one in asked if not one[0].suspect]
    alone = [one for one in asked if one[0].suspect]
    for first in range(0, len(sound), at_once):
        together = sound[first : first + at_once]
        answer = _answer(tx, block, together)
        if isinstance(answer, SampleFailed):
            alone += together
        else:
            yield from answer
    for one in alone:
        queue = one[0]
        answer = _answer(tx, block, [one], lock_timeout=ALONE)
        if isinstance(answer, SampleFailed):
            queue.broken, queue.suspect = answer, True
        else:
            queue.suspect = queue.broken is not None
            yield from answer


def _answer(
    tx: Session, block: str, asked: Sequence[Asked], *, lock_timeout: float | None = None
) -> list[tuple[Followed, tuple[Any, ...]]] | SampleFailed:
    query = joined(block, ((number, queue.listed, names) for number, (queue, names) in enumerate(asked)))
    rows = tx.attempt(query, lock_timeout=lock_timeout)
    if isinstance(rows, SampleFailed):
        return rows
    return [(asked[number][0], tuple(row)) for number, *row in rows]
