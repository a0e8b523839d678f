"""Connections to what is watched: one for each address and its credentials, whoever looks there."""

from __future__ import annotations

from chassis.clock import Clock
from chassis.secrets import SecretUrl
from exporter.clients import postgres, redis


class Connections:
    """What one configuration asks for, each with its account: the name under which a server's budget is kept."""

    def __init__(self, clock: Clock, before: Connections | None = None) -> None:
        """`before`: those of the last configuration, whose stores are gone on with."""
        self._clock = clock
        # By address and credentials: roles may see different tables under the same names.
        self._databases: dict[SecretUrl, postgres.Database] = {}
        self._stores: dict[SecretUrl, redis.Store] = {}
        self._stores_before = before._stores if before else {}
        self.ratios: dict[str, float] = {}  # by account, the least budget that anybody gives it

    def database(self, url: SecretUrl, ratio: float, timeout: float) -> tuple[postgres.Database, str]:
        """A database and its account. `ratio`: the budget; `timeout`: seconds to connect."""
        account = self._charge(postgres.identity(url), ratio)
        return self._databases.setdefault(url, postgres.Database(url, self._clock, timeout)), account

    def store(self, url: SecretUrl, ratio: float, timeout: float) -> tuple[redis.Store, str]:
        """A Redis and its account. `timeout`: seconds for each answer."""
        account = self._charge(redis.identity(url), ratio)
        store = self._stores_before.get(url)
        if store is None or store.timeout != timeout:
            store = redis.Store(url, self._clock, timeout)
        return self._stores.setdefault(url, store), account

    def _charge(self, account: str, ratio: float) -> str:
        self.ratios[account] = min(ratio, self.ratios.get(account, ratio))
        return account

    def close(self, but: Connections | None = None) -> None:
        """Close all, except those that `but` goes on with."""
        kept = but._all() if but else ()
        for connection in self._all():
            if connection not in kept:
                connection.close()

    def _all(self) -> tuple[postgres.Database | redis.Store, ...]:
        return (*self._databases.values(), *self._stores.values())
