"""Webhooks that wait for their commit: one transaction takes all that have come meanwhile."""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress

from alerter.intake import booking
from alerter.intake.states import Change
from alerter.model import Alert
from alerter.routing.policy import Policy
from alerter.store.engine import Store, StoreFailed
from chassis.clock import Clock
from chassis.log import Repeats, get_logger

log = get_logger(__name__)

WAITING = 256  # webhooks; beyond that the sender is asked to come again
_TOGETHER = 200  # webhooks in one transaction
_RECENT = 30.0  # seconds after which it is worth another try: whoever is said not to be ready may hear of none
_ALERTS = 5000  # alerts after which a transaction takes no further webhook


class Overloaded(Exception):
    """Nothing can be taken in now; the text says why."""


class Intake:
    """Takes alerts in, in a thread of its own. `policy` may be replaced at any time."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        policy: Policy,
        wake: Callable[[set[str]], None],
        superseded: Callable[[Mapping[str, int]], None],
    ) -> None:
        """`wake` is told who has something to do, `superseded` of how many deliveries each is spared."""
        self.policy = policy
        self._superseded = superseded
        self._store = store
        self._clock = clock
        self._wake = wake
        self._repeats = Repeats(log)
        self._queue: queue.Queue[tuple[Sequence[Alert], Future[Counter[Change]]] | None] = queue.Queue(WAITING)
        self._thread = threading.Thread(target=self._work, name="intake", daemon=True)
        self._open = False
        self._refused: tuple[str, float] | None = None  # why nothing could be taken in, and when; monotonic seconds

    @property
    def trouble(self) -> str:
        """Why nothing can be taken in, as the last webhook of the last half minute saw it; empty if it could be."""
        refused = self._refused
        return refused[0] if refused and self._clock.monotonic() - refused[1] < _RECENT else ""

    def start(self) -> None:
        """Takes in from now on."""
        self._open = True
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Commits what was handed in, within `timeout` seconds, and takes nothing more."""
        if self._open:
            self._open = False
            end = time.monotonic() + timeout
            with suppress(queue.Full):  # the store hangs; what waits is committed if it comes back before we go
                self._queue.put(None, timeout=timeout)
            self._thread.join(max(end - time.monotonic(), 0.0))

    def take(self, alerts: Sequence[Alert]) -> Future[Counter[Change]]:
        """Done with the commit; fails with StoreFailed. Each key may be there once. Raises Overloaded."""
        if not self._open:
            raise Overloaded("the alerter is stopping")
        done: Future[Counter[Change]] = Future()
        try:
            self._queue.put_nowait((alerts, done))
        except queue.Full:
            raise Overloaded("too many webhooks wait for the store") from None
        return done

    def _work(self) -> None:
        while (first := self._queue.get()) is not None:
            batch, size, ended = [first], len(first[0]), False
            while size < _ALERTS and len(batch) < _TOGETHER and not ended:
                try:
                    more = self._queue.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    ended = True
                else:
                    batch.append(more)
                    size += len(more[0])
            self._commit(batch)
            if ended or (not self._open and self._queue.empty()):
                return

    def _commit(self, batch: list[tuple[Sequence[Alert], Future[Counter[Change]]]]) -> None:
        try:
            policy, now = self.policy, self._clock.now()
            with self._store.write() as connection:
                taken = booking.take_all(connection, policy, [alerts for alerts, _ in batch], now)
        except Exception as error:
            if len(batch) > 1:  # one of them may be the cause: none has to pay for another's
                for each in batch:
                    self._commit([each])
                return
            if isinstance(error, StoreFailed):
                self._repeats.failed("store", "nothing can be taken in", reason=str(error))
                self._refused = str(error), self._clock.monotonic()
            else:
                log.exception("taking in failed")
            batch[0][1].set_exception(error)
            return
        self._repeats.recovered("store", "taking in again")
        self._refused = None
        for (_, done), result in zip(batch, taken, strict=True):
            done.set_result(result.changes)
        self._wake(taken[0].wake)
        self._superseded(taken[0].superseded)
        # Once for all of them: in a storm a line for each would take longer than the webhooks.
        changes = sum((each.changes for each in taken), Counter[Change]())
        counts = {change.value: count for change, count in changes.items()}
        log.info("taken in", webhooks=len(batch), alerts=sum(len(alerts) for alerts, _ in batch), **counts)
