"""Constructs the alerter from its settings and wires it: the one place where objects meet."""

from __future__ import annotations

import platform
import threading
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.process_collector import ProcessCollector
from starlette.types import ASGIApp

from alerter import receivers
from alerter.catalogue import CATALOGUE
from alerter.delivery.circuit import State
from alerter.delivery.desk import Desk
from alerter.duties import due, itself
from alerter.duties.crew import Duties
from alerter.intake.desk import Intake
from alerter.messages.templates import Templates
from alerter.model import Severity
from alerter.outbox import overview
from alerter.receivers.base import Receiver, ReceiverContext, Tells
from alerter.receivers.options import ReceiverOptions
from alerter.routing.policy import Ability, Policy
from alerter.settings import AlerterSettings
from alerter.store import auditing
from alerter.store.auditing import Deed
from alerter.store.engine import Store, StoreFailed
from alerter.tally import Tally
from alerter.web import feed, landing, webhook
from alerter.web.landing import Picture
from chassis.clock import Clock
from chassis.exposition import Board, BoardEndpoint, Reading
from chassis.lifecycle import ReloadState
from chassis.log import get_logger
from chassis.settings import SettingsError
from chassis.web import Ready, Server, build_app

log = get_logger(__name__)

VERSION = version("postwatch")
REFUSALS = 60.0  # seconds between audit entries of refused log-ins from one address
_PUBLISHED = 2.0  # seconds between looks at the outbox for the metrics


def build_receiver(options: ReceiverOptions, clock: Clock, external_url: str, templates: Templates) -> Receiver:
    """The receiver that `options` describe."""
    kind = next(module for module in receivers.KINDS if isinstance(options, module.Options))
    built: Receiver = kind.build(options, ReceiverContext(clock, external_url, templates))
    return built


class Office:
    """All receivers of one configuration with their desks."""

    def __init__(
        self, settings: AlerterSettings, store: Store, clock: Clock, tally: Tally, before: Office | None = None
    ) -> None:
        self._clock = clock
        self.templates = Templates(tally.template_failed)
        self.desks: dict[str, Desk] = {}
        for options in settings.receiver_options():
            receiver = build_receiver(options, clock, settings.external_url, self.templates)
            known = before.desks.get(receiver.name) if before else None
            self.desks[receiver.name] = Desk(receiver, store, clock, tally, before=known)
        self.policy = Policy(
            routing=settings.routing,
            receivers={
                name: Ability(desk.receiver.tells is Tells.GROUP, desk.receiver.actions)
                for name, desk in self.desks.items()
            },
            deadman=settings.deadman.match if settings.deadman else (),
            deadman_receivers=settings.deadman.receivers if settings.deadman else (),
        )

    def start(self) -> None:
        """Deliver from now on."""
        for desk in self.desks.values():
            desk.start()

    def stop(self, timeout: float) -> None:
        """All at once, within about `timeout` seconds."""
        threads = [threading.Thread(target=desk.stop, args=(timeout,)) for desk in self.desks.values()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout)
        self.templates.close()


class App:
    """The alerter as a daemon."""

    def __init__(
        self, settings: AlerterSettings, load: Callable[[], AlerterSettings], state: ReloadState, clock: Clock
    ) -> None:
        """Raises StoreUnusable if the store's address is none."""
        self._load = load
        self._state = state
        self._clock = clock
        self._started = clock.monotonic()
        self._settings = settings
        self._tally = Tally()
        self._board = Board([metric.family for metric in CATALOGUE], clock)
        self._store = Store(settings.storage, clock)
        self._office = Office(settings, self._store, clock, self._tally)
        self._intake = Intake(self._store, clock, self._office.policy, self.wake)
        self._duties = Duties(self._store, clock, settings, self._office.policy, self, self._publish)
        self._stopping = threading.Event()
        self._refusals: dict[str, float] = {}
        self._published = 0.0
        self._server = Server(self._web(settings), settings.web, log)

    @property
    def url(self) -> str:
        """Where it answers, once started."""
        return self._server.url

    def start(self) -> None:
        """Open the store, listen, deliver. Raises StoreFailed or ListenFailed."""
        self._store.open()
        with self._store.write() as connection:
            overview.free_leases(connection, self._store)
        self._publish()
        self._intake.start()
        self._server.start()
        self._office.start()
        self._duties.start()
        log.info("started", version=VERSION, url=self._server.url, receivers=len(self._office.desks))
        if not self._office.desks:
            log.warning("nobody_is_told", advice="name your receivers under `receivers` in the configuration")

    def reload(self) -> None:
        """Take over the configuration as it is now. Raises SettingsError, and then nothing has changed."""
        try:
            settings = self._load()
        except SettingsError as error:
            self._write_down("configuration", Deed.RELOAD_REFUSED, "; ".join(map(str, error.mistakes)))
            raise
        for part in ("log", "storage"):
            if getattr(settings, part) != getattr(self._settings, part):
                log.warning("restart_needed", what=f"{part} is taken over at a restart only")
        if (settings.web.listen, settings.web.tls) != (self._settings.web.listen, self._settings.web.tls):
            log.warning("restart_needed", what="web.listen and web.tls are taken over at a restart only")
        if settings == self._settings:
            return
        old = self._office
        office = Office(settings, self._store, self._clock, self._tally, before=old)
        # Those who take in decide by the new policy before the old desks are cleared.
        self._intake.policy = self._duties.policy = office.policy
        self._duties.settings = self._settings = settings
        self._office = office
        office.start()
        threading.Thread(target=old.stop, args=(30.0,), name="old-office", daemon=True).start()
        for name in set(old.desks) - set(office.desks):
            self._board.withdraw(f"receiver {name}")
        self._server.replace(self._web(settings))
        self._write_down("configuration", Deed.RELOADED, f"{len(office.desks)} receivers")
        log.info("reloaded", receivers=len(office.desks))

    def stop(self, timeout: float) -> None:
        """Answer what was asked, commit what was taken, finish what is under way."""
        self._stopping.set()
        self._server.stop(timeout / 4)
        self._intake.stop(timeout / 4)
        self._duties.stop(timeout / 8)
        self._office.stop(timeout / 4)
        self._store.close()

    def wake(self, names: set[str]) -> None:
        """These receivers have something to do."""
        for name in names:
            if desk := self._office.desks.get(name):
                desk.wake()

    def failing(self, after: float) -> dict[str, tuple[str, bool]]:
        """Receivers that are down for `after` seconds or refuse us: their last error, and whether they refuse."""
        now = self._clock.now()
        found = {}
        for name, desk in self._office.desks.items():
            since = desk.circuit.open_since
            if since is not None and (desk.circuit.refused or now - since >= after):
                found[name] = (desk.circuit.error, desk.circuit.refused)
        return found

    def _web(self, settings: AlerterSettings) -> ASGIApp:
        inner = build_app(
            [
                landing.route(self._picture),
                *webhook.routes(self._intake, self._tally, settings.web.max_body, self._truncated),
                *feed.routes(
                    self._store, self._clock, lambda: self._settings.feed.keep, self._acknowledge, self._stopping
                ),
            ],
            settings.web,
            metrics=BoardEndpoint(self._board),
            ready=self._ready,
            logger=log,
        )
        return webhook.Door(inner, self._tally, self._too_large, self._refused)

    def _acknowledge(self, number: int, who: str) -> bool:
        now = self._clock.now()
        with self._store.write() as connection:
            wake = due.acknowledge(connection, self._office.policy, number, who, now)
            if wake is not None:
                auditing.write_down(connection, who, Deed.ACKNOWLEDGED, f"alert {number}", now)
        self.wake(wake or set())
        return wake is not None

    def _too_large(self) -> None:
        self._raise_own(itself.TOO_LARGE, Severity.CRITICAL)

    def _truncated(self) -> None:
        self._raise_own(itself.TRUNCATED, Severity.WARNING)

    def _raise_own(self, name: str, severity: Severity) -> None:
        try:
            self._duties.raise_own(itself.alert(name, severity, self._clock.now()))
        except StoreFailed as error:
            log.error("an own alert could not be kept", alert=name, reason=str(error))  # noqa: TRY400  # no crash

    def _refused(self, address: str, path: str) -> None:
        """Once a while for each address: guessing must not fill the disk."""
        now = self._clock.monotonic()
        if now - self._refusals.get(address, -REFUSALS) < REFUSALS:
            return
        if len(self._refusals) > 1000:
            self._refusals.clear()
        self._refusals[address] = now
        self._write_down(address, Deed.LOGIN_REFUSED, path)

    def _write_down(self, who: str, what: Deed, detail: str) -> None:
        try:
            with self._store.write() as connection:
                auditing.write_down(connection, who, what, detail, self._clock.now())
        except StoreFailed as error:
            log.error("not written down", what=what, reason=str(error))  # noqa: TRY400  # no crash

    def _ready(self) -> Ready:
        if self._stopping.is_set():
            return Ready(False, "stopping")
        trouble = self._duties.trouble
        return Ready(not trouble, trouble or "takes alerts in")

    def _picture(self) -> Picture:
        office = self._office
        with self._store.read() as connection:
            return Picture(
                version=VERSION,
                now=self._clock.now(),
                up=self._clock.monotonic() - self._started,
                desks=tuple((d.receiver.name, d.receiver.kind, d.circuit.state, d.circuit.error)
                            for d in office.desks.values()),
                backlog=overview.backlog(connection),
                last=tuple(overview.last(connection, 20)),
                dead=tuple(overview.last(connection, 20, state="dead")),
                firing=tuple(overview.firing(connection, 50)),
            )  # fmt: skip

    def _publish(self) -> None:
        if self._clock.monotonic() - self._published < _PUBLISHED and self._published:
            return
        self._published = self._clock.monotonic()
        with self._store.read() as connection:
            backlog = overview.backlog(connection)
        figures = self._duties.figures
        own = "postwatch_alerter_"
        for name, desk in self._office.desks.items():
            state, found = desk.circuit.state, backlog.get(name)
            labels = {"receiver": name}
            readings = [
                Reading(f"{own}outbox_pending", labels, found.pending if found else 0),
                Reading(f"{own}dead_letters", labels, found.dead if found else 0),
                *(Reading(f"{own}receiver_state", {**labels, "state": s}, float(s is state)) for s in State),
            ]
            if found and found.oldest is not None:
                readings.append(Reading(f"{own}outbox_oldest_timestamp_seconds", labels, found.oldest))
            self._board.publish(f"receiver {name}", readings)
        readings = [
            Reading(f"{own}fallbacks_total", {}, figures.fallbacks),
            Reading(f"{own}escalations_total", {}, figures.escalations),
            Reading(f"{own}reconciled_total", {}, figures.reconciled),
            Reading("postwatch_build_info", {"version": VERSION, "python": platform.python_version()}, 1),
            Reading("postwatch_config_last_reload_successful", {}, float(self._state.last_successful)),
            Reading("postwatch_config_last_reload_timestamp_seconds", {}, self._state.last_timestamp),
            *self._tally.readings(self._office.desks),
        ]
        if figures.watchdog_at:
            readings.append(Reading(f"{own}deadman_last_seen_timestamp_seconds", {}, figures.watchdog_at))
        if figures.reconciled_at:
            readings.append(Reading(f"{own}reconcile_last_success_timestamp_seconds", {}, figures.reconciled_at))
        for family in ProcessCollector(registry=CollectorRegistry(auto_describe=False)).collect():
            readings += [Reading(s.name, s.labels, s.value) for s in family.samples]
        self._board.publish("itself", readings)


def watched_files(path: Path) -> list[Path]:
    """Files whose change is a reason to reload: the configuration. Secrets are read when they are used."""
    return [path]
