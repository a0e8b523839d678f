"""What is kept, for how long, and what becomes of its room: the same on SQLite and on PostgreSQL."""

import time
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from alerter.duties import keeping
from alerter.duties.crew import Duties
from alerter.model import Reason
from alerter.outbox import outcomes
from alerter.receivers.base import DeliveryFailed
from alerter.store import auditing
from alerter.store.auditing import Deed
from alerter.store.engine import StoreFailed
from alerter.store.schema import audit, episodes, memories, outbox, tellings
from alerter.tally import Tally
from alerter.web import feed
from alerter.web.questions import Question, question
from tests.support.booked import SETTINGS, World, firing, over, settings_of

DAY = 86400.0
YEAR = 365 * DAY


def test_the_audit_cannot_be_changed(world: World) -> None:
    with world.store.write() as connection:
        auditing.write_down(connection, "ann", Deed.ACKNOWLEDGED, "alert 1", 1_795_000_000.0)
    for statement in (sa.update(audit).values(who="bob"), sa.delete(audit)):
        with pytest.raises(StoreFailed), world.store.write() as connection:
            connection.execute(statement)


def sweep(world: World, audit_for: float = 7 * YEAR) -> int:
    """With the default times, but for the audit's."""
    return keeping.sweep(world.store, YEAR, audit_for, world.clock.now())


def test_what_is_old_goes(world: World) -> None:
    world.hear(firing("old"), firing("fires"))
    world.deliver("oncall")
    world.hear(over(firing("old")))
    world.deliver("oncall")
    world.clock.advance(YEAR + DAY)
    assert sweep(world) == 1
    with world.store.read() as connection:
        assert connection.execute(sa.select(episodes.c.fingerprint)).scalars().all() == ["fires"]
        assert set(connection.execute(sa.select(outbox.c.episode_id)).scalars()) == {2}
        assert set(connection.execute(sa.select(tellings.c.episode_id)).scalars()) == {2}


def test_a_year_is_kept_and_what_is_not_told_yet(world: World) -> None:
    world.hear(firing("told"))
    world.deliver("oncall")
    world.hear(firing("untold"), firing("group", team="chat"))
    (claimed,) = world.claim("chat")
    world.accept(claimed, {"ts": "1"})
    world.hear(*(over(firing(name)) for name in ("told", "untold")))
    (_begins, ends) = world.claim("oncall")
    world.accept(ends)
    world.clock.advance(YEAR - DAY)
    assert sweep(world) == 0
    world.clock.advance(2 * DAY)
    assert sweep(world) == 1
    with world.store.read() as connection:
        assert set(connection.execute(sa.select(episodes.c.fingerprint)).scalars()) == {"untold", "group"}
        assert connection.execute(sa.select(sa.func.count()).select_from(memories)).scalar() == 0


def test_it_goes_in_steps(world: World) -> None:
    alerts = [firing(f"N{number}", "info") for number in range(2 * keeping.STEP + 100)]
    world.hear(*alerts)
    world.hear(*map(over, alerts))
    world.clock.advance(2 * YEAR)
    assert [sweep(world) for _ in range(4)] == [keeping.STEP, keeping.STEP, 100, 0]


def test_the_audit_is_kept_for_seven_years(world: World) -> None:
    now = time.time()
    world.clock.step(now - world.clock.now())
    with world.store.write() as connection:
        for years in (0.1, 2, 6.9, 7.1, 20):
            auditing.write_down(connection, "ann", Deed.ACKNOWLEDGED, f"{years}", now - years * YEAR)
    assert sweep(world) == 2
    with world.store.read() as connection:
        assert connection.execute(sa.select(audit.c.detail).order_by(audit.c.id)).scalars().all() == ["0.1", "2", "6.9"]
    # Not even a configuration can have less than a year deleted.
    with pytest.raises(StoreFailed):
        sweep(world, audit_for=DAY)


def test_the_feed_shows_a_day_and_the_history_more(world: World) -> None:
    def shown(**parameters: str) -> set[str]:
        asked = question(parameters, DAY, world.clock.now())
        with world.store.read() as connection:
            return {each["fingerprint"] for each in feed.entries(connection, asked, 100)}

    world.hear(firing("old"))
    world.clock.advance(DAY + 60)
    world.hear(firing("new"))
    assert shown() == {"new"}
    assert shown(hours="48") == {"old", "new"}
    world.hear(over(firing("old")))  # it is news again
    assert shown() == {"old", "new"}


def test_how_a_delivery_went_is_news_of_its_alert(world: World) -> None:
    """Or nobody who follows the feed would see it."""
    told, unfit, quiet = firing("told", "warning"), firing("unfit", "warning"), firing("quiet", "warning")
    world.hear(told, unfit)
    first, second = world.claim("ops")
    world.clock.advance(100)
    world.hear(quiet)
    world.hear(over(quiet))
    before = world.clock.now()
    world.clock.advance(100)
    world.accept(first)
    with world.store.touch() as connection:
        failure = DeliveryFailed(Reason.REJECTED, "400", retry=False)
        outcomes.bury(connection, second, "me", failure, world.clock.now())
    with world.store.read() as connection:
        shown = feed.entries(connection, Question(before + 1, ()), 100)
    assert {each["fingerprint"]: each["deliveries"][0]["state"] for each in shown} == {
        "told": "accepted",
        "unfit": "dead",
    }


def test_what_joined_an_older_delivery_is_shown_with_it(world: World) -> None:
    world.hear(firing("old", team="chat"))
    world.clock.advance(5 * 3600.0)
    world.hear(firing("new", team="chat"))
    asked = question({"hours": "1"}, DAY, world.clock.now())
    with world.store.read() as connection:
        (shown,) = feed.entries(connection, asked, 100)
    assert (shown["fingerprint"], [each["state"] for each in shown["deliveries"]]) == ("new", ["pending"])


def test_the_sweep_takes_all_that_is_old(world: World) -> None:
    """However many steps that takes."""
    settings = settings_of(SETTINGS)
    duties = Duties(world.store, world.clock, settings, world.policy, Nobody(), Tally())
    alerts = [firing(f"N{number}", "info") for number in range(keeping.STEP + 1)]
    world.hear(*alerts)
    world.hear(*map(over, alerts))
    world.hear(firing("fires"))
    world.clock.advance(settings.history.keep + DAY)
    duties.sweep()
    with world.store.read() as connection:
        assert connection.execute(sa.select(episodes.c.fingerprint)).scalars().all() == ["fires"]


class Nobody:
    """Who delivers nothing."""

    def failing(self, after: float) -> dict[str, tuple[str, bool]]:
        return {}

    def wake(self, receivers: set[str]) -> None:
        pass


def test_room_is_given_back_in_small_steps(world: World, tmp_path: Path) -> None:
    alerts = [replace(firing(f"N{number}", "info"), annotations={"summary": "x" * 8000}) for number in range(500)]
    world.hear(*alerts)
    world.hear(*map(over, alerts))
    world.clock.advance(2 * YEAR)
    while sweep(world):
        pass
    steps = 1
    while world.store.shrink():
        steps += 1
    if not world.store.is_sqlite:
        assert steps == 1  # autovacuum does it
        return
    assert steps > 5
    world.store.close()  # the last one who goes brings the file up to date
    assert (tmp_path / "alerter.db").stat().st_size < 400_000
