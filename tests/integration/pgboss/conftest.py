"""pg-boss of three versions, each number to be compared with what the test itself has done."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.pgboss.reading import QUEUE, Bench, watched
from tests.support.boss import Boss, allow_reading
from tests.support.databases import create_database, drop_database


@pytest.fixture(params=["10@15", "11@15", "12@18"])
def bench(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    major, _, version = request.param.partition("@")
    monkeypatch.setattr("exporter.queues.reading.samplers.RECENT_LOOK", 0.0)
    database = create_database(request.getfixturevalue(f"pg{version}"), "empty")
    with Boss(int(major), database.url) as boss, database.connect() as owner:
        allow_reading(database, boss)
        boss.create(QUEUE)
        with watched(database) as exporter:
            yield Bench(boss, owner, exporter, database)
    drop_database(database)
