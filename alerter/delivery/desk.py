"""One receiver's deliveries: a dispatcher that claims, and workers that send."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from sqlalchemy.engine import Connection

from alerter.delivery.circuit import Circuit
from alerter.delivery.leases import Leases
from alerter.delivery.pace import Pace
from alerter.delivery.sharing import Shared
from alerter.model import Reason
from alerter.outbox import claims, outcomes
from alerter.outbox.claim import Claim
from alerter.receivers.base import Accepted, DeliveryFailed, Receiver
from alerter.store.engine import Store, StoreFailed
from alerter.tally import Tally
from chassis.backoff import Backoff
from chassis.clock import Clock
from chassis.log import Repeats, get_logger

log = get_logger(__name__)

WORKERS = 16
ORDINARY = 12  # of them for what is not urgent
_LOOK = 1.0  # seconds between looks at what other replicas, or the passing of time, made due
_SOON = 0.02  # seconds until another look where more is waiting than may be sent
_NOTINGS = 8  # times that an outcome is noted at most, within about half a minute


class Desk:
    """Started and stopped once. `wake` says that there is something new."""

    def __init__(
        self,
        receiver: Receiver,
        store: Store,
        clock: Clock,
        tally: Tally,
        *,
        before: Desk | None = None,
        unchanged: bool = False,
        backoff: Backoff | None = None,
    ) -> None:
        self.receiver = receiver
        # Nothing has been put right by a reload that changes nothing here.
        self.circuit: Circuit = before.circuit if before and unchanged else Circuit(clock)
        # The provider's count goes on, whatever is read here anew.
        known = before if before and before.receiver.rate == receiver.rate else None
        self.pace: Pace = known.pace if known else Pace(receiver.rate, clock)
        self.shared: Shared = known.shared if known else Shared(store, clock, self.pace, receiver.name)
        self._store = store
        self._clock = clock
        self._tally = tally
        self._backoff = backoff or Backoff(1.0, 60.0)
        self._holder = str(uuid.uuid4())
        self._repeats = Repeats(log)
        self._news = threading.Event()
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._busy = {True: 0, False: 0}
        self._leases = Leases(store, clock, self._holder)
        self._patience = Backoff(0.2, 10.0)
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix=f"deliver-{receiver.name}")
        self._dispatcher = threading.Thread(target=self._dispatch, name=f"desk-{receiver.name}", daemon=True)

    def start(self) -> None:
        """Deliver from now on."""
        self._dispatcher.start()

    def wake(self) -> None:
        """There may be something to do."""
        self._news.set()

    def stop(self, timeout: float) -> None:
        """Begins nothing more; what is under way may end within `timeout` seconds. What does not is sent again."""
        self._stopping.set()
        self._news.set()
        if self._dispatcher.ident is not None:
            self._dispatcher.join(timeout)
        ender = threading.Thread(target=self._pool.shutdown, kwargs={"cancel_futures": True}, daemon=True)
        ender.start()
        until = time.monotonic() + timeout
        while ender.is_alive() and (left := until - time.monotonic()) > 0:
            with suppress(StoreFailed):
                self._leases.renew()
            ender.join(min(left, _LOOK))
        self.receiver.close()

    def _dispatch(self) -> None:
        while not self._stopping.is_set():
            self._news.clear()
            try:
                self._leases.renew()
                pause = self._round()
                self._repeats.recovered("store", "store is back", receiver=self.receiver.name)
            except StoreFailed as error:
                self._repeats.failed(
                    "store", "nothing can be delivered", reason=str(error), receiver=self.receiver.name
                )
                pause = _LOOK
            except Exception:  # a defect; this receiver goes on all the same, since nothing else would deliver
                log.exception("dispatching failed", receiver=self.receiver.name)
                pause = _LOOK
            self._news.wait(pause)

    def _round(self) -> float:
        """Claims what may be sent and hands it out; answers the seconds until the next look."""
        wait = max(self.circuit.wait(), self.pace.wait())
        if wait:
            return min(wait, _LOOK)
        name = self.receiver.name
        with self._store.read() as connection:
            moment = self._store.moment(connection)
            urgent = claims.look(connection, name, moment)
            if urgent is None:
                return _LOOK
            kinds = (True, False) if urgent else (False,)
            storms = [kind for kind in kinds if self._is_storm(connection, moment, kind)]
        for kind in storms:
            with self._store.touch(turn=name) as connection:
                count = claims.collapse(connection, name, moment, urgent=kind)
            if count:
                log.warning("storm collapsed", receiver=name, alerts=count, urgent=kind)
        return _SOON if self._hand_out(kinds) else _LOOK

    def _is_storm(self, connection: Connection, moment: float, urgent: bool) -> bool:
        """Whether more waits than the rate bears: it becomes one message, which names the count and the worst.

        While nothing may be sent, nothing is decided: what comes meanwhile is part of the same message.
        """
        free = self.pace.free(urgent=urgent)
        limit = free + self.pace.bearable
        return free > 0 and claims.waiting(connection, self.receiver.name, moment, limit + 1, urgent=urgent) > limit

    def _hand_out(self, kinds: tuple[bool, ...]) -> int:
        """Claims of each kind, urgent or not, as many as may be sent; answers how many it were."""
        claimed: list[tuple[Claim, bool]] = []
        if self._stopping.is_set() or not any(self._room(kind, 0) for kind in kinds):
            return 0
        with self._store.touch(turn=self.receiver.name) as connection:
            moment = self._store.moment(connection)
            self.shared.listen(connection, moment)
            for kind in kinds:
                if count := self._room(kind, len(claimed)):
                    found = claims.claim(connection, self.receiver.name, self._holder, moment, count, urgent=kind)
                    claimed += [(each, kind) for each in found]
            self.shared.tell(connection, moment, sum(each.message is not None for each, _ in claimed))
        for each, kind in claimed:
            if each.message is not None:
                self.pace.take(1)
                self.circuit.trying()
            self._leases.began(each)
            with self._lock:
                self._busy[kind] += 1
            self._pool.submit(self._work, each, kind)
        return len(claimed)

    def _room(self, urgent: bool, taken: int) -> int:
        """How many more of a kind may be claimed, beside so many that are `taken` already."""
        with self._lock:
            room = WORKERS - sum(self._busy.values())
            most = WORKERS if urgent else ORDINARY - self._busy[False]
        permitted = self.circuit.permits(max(min(room, self.pace.free(urgent=urgent)), 0))
        return max(min(permitted - taken, most), 0)

    def _work(self, claimed: Claim, urgent: bool) -> None:
        try:
            self._deliver(claimed)
        except StoreFailed as error:
            # What is not noted is sent again when its lease ends: at least once.
            self._repeats.failed("note", "a delivery's outcome cannot be noted", reason=str(error))
        except Exception:  # a defect; the delivery is sent again when its lease ends
            log.exception("delivering failed", receiver=self.receiver.name)
        finally:
            with self._lock:
                self._busy[urgent] -= 1
            self._leases.ended(claimed)
            self._news.set()

    def _deliver(self, claimed: Claim) -> None:
        if claimed.message is None:
            self._note(lambda connection: outcomes.settle(connection, claimed, self._holder, self._clock.now()))
            self._ended(claimed, claimed.settled)
            return
        try:
            accepted = self._send(claimed)
        except DeliveryFailed as failure:
            self._failed(claimed, failure)
            return
        self.circuit.succeeded()
        now = self._clock.now()
        self._note(lambda connection: outcomes.accept(connection, claimed, self._holder, accepted, now))
        self._ended(claimed, "accepted")
        self._tally.delivered(self.receiver.name, claimed.severity, max(now - claimed.received_at, 0.0))
        log.info("delivered", **self._fields(claimed), note=accepted.note)

    def _note(self, note: Callable[[Connection], object]) -> None:
        """Again for a while if the store cannot: what is not noted is sent again."""
        for attempt in range(_NOTINGS):
            try:
                with self._store.touch() as connection:
                    note(connection)
                return
            except StoreFailed:
                if attempt + 1 == _NOTINGS or self._stopping.wait(self._patience.bound(attempt)):
                    raise

    def _ended(self, claimed: Claim, outcome: str) -> None:
        for _ in claimed.ids:
            self._tally.ended(self.receiver.name, outcome)

    def _send(self, claimed: Claim) -> Accepted:
        if claimed.message is None:  # never; it says so to the type checker
            return Accepted()
        try:
            return self.receiver.send(claimed.message)
        except DeliveryFailed:
            raise
        except Exception as error:
            log.exception("a receiver broke", **self._fields(claimed))
            text = f"{type(error).__name__} in the receiver; the log has more"
            raise DeliveryFailed(Reason.INTERNAL, text, retry=True) from error

    def _failed(self, claimed: Claim, failure: DeliveryFailed) -> None:
        self.circuit.failed(failure)
        self._tally.failed(self.receiver.name, failure.reason)
        now = self._clock.now()
        final = not failure.retry or (failure.ambiguous and claimed.ambiguities >= 1)
        # Of what the provider did not even look at, nothing was tried.
        counts = not failure.opens_circuit and failure.reason is not Reason.RATE_LIMITED
        wait = failure.after if failure.after is not None else self._backoff.delay(claimed.attempts - 1)
        if failure.opens_circuit:
            wait = 0.0  # the circuit waits, for all of them

        def note(connection: Connection) -> None:
            if final:
                outcomes.bury(connection, claimed, self._holder, failure, now)
            else:
                until = self._store.moment(connection) + wait
                outcomes.postpone(connection, claimed, self._holder, failure, until, counts=counts)

        self._note(note)
        if final:
            self._ended(claimed, "dead")
        log.warning("not delivered", **self._fields(claimed), reason=failure.reason, error=failure.text, final=final)

    def _fields(self, claimed: Claim) -> dict[str, object]:
        return {
            "receiver": self.receiver.name,
            "action": claimed.action,
            "alerts": len(claimed.episodes),
            "episode": claimed.episodes[0],
            "severity": claimed.severity,
            "attempt": claimed.attempts,
        }
