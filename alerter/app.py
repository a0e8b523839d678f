"""Constructs the alerter from its settings and wires it: the one place where objects meet."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from starlette.types import ASGIApp

from alerter.catalogue import CATALOGUE
from alerter.delivery.office import Office, listening
from alerter.duties import itself
from alerter.duties.crew import Duties
from alerter.duties.taking import Taking
from alerter.intake.desk import Intake
from alerter.model import Severity
from alerter.outbox import overview
from alerter.settings import AlerterSettings, remarks
from alerter.showing import VERSION, Showing
from alerter.store import auditing
from alerter.store.auditing import Deed
from alerter.store.engine import Store, StoreFailed, StoreUnusable
from alerter.tally import Tally
from alerter.web import feed, hearing, landing, webhook
from chassis import interpreter
from chassis.board import Board, BoardEndpoint
from chassis.clock import Clock
from chassis.lifecycle import ReloadState
from chassis.log import Repeats, get_logger
from chassis.settings import SettingsError
from chassis.web import Ready, Server, build_app

log = get_logger(__name__)

_KNOCK = 2.0  # seconds between looks whether a server that was away at the start is there
REFUSALS = 60.0  # seconds between audit entries of refused log-ins from one address


class App:
    """The alerter as a daemon."""

    def __init__(
        self, settings: AlerterSettings, load: Callable[[], AlerterSettings], state: ReloadState, clock: Clock
    ) -> None:
        """Raises StoreUnusable if the store's address is none."""
        self._load = load
        self._clock = clock
        self._settings = settings
        self._tally = Tally()
        board = Board([metric.family for metric in CATALOGUE], clock)
        self._metrics = BoardEndpoint(board)
        self._store = Store(settings.storage, clock)
        self._office = Office(settings, self._store, clock, self._tally)
        self._intake = Intake(self._store, clock, self._office.policy, self.wake, self._tally.superseded)
        self._taking = Taking(self._store, clock, lambda: self._office.policy, self.wake)
        self._duties = Duties(self._store, clock, settings, self._office.policy, self, self._tally, self._tick)
        self._showing = Showing(
            board, self._store, clock, self._tally, self._duties, self._intake, state, lambda: self._office.desks
        )
        self._stopping = threading.Event()
        self._refusals: dict[str, float] = {}
        self._server = Server(self._web(settings), settings.web, log)

    @property
    def url(self) -> str:
        """Where it answers, once started."""
        return self._server.url

    def start(self) -> None:
        """Open the store, listen, deliver. Raises StoreUnusable or ListenFailed, and StoreFailed of SQLite."""
        interpreter.prepare()
        self._open()
        self._intake.start()
        self._server.start()
        self._office.start()
        self._duties.start()
        log.info("started", version=VERSION, url=self._server.url, receivers=len(self._office.desks))
        self._remark()

    def _open(self) -> None:
        """A server that is away is waited for: whoever ends is begun anew later and later by those who watch it."""
        try:
            self._store.open()
        except StoreUnusable:
            raise
        except StoreFailed as error:
            if self._store.is_sqlite:
                raise
            self._duties.trouble = str(error)
            threading.Thread(target=self._open_later, args=(error,), name="opening", daemon=True).start()
            return
        with self._store.write() as connection:
            overview.free_leases(connection, self._store, self._clock.now())
        self._showing.publish()

    def _open_later(self, error: StoreFailed) -> None:
        repeats = Repeats(log)
        while True:
            repeats.failed("store", "waiting for the store; alerts are answered 503 meanwhile", reason=str(error))
            if self._stopping.wait(_KNOCK):
                return
            try:
                self._store.open()
            except StoreFailed as again:
                error = again
            except Exception:  # a defect; nothing would be taken in for ever, if nobody tried again
                log.exception("opening failed")
            else:
                repeats.recovered("store", "store is there")
                return

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
            self._showing.withdraw(name)
        self._server.replace(self._web(settings))
        self._write_down("configuration", Deed.RELOADED, f"{len(office.desks)} receivers")
        log.info("reloaded", receivers=len(office.desks))
        self._remark()

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
        heard_by = listening(settings)
        inner = build_app(
            [
                landing.route(self._showing.picture),
                *webhook.routes(self._intake, self._tally, settings.web.max_body, self._truncated),
                *feed.routes(
                    self._store, self._clock, lambda: self._settings.feed.keep, self._taking.by_hand, self._stopping
                ),
                *hearing.routes(heard_by, self._taking.heard),
            ],
            settings.web,
            signed=[each.path for each in heard_by],
            metrics=self._metrics,
            ready=self._ready,
            logger=log,
        )
        return webhook.Door(inner, self._tally, self._too_large, self._refused, settings.external_url)

    def _tick(self) -> None:
        self._showing.publish()

    def _remark(self) -> None:
        for remark in remarks(self._settings, self._clock.now()):
            log.warning("remark", about="configuration", remark=remark)

    def _too_large(self) -> None:
        self._raise_own(itself.TOO_LARGE, Severity.CRITICAL)

    def _truncated(self) -> None:
        self._raise_own(itself.TRUNCATED, Severity.WARNING)

    def _raise_own(self, name: str, severity: Severity) -> None:
        try:
            self._duties.raise_own(name, severity)
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
        trouble = self._duties.trouble or self._intake.trouble
        return Ready(not trouble, trouble or "takes alerts in")


def watched_files(path: Path) -> list[Path]:
    """Files whose change is a reason to reload: the configuration. Secrets are read when they are used."""
    return [path]
