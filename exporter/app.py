"""Constructs the exporter from its settings and wires it: the one place where objects meet."""

from __future__ import annotations

import platform
import threading
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from importlib.metadata import version
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.process_collector import ProcessCollector
from starlette.applications import Starlette

from chassis import interpreter
from chassis.board import Board, BoardEndpoint
from chassis.clock import Clock
from chassis.exposition import Reading
from chassis.lifecycle import ReloadState
from chassis.log import get_logger
from chassis.web import Ready, Server, build_app
from exporter.catalogue import CATALOGUE
from exporter.clients.connections import Connections
from exporter.parts import Part, PartContext
from exporter.queues import KINDS
from exporter.queues.base import KeepsTables, QueueSource, SourceContext
from exporter.queues.options import QueueOptions
from exporter.sampling.budget import PLANNED, Budget
from exporter.sampling.sampler import Sampler
from exporter.sampling.scheduler import Sampling
from exporter.sections import SECTIONS
from exporter.settings import ExporterSettings
from exporter.web import health, landing
from exporter.web.health import Picture

log = get_logger(__name__)

VERSION = version("postwatch")
HOUSEKEEPING = 5.0  # seconds between looks at our own process
RELOAD_WAIT = 2.0  # seconds for samples under way when the configuration changes


class Watch:
    """All sources of one configuration with their connections, budgets and samplers."""

    def __init__(self, settings: ExporterSettings, board: Board, clock: Clock, before: Watch | None = None) -> None:
        """`before`, stopped, is continued: what both watch keeps its counters."""
        self._clock = clock
        self._before = {source.context.name: source for source in before.sources} if before else {}
        self._connections: Connections = Connections(clock, before._connections if before else None)
        self.board = board
        self.settings = settings
        self.sources: tuple[QueueSource, ...] = tuple(self._source(o) for o in settings.queue_options())
        self.parts: tuple[Part, ...] = tuple(self._parts(before))
        watched: tuple[QueueSource | Part, ...] = (*self.sources, *self.parts)
        samplers: list[Sampler] = [sampler for each in watched for sampler in each.samplers()]
        budgets = {account: Budget(PLANNED * ratio, clock) for account, ratio in self._connections.ratios.items()}
        self.sampling: Sampling = Sampling(
            samplers, budgets, board, clock, before.sampling.outcomes if before else None
        )

    def _source(self, options: QueueOptions) -> QueueSource:
        defaults = self.settings.defaults
        kind = next(module for module in KINDS if isinstance(options, module.Options))
        ratio = defaults.budget if options.budget is None else options.budget
        timeout = options.timeout or defaults.timeout
        database, account = self._connections.database(options.postgres, ratio, timeout)
        store, store_account = None, ""
        if url := getattr(options, "redis", None):
            store, store_account = self._connections.store(url, ratio, timeout)
        context = SourceContext(
            name=options.name,
            interval=options.interval or defaults.interval,
            timeout=timeout,
            stale_after=options.stale_after or defaults.stale_after,
            max_queues=options.max_queues or defaults.max_queues,
            buckets=options.buckets or defaults.buckets,
            labels={**defaults.labels, **options.labels},
            clock=self._clock,
            database=database,
            database_account=account,
            store=store,
            store_account=store_account,
        )
        source: QueueSource = kind.build(options, context)
        if options.name in self._before:
            source.continue_from(self._before[options.name])
        return source

    def _parts(self, before: Watch | None) -> Iterator[Part]:
        defaults, connections = self.settings.defaults, self._connections
        context = PartContext(
            clock=self._clock,
            board=self.board,
            interval=defaults.interval,
            timeout=defaults.timeout,
            stale_after=defaults.stale_after,
            budget=defaults.budget,
            labels=dict(defaults.labels),
            database=lambda url, ratio: connections.database(url, ratio or defaults.budget, defaults.timeout),
            store=lambda url, ratio: connections.store(url, ratio or defaults.budget, defaults.timeout),
            depth=self.depth,
            tables=self.tables,
        )
        known = {part.name: part for part in before.parts} if before else {}
        for section in SECTIONS:
            for part in section.build(self.settings, context):
                if part.name in known:
                    part.continue_from(known[part.name])
                yield part

    def depth(self, name: str, patterns: Sequence[str]) -> int | None:
        """Jobs waiting in queues of a source whose full names match; None while that is not known."""
        waiting = [
            row.waiting
            for source in self.sources
            if source.context.name == name
            for row in source.queues()
            if any(fnmatchcase(row.key.full_name, pattern) for pattern in patterns)
        ]
        known = [count for count in waiting if count is not None]
        return sum(known) if known else None

    def tables(self, account: str) -> list[str]:
        """Tables of queues in the database with that account, each once."""
        keepers = [s for s in self.sources if s.context.database_account == account and isinstance(s, KeepsTables)]
        return list(dict.fromkeys(table for source in keepers for table in source.tables()))

    def start(self) -> None:
        """Sample from now on; returns at once."""
        self.publish_settings()
        for part in self.parts:
            part.start()
        # After the parts, so that their samplers' first runs find them at work.
        self.sampling.start()

    def pause(self, timeout: float) -> None:
        """Stop sampling within about `timeout` seconds; the connections stay."""
        self.sampling.stop(timeout)
        for part in self.parts:
            part.stop(timeout)

    def publish_settings(self) -> None:
        """Targets and thresholds, for what exists now."""
        for source in self.sources:
            self.board.publish(f"source {source.context.name}: settings", source.settings())
        for part in self.parts:
            self.board.publish(f"{part.name}: settings", part.settings())

    def withdraw_but(self, after: Watch) -> None:
        """Serve no more what only this one watched."""
        going_on = {source.context.name for source in after.sources}
        for name in {source.context.name for source in self.sources} - going_on:
            self.board.withdraw(f"source {name}: ")
        for name in {part.name for part in self.parts} - {part.name for part in after.parts}:
            self.board.withdraw(f"{name}: ")

    def close(self, but: Watch | None = None) -> None:
        """Close the connections, except those that `but` goes on with."""
        self._connections.close(but._connections if but else None)

    def stop(self, timeout: float) -> None:
        """Stop sampling and close all connections."""
        self.pause(timeout)
        self.close()


class App:
    """The exporter as a daemon: serves at once, samples in the background, reloads as a whole or not at all."""

    def __init__(
        self,
        settings: ExporterSettings,
        load: Callable[[], ExporterSettings],
        state: ReloadState,
        clock: Clock,
    ) -> None:
        self._load = load
        self._state = state
        self._clock = clock
        self._started = clock.monotonic()
        self._board = Board([metric.family for metric in CATALOGUE], clock)
        self._settings = settings
        self._watch = Watch(settings, self._board, clock)
        self._stopping = threading.Event()
        self._housekeeper = threading.Thread(target=self._keep_house, name="housekeeping", daemon=True)
        self._server = Server(self._web(settings), settings.web, log)

    @property
    def url(self) -> str:
        """Where it answers, once started."""
        return self._server.url

    def start(self) -> None:
        """Listen, then sample. Raises ListenFailed if the address is taken."""
        interpreter.prepare()
        self._publish_itself()
        self._server.start()
        self._watch.start()
        self._housekeeper.start()
        log.info("started", version=VERSION, url=self._server.url, sources=len(self._watch.sources))
        if not self._watch.sources and not self._watch.parts:
            log.warning("nothing_to_watch", advice="name your queues under `queues` in the configuration")

    def reload(self) -> None:
        """Take over the configuration as it is now. Raises SettingsError, and then nothing has changed."""
        settings = self._load()
        if (settings.web.listen, settings.web.tls) != (self._settings.web.listen, self._settings.web.tls):
            log.warning("restart_needed", what="web.listen and web.tls are taken over at a restart only")
        if settings.log != self._settings.log:
            log.warning("restart_needed", what="log is taken over at a restart only")
        if settings == self._settings:
            return
        old = self._watch
        old.pause(RELOAD_WAIT)
        watch = Watch(settings, self._board, self._clock, before=old)
        old.withdraw_but(watch)
        old.close(but=watch)
        self._watch, self._settings = watch, settings
        self._server.replace(self._web(settings))
        watch.start()
        log.info("reloaded", sources=len(watch.sources))

    def stop(self, timeout: float) -> None:
        """Answer what was asked, finish what is under way, close all."""
        self._stopping.set()
        self._server.stop(timeout / 2)
        self._watch.stop(timeout / 2)

    def _web(self, settings: ExporterSettings) -> Starlette:
        return build_app(
            [landing.route(self._picture), *health.routes(self._picture)],
            settings.web,
            metrics=BoardEndpoint(self._board),
            ready=self._ready,
            logger=log,
        )

    def _picture(self) -> Picture:
        watch = self._watch
        return Picture(watch.sources, watch.parts, watch.sampling.outcomes, VERSION, self._started, self._clock)

    def _ready(self) -> Ready:
        outcomes = self._watch.sampling.outcomes.values()
        waiting = sum(outcome.up is None for outcome in outcomes)
        if waiting:
            return Ready(False, f"{waiting} of {len(outcomes)} samplers have not run yet")
        return Ready(True, "every sampler has run")

    def _keep_house(self) -> None:
        while not self._stopping.wait(HOUSEKEEPING):
            self._publish_itself()
            self._watch.publish_settings()

    def _publish_itself(self) -> None:
        readings = [
            Reading("postwatch_build_info", {"version": VERSION, "python": platform.python_version()}, 1),
            Reading("postwatch_config_last_reload_successful", {}, float(self._state.last_successful)),
            Reading("postwatch_config_last_reload_timestamp_seconds", {}, self._state.last_timestamp),
        ]
        for family in ProcessCollector(registry=CollectorRegistry(auto_describe=False)).collect():
            readings += [Reading(s.name, s.labels, s.value) for s in family.samples]
        self._board.publish("itself", readings)


def watched_files(path: Path) -> list[Path]:
    """Files whose change is a reason to reload: the configuration. Secrets are read when they are used."""
    return [path]
