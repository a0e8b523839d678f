"""Servers that start from a cached data folder, and fresh databases on them."""

import fcntl
import itertools
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from demo.process import ServerError
from demo.servers import Postgres
from tests.support.layouts import LAYOUTS

_NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Database:
    """A fresh database with one of the layouts and a role that may only read it."""

    server: Postgres
    name: str
    layout: str
    reader: str

    @property
    def url(self) -> str:
        """As the superuser who owns the tables."""
        return self.server.url(self.name)

    @property
    def reader_url(self) -> str:
        """As a role with SELECT on the tables and pg_monitor, nothing more."""
        return self.server.url(self.name, self.reader)

    def connect(self) -> "psycopg.Connection[tuple[Any, ...]]":
        """An autocommit connection of the owner, to be used as a context manager."""
        return psycopg.connect(self.url, autocommit=True)


def create_database(server: Postgres, layout: str = "penguinmails", name: str | None = None) -> Database:
    name = name or f"t{os.getpid()}_{next(_NUMBERS)}"
    reader = f"{name}_reader"
    quoted = {"name": sql.Identifier(name), "reader": sql.Identifier(reader)}
    with psycopg.connect(server.url(), autocommit=True) as admin:
        # file_copy is the cheap way as long as template1 is small and nothing is synced.
        admin.execute(sql.SQL("create database {name} strategy file_copy").format(**quoted))
        admin.execute(sql.SQL("create role {reader} login").format(**quoted))
        admin.execute(sql.SQL("grant pg_monitor to {reader}").format(**quoted))
    database = Database(server, name, layout, reader)
    with database.connect() as owner:
        # Before the tables: those that a test drops and makes again are readable too.
        owner.execute(
            sql.SQL("alter default privileges in schema public grant select on tables to {reader}").format(**quoted)
        )
        owner.execute("create extension pg_stat_statements")
        if LAYOUTS[layout]:
            owner.execute(LAYOUTS[layout].encode())
    return database


def drop_database(database: Database) -> None:
    with psycopg.connect(database.server.url(), autocommit=True) as admin:
        admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(database.name)))
        admin.execute(sql.SQL("drop role {}").format(sql.Identifier(database.reader)))


def cached_template(kind: type[Postgres]) -> Path:
    """A data folder of that kind of server, made once a machine and user, to be copied by each server."""
    cache = Path(tempfile.gettempdir()) / f"postwatch-tests-{os.geteuid()}"
    cache.mkdir(mode=0o711, exist_ok=True)
    if cache.stat().st_uid != os.geteuid() or cache.is_symlink():
        raise ServerError(f"{cache} belongs to someone else: remove it, or set TMPDIR")
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # workers of pytest-xdist start together
        maker = kind(cache / f"making-{kind.__name__}")
        try:
            maker.prepare_binaries()
            target = cache / re.sub(r"[^\w.]+", "-", f"{kind.__name__} {maker.version()}")
            if not target.exists():
                maker.prepare()
                maker.data.rename(target)
        finally:
            shutil.rmtree(maker.folder, ignore_errors=True)
    return target
