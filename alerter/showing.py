"""What metrics and the page at `/` are shown, gathered from the store and from those at work."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version

from prometheus_client import CollectorRegistry
from prometheus_client.process_collector import ProcessCollector

from alerter.delivery.circuit import State
from alerter.delivery.desk import Desk
from alerter.duties.crew import Duties
from alerter.intake.desk import Intake
from alerter.outbox import overview
from alerter.store.engine import Store
from alerter.tally import Tally
from alerter.web.landing import MOST, Picture, Post
from chassis.board import Board
from chassis.clock import Clock
from chassis.exposition import Reading
from chassis.lifecycle import ReloadState

VERSION = version("postwatch")
_OWN = "postwatch_alerter_"
_EVERY = 2.0  # seconds between looks at the outbox for the metrics


class Showing:
    """Reads alone; `desks` are those of the configuration in use."""

    def __init__(
        self,
        board: Board,
        store: Store,
        clock: Clock,
        tally: Tally,
        duties: Duties,
        intake: Intake,
        reloads: ReloadState,
        desks: Callable[[], Mapping[str, Desk]],
    ) -> None:
        self._board = board
        self._store = store
        self._clock = clock
        self._tally = tally
        self._duties = duties
        self._intake = intake
        self._reloads = reloads
        self._desks = desks
        self._started = clock.monotonic()
        self._published: float | None = None

    def publish(self) -> None:
        """Renews what `/metrics` serves, unless that was done just now.

        Raises StoreFailed; then what the store knows is left out, and all else is served: 503 is counted just then.
        """
        now = self._clock.monotonic()
        if self._published is not None and now - self._published < _EVERY:
            return
        self._published = now
        desks, backlog = self._desks(), None
        self._board.publish("itself", [*self._of_all(), *self._tally.readings(desks)])
        try:
            with self._store.read() as connection:
                backlog = overview.backlog(connection)
        finally:
            for name, desk in desks.items():
                readings = list(_of_receiver(name, desk.circuit.state))
                if backlog is not None:
                    readings += _waiting(name, backlog.get(name))
                self._board.publish(_owner(name), readings)

    def withdraw(self, receiver: str) -> None:
        """It is not configured any more."""
        self._board.withdraw(_owner(receiver))

    def picture(self) -> Picture:
        """For the page. Raises StoreFailed."""
        figures, deadman = self._duties.figures, self._duties.settings.deadman
        desks = self._desks()
        with self._store.read() as connection:
            return Picture(
                version=VERSION,
                now=self._clock.now(),
                up=self._clock.monotonic() - self._started,
                posts=tuple(_post(desk) for desk in desks.values()),
                backlog=overview.backlog(connection),
                last=tuple(overview.last(connection, 20)),
                dead=tuple(overview.last(connection, 20, state="dead")),
                firing=tuple(overview.firing(connection, MOST + 1)),
                watchdog_at=figures.watchdog_at,
                watchdog_every=deadman.every if deadman else None,
                refused=not self._reloads.last_successful,
                storage=self._store.safe_url,
                deaf=self._intake.trouble,
            )

    def _of_all(self) -> Iterator[Reading]:
        figures = self._duties.figures
        yield Reading(f"{_OWN}fallbacks_total", {}, figures.fallbacks)
        yield Reading(f"{_OWN}escalations_total", {}, figures.escalations)
        yield Reading(f"{_OWN}reconciled_total", {}, figures.reconciled)
        yield Reading("postwatch_build_info", {"version": VERSION, "python": platform.python_version()}, 1)
        yield Reading("postwatch_config_last_reload_successful", {}, float(self._reloads.last_successful))
        yield Reading("postwatch_config_last_reload_timestamp_seconds", {}, self._reloads.last_timestamp)
        if figures.watchdog_at:
            yield Reading(f"{_OWN}deadman_last_seen_timestamp_seconds", {}, figures.watchdog_at)
        if figures.reconciled_at:
            yield Reading(f"{_OWN}reconcile_last_success_timestamp_seconds", {}, figures.reconciled_at)
        for family in ProcessCollector(registry=CollectorRegistry(auto_describe=False)).collect():
            yield from (Reading(sample.name, sample.labels, sample.value) for sample in family.samples)


def _owner(receiver: str) -> str:
    """On the board. No name is the beginning of another."""
    return f"receiver {receiver}/"


def _of_receiver(name: str, state: State) -> Iterator[Reading]:
    for each in State:
        yield Reading(f"{_OWN}receiver_state", {"receiver": name, "state": each}, float(each is state))


def _waiting(name: str, backlog: overview.Backlog | None) -> Iterator[Reading]:
    labels = {"receiver": name}
    yield Reading(f"{_OWN}outbox_pending", labels, backlog.pending if backlog else 0)
    yield Reading(f"{_OWN}dead_letters", labels, backlog.dead if backlog else 0)
    if backlog and backlog.oldest is not None:
        yield Reading(f"{_OWN}outbox_oldest_timestamp_seconds", labels, backlog.oldest)


def _post(desk: Desk) -> Post:
    circuit = desk.circuit
    return Post(
        desk.receiver.name,
        desk.receiver.kind,
        circuit.state,
        circuit.error,
        circuit.open_since,
        refuses=circuit.refused,
    )
