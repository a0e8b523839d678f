"""A database with pgmq, its client, and exporters that look at it when they are asked to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pgmq import PGMQueue

from tests.integration.pgmq.reading import Watch
from tests.support.databases import Database
from tests.support.exporter import Exporter, config
from tests.support.jobs import Owner
from tests.support.messages import client, install


@pytest.fixture(autouse=True)
def every_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks follow one another at once: none is left out for having been made just now."""
    monkeypatch.setattr("exporter.queues.reading.samplers.RECENT_LOOK", 0.0)


@pytest.fixture
def owner(database: Database, owner: Owner) -> Owner:
    install(database, tracking=True)
    return owner


@pytest.fixture
def queue(owner: Owner, database: Database) -> Iterator[PGMQueue]:
    with client(database) as one:
        yield one


@pytest.fixture
def watch(owner: Owner, database: Database) -> Iterator[Watch]:
    made: list[Exporter] = []

    def make(**options: Any) -> Exporter:
        given = {"name": "mail", "kind": "pgmq", "postgres": database.reader_url, **options}
        made.append(Exporter(config(given)).__enter__())
        return made[-1]

    yield make
    for one in made:
        one.__exit__(None, None, None)
