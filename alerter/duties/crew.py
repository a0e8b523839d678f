"""The threads behind the duties."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy.engine import Connection

from alerter.duties import alertmanager, due, itself, keeping, reconcile, steps
from alerter.duties.sightings import Sightings
from alerter.intake import booking, echoes
from alerter.intake.booking import LAST_SEEN
from alerter.model import Severity
from alerter.routing.matchers import all_match
from alerter.routing.policy import DEADMAN, Policy
from alerter.settings import AlerterSettings
from alerter.store import episodes as rows
from alerter.store.engine import Store, StoreFailed
from alerter.tally import Tally
from chassis.clock import Clock
from chassis.log import Repeats, get_logger

log = get_logger(__name__)

TICK = 1.0  # seconds
PROBATION = 60.0  # seconds for which a receiver may be down before it is said
_SWEEP = 600.0  # seconds between looks at what is old
_BREATH = 0.05  # seconds between steps of it


class Post(Protocol):
    """What the duties ask of those who deliver."""

    def failing(self, after: float) -> dict[str, tuple[str, bool]]:
        """Receivers that are down for `after` seconds or refuse us: their last error, and whether they refuse."""

    def wake(self, receivers: set[str]) -> None:
        """They have something to do."""


@dataclass
class Figures:
    """What was done, for the metrics."""

    fallbacks: int = 0
    escalations: int = 0
    reconciled: int = 0
    reconciled_at: float = 0.0  # last success, seconds since the epoch
    watchdog_at: float = 0.0


class Duties:
    """Started and stopped once; `settings` and `policy` may be replaced at any time."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        settings: AlerterSettings,
        policy: Policy,
        post: Post,
        tally: Tally,
        every_tick: Callable[[], None] = lambda: None,
    ) -> None:
        self.settings = settings
        self.policy = policy
        self.figures = Figures()
        self.trouble = ""
        """Why the store cannot be used, as the last tick saw it; empty while it can."""
        self._store = store
        self._clock = clock
        self._post = post
        self._tally = tally
        self._every_tick = every_tick
        self._repeats = Repeats(log)
        self._stopping = threading.Event()
        self._started = clock.now()
        self._steps = steps.Steps(clock)
        self._sightings = Sightings(clock)
        self._missing: dict[int, float] = {}
        self._threads = [
            threading.Thread(target=self._run, args=("duties", self.tick, lambda: TICK), name="duties", daemon=True),
            threading.Thread(
                target=self._run,
                args=("reconcile", self.reconcile, lambda: self.settings.reconcile.every),
                name="reconcile",
                daemon=True,
            ),
            threading.Thread(target=self._run, args=("sweep", self.sweep, lambda: _SWEEP), name="sweep", daemon=True),
        ]

    def start(self) -> None:
        """From now on."""
        for thread in self._threads:
            thread.start()

    def stop(self, timeout: float) -> None:
        """Ends within `timeout` seconds, but for a look at an Alertmanager that hangs."""
        self._stopping.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(timeout / len(self._threads))

    def raise_own(self, name: str, severity: Severity) -> None:
        """Books an alert about ourselves. Raises StoreFailed."""
        now = self._clock.now()
        with self._store.write() as connection:
            alert = itself.alert(name, severity, now, runbooks=booking.recall(connection, booking.RUNBOOKS))
            taken = booking.take(connection, self.policy, [alert], now)
        self._post.wake(taken.wake)

    def tick(self) -> None:
        """What is due now. Raises StoreFailed; what is shown to people is renewed all the same."""
        try:
            self._do_what_is_due()
        finally:
            self._every_tick()

    def _do_what_is_due(self) -> None:
        self._keep_pace()
        now = self._clock.now()
        failing = self._post.failing(PROBATION)
        unreachable = [name for name, (_, refused) in failing.items() if refused]
        with self._store.read() as connection:
            is_due = connection.execute(due.due(now, unreachable)).scalar()
            heard = echoes.waiting(connection, now)
            missing = self._watchdog_missing(connection, now)
            mine = {name: error for name, (error, _) in failing.items()}
            errors = self._sightings.of_others(connection, now) | mine
            news = itself.news(connection, errors, watchdog_missing=missing, now=now)
        wake: set[str] = set()
        if is_due:
            with self._store.write() as connection:
                done = due.look(connection, self.policy, unreachable, now)
            wake |= done.wake
            self.figures.fallbacks += done.fallbacks
            self.figures.escalations += done.escalations
            for receiver in done.expired:
                self._tally.expired(receiver)
            if done.any:
                log.info("due", fallbacks=done.fallbacks, escalations=done.escalations, repeats=done.repeats,
                    expired=len(done.expired))  # fmt: skip
        if self._sightings.is_news(mine):
            with self._store.write() as connection:
                self._sightings.say(connection, mine, now)
        if news:
            with self._store.write() as connection:
                # Anew, behind the writers' lock: another replica may have told it by now.
                news = itself.news(connection, errors, watchdog_missing=missing, now=now)
                wake |= booking.take(connection, self.policy, news, now).wake
            for alert in news:
                log.warning("own alert", alert=alert.name, status=alert.status, about=alert.labels.get("receiver", ""))
        if heard:
            with self._store.write() as connection:
                late = echoes.ripe(connection, now)
                wake |= booking.take(connection, self.policy, late, now).wake
            for alert in late:
                log.warning("fires all the same", alert=alert.name, said_by=alert.external_url)
        if wake:
            self._post.wake(wake)

    def _keep_pace(self) -> None:
        """Deadlines move with a clock that is set."""
        step = self._steps.take()
        if not step:
            return
        self._started += step
        log.warning("the clock was set", seconds=round(step, 3))
        if self._store.is_sqlite:
            with self._store.write() as connection:
                steps.move(connection, step, self._clock.now())

    def _watchdog_missing(self, connection: Connection, now: float) -> bool:
        text = booking.recall(connection, LAST_SEEN)
        self.figures.watchdog_at = float(text) if text else 0.0
        deadman = self.settings.deadman
        if deadman is None:
            return False
        # Whoever starts gives the first one its time, but does not hold for over what another has seen.
        since = 0.0 if itself.fires(connection, DEADMAN) else self._started
        return now - max(self.figures.watchdog_at, since) > deadman.every

    def sweep(self) -> None:
        """All that is old goes, step by step, with pauses for those who have more to do."""
        settings, gone = self.settings, keeping.STEP
        while gone >= keeping.STEP and not self._stopping.wait(_BREATH):
            gone = keeping.sweep(self._store, settings.history.keep, settings.audit.keep, self._clock.now())
        while not self._stopping.wait(_BREATH) and self._store.shrink():
            pass

    def reconcile(self) -> None:
        """One look at all Alertmanagers."""
        options = self.settings.reconcile
        if not options.alertmanagers:
            return
        now, moment = self._clock.now(), self._clock.monotonic()
        try:
            views = [alertmanager.look(url) for url in options.alertmanagers]
        except alertmanager.Unreachable as error:
            self._missing.clear()
            self._repeats.failed("alertmanagers", "alertmanager cannot be asked", reason=str(error))
            return
        self._repeats.recovered("alertmanagers", "alertmanager answers again")
        self.figures.reconciled_at = now
        if because := reconcile.obstacle(views, now) or self._blind():
            self._missing.clear()
            log.debug("nothing reconciled", because=because)
            return
        with self._store.read() as connection:
            incidents = reconcile.incidents(connection, options.sources)
        reasons = reconcile.absent(incidents, views)
        self._missing = reconcile.remembered(self._missing, reasons, moment)
        ripe = reconcile.ripe(self._missing, options.after, moment)
        for some in rows.chunks(ripe):
            with self._store.write() as connection:
                why = {each: reasons[each] for each in some}
                count, wake, spared = reconcile.close(connection, self.policy, why, now)
            self.figures.reconciled += count
            self._post.wake(wake)
            self._tally.superseded(spared)
            log.info("reconciled", alerts=count)

    def _blind(self) -> str:
        """What cannot be seen is not over."""
        with self._store.read() as connection:
            for labels in rows.firing_labels(connection):
                if all_match(self.settings.reconcile.unless, labels):
                    return f"{labels.get('alertname', 'an alert')} fires: what it would tell cannot be seen"
        return ""

    def _run(self, name: str, work: Callable[[], None], pause: Callable[[], float]) -> None:
        while not self._stopping.is_set():
            try:
                work()
                self._repeats.recovered(name, "store is back", duty=name)
                if work == self.tick:
                    self.trouble = ""
            except StoreFailed as error:
                self.trouble = str(error)
                self._repeats.failed(name, "duty failed", reason=str(error), duty=name)
            except Exception:  # a defect; the other duties, and the next turn of this one, go on
                log.exception("duty failed", duty=name)
            self._stopping.wait(pause())
