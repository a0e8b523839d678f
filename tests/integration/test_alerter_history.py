"""A year of history costs nothing: what is asked each second, or for each webhook, finds its rows by an index."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alerter.duties import due, itself, reconcile, taking
from alerter.intake import echoes
from alerter.outbox import claims, overview
from alerter.receivers.base import Heard
from alerter.store import episodes as rows
from alerter.store.schema import metadata
from alerter.web import feed
from alerter.web.questions import Question, question
from tests.support.booked import World, firing, over

NOW = 1_700_000_000.0  # booked.World's
ASKED: dict[str, Callable[[Connection], object]] = {
    "taking in": lambda connection: rows.latest(connection, ["a", "b"]),
    "anything to send": lambda connection: claims.look(connection, "ops", 0.0),
    "a storm": lambda connection: claims.waiting(connection, "ops", 0.0, 9, urgent=True),
    "anything due": lambda connection: connection.execute(due.due(0.0, ["ops"])).scalar(),
    "own alerts": lambda connection: itself.news(connection, {}, watchdog_missing=False, now=0.0),
    "an own alert": lambda connection: itself.fires(connection, "A"),
    "backlog": overview.backlog,
    "what fires": lambda connection: overview.firing(connection, 51),
    "last dead letters": lambda connection: overview.last(connection, 20, state="dead"),
    "all dead letters": lambda connection: overview.dead(connection, None),
    "labels of what fires": rows.firing_labels,
    "incidents": lambda connection: reconcile.incidents(connection, ["default"]),
    "an acknowledgement": lambda connection: taking.about(connection, "ops", Heard("k", True, "ann", None)),
    "a group's message": lambda connection: claims.claim(connection, "chat", "me", NOW, 9, urgent=None),
    "words that were put by": lambda connection: echoes.waiting(connection, NOW),
    "the feed": lambda connection: feed.entries(connection, question({}, 86400.0, NOW), 500),
    "those who follow the feed": lambda connection: feed.entries(connection, Question(NOW - 5, ()), 500),
}
# A whole index is as long as its table, but for those that have few of its rows.
_SHORT = {
    str(index.name)
    for table in metadata.tables.values()
    for index in table.indexes
    if index.dialect_options["sqlite"]["where"] is not None
}
_LARGE = re.compile(r"^SCAN (episodes|outbox|tellings|facts|before)\b(?: USING (?:COVERING )?INDEX (\w+))?")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(f"sqlite:///{tmp_path / 'alerter.db'}")


@pytest.mark.parametrize("what", ASKED)
def test_what_is_asked_again_and_again_uses_an_index(world: World, what: str) -> None:
    world.hear(firing("G", team="chat"), firing("W", "warning"))
    asked: list[tuple[str, tuple[object, ...]]] = []
    sa.event.listen(
        world.store.engine, "before_cursor_execute",
        lambda _connection, _cursor, statement, parameters, _context, _many: asked.append((statement, parameters)),
    )  # fmt: skip
    with world.store.read() as connection:
        ASKED[what](connection)
        selects = [(statement, given) for statement, given in asked if statement.startswith("SELECT")]
        assert selects
        for statement, given in selects:
            steps = [step[-1] for step in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", given)]
            scans = [scan for step in steps if (scan := _LARGE.match(step))]
            assert not [scan.string for scan in scans if scan[2] not in _SHORT], steps
    world.store.close()


def test_the_backlog_by_receiver(world: World) -> None:
    world.hear(firing("A"), firing("B"), firing("W", "warning"))
    world.deliver("oncall")
    world.hear(firing("C"))
    queued = world.clock.now()
    world.clock.advance(6 * 3600 + 1)
    world.look()  # the warning has expired, and what is critical fell back
    with world.store.read() as connection:
        backlog = overview.backlog(connection)
        assert backlog["oncall"] == overview.Backlog(1, queued, 0)
        assert (backlog["ops"].dead, backlog["sms"].pending) == (1, 1)
        assert len(overview.dead(connection, "ops")) == 1
        assert overview.dead(connection, "oncall") == []
        assert [row.fingerprint for row in overview.firing(connection, 3)] == ["C", "W", "B"]
    world.hear(over(firing("C")))
    with world.store.read() as connection:
        assert [row.fingerprint for row in overview.firing(connection, 3)] == ["W", "B", "A"]
    world.store.close()
