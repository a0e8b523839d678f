"""What is said of a watched store in the configuration."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field, field_validator

from chassis.settings import Settings
from exporter.clients.urls import PostgresUrl, RedisUrl
from exporter.labels import Labels
from exporter.options import Budget, Interval, Name, Timeout


class StoreOptions(Settings):
    """What both kinds of stores share."""

    name: Name = Field(description="Name of the store: its label in all series.")
    interval: Interval | None = Field(None, description="Time between looks; `defaults.interval` if not given.")
    timeout: Timeout | None = Field(None, description="Time limit of one look; `defaults.timeout` if not given.")
    stale_after: Interval | None = Field(
        None, description="Gauges without a new value disappear after it; `defaults.stale_after` if not given."
    )
    budget: Budget | None = Field(None, description="Share of wall time for us; `defaults.budget` if not given.")
    labels: Labels = Field(default_factory=dict, description="Constant labels of all series of this store.")


class StatementsOptions(Settings):
    """Statements, from the extension pg_stat_statements."""

    interval: Interval = Field(15.0, description="Time between readings of pg_stat_statements.")


class PostgresOptions(StoreOptions):
    """A database whose health is watched."""

    url: PostgresUrl = Field(description="The database, e.g. `postgresql://watch@db:5432/mail`.")
    pgbouncer: PostgresUrl | None = Field(
        None, description="PgBouncer's console, e.g. `postgresql://stats@db:6432/pgbouncer`: tells of its pools."
    )
    statements: StatementsOptions = Field(
        default_factory=StatementsOptions, description="Statements and their time, from pg_stat_statements."
    )


class KeysOptions(Settings):
    """Keys by kind."""

    interval: Interval = Field(30.0, description="Time between samples of the keys.")
    sample: int = Field(
        1_000, ge=100, le=10_000, description="Keys looked at each time; up to as many keys are counted exactly."
    )


class RedisOptions(StoreOptions):
    """A Redis whose health is watched."""

    url: RedisUrl = Field(
        description="redis://, rediss://, redis+sentinel://HOST:26379/SERVICE or redis+cluster://HOST."
    )
    keys: KeysOptions = Field(default_factory=KeysOptions, description="Keys by kind, from a sample.")


class Section(Settings):
    """The part of the configuration that names stores."""

    postgres: tuple[PostgresOptions, ...] = Field((), description="Databases whose own health is watched.")
    redis: tuple[RedisOptions, ...] = Field((), description="Redis servers whose own health is watched.")

    @field_validator("postgres")
    @classmethod
    def _databases_differ(cls, stores: tuple[PostgresOptions, ...]) -> tuple[PostgresOptions, ...]:
        _refuse_twins(stores)
        return stores

    @field_validator("redis")
    @classmethod
    def _servers_differ(cls, stores: tuple[RedisOptions, ...]) -> tuple[RedisOptions, ...]:
        _refuse_twins(stores)
        return stores


def _refuse_twins(stores: Iterable[StoreOptions]) -> None:
    seen: set[str] = set()
    for store in stores:
        if store.name in seen:
            raise ValueError(f"two stores are named {store.name!r}; every name has to be its own")
        seen.add(store.name)
