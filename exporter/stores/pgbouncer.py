"""Pools of a PgBouncer, from its console: SHOW POOLS and SHOW DATABASES."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from chassis.exposition import Reading
from exporter.clients.postgres import Database
from exporter.model import OTHER
from exporter.sampling.sampler import Run

CONSOLE = "pgbouncer"  # the database of the console itself
MOST_POOLS = 100  # pools with series of their own; others are added up
# Columns of SHOW POOLS by the value of the label `state` (pgbouncer.org/usage.html, "SHOW POOLS").
STATES = {
    "client_active": "cl_active",
    "client_waiting": "cl_waiting",
    "server_active": "sv_active",
    "server_idle": "sv_idle",
    "server_used": "sv_used",
    "server_tested": "sv_tested",
    "server_login": "sv_login",
}


class Pools:
    """The pools of one PgBouncer: those that came first have series of their own, as long as they exist."""

    def __init__(self, console: Database) -> None:
        self._console = console
        self._known: dict[str, None] = {}
        self.waiting: int | None = None  # clients that wait for a connection, of all pools
        self.safe_url = console.safe_url

    def look(self, run: Run, labels: Mapping[str, str]) -> list[Reading]:
        """Connections and limits as they are now. Raises SampleFailed."""
        self.waiting = None
        with self._console.session(run) as console:
            pools = console.plain("show pools")
            databases = console.plain("show databases")
        readings = list(self._readings(pools, databases, labels))
        self.waiting = sum(int(pool["cl_waiting"]) for pool in pools)
        return readings

    def _readings(
        self, pools: list[dict[str, Any]], databases: list[dict[str, Any]], labels: Mapping[str, str]
    ) -> Iterator[Reading]:
        pools = [pool for pool in pools if pool["database"] != CONSOLE]
        sizes = {database["name"]: int(database["pool_size"]) for database in databases}
        names = [f"{pool['database']}/{pool['user']}" for pool in pools]
        self._known = {name: None for name in self._known if name in names}
        for name in names:
            if len(self._known) < MOST_POOLS:
                self._known.setdefault(name)
        connections: dict[str, dict[str, int]] = {}
        for name, pool in zip(names, pools, strict=True):
            mine = connections.setdefault(name if name in self._known else OTHER, dict.fromkeys(STATES, 0))
            for state, column in STATES.items():
                mine[state] += int(pool.get(column, 0))
        for name, states in connections.items():
            for state, count in states.items():
                yield Reading("postwatch_postgres_pool_connections", {**labels, "pool": name, "state": state}, count)
        for name, pool in zip(names, pools, strict=True):
            if name in self._known and pool["database"] in sizes:
                limit = sizes[pool["database"]]
                yield Reading("postwatch_postgres_pool_connections_limit", {**labels, "pool": name}, limit)
