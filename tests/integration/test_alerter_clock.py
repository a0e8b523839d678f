"""The wall clock is set while the alerter runs: deadlines keep their distance."""

from pathlib import Path

import pytest

from alerter.duties.crew import Duties
from alerter.model import Action
from alerter.outbox import claims, overview
from alerter.tally import Tally
from tests.support.booked import SETTINGS, World, firing, settings_of

HOUR = 3600.0


class Post:
    def failing(self, after: float) -> dict[str, tuple[str, bool]]:
        return {}

    def wake(self, receivers: set[str]) -> None:
        pass


@pytest.fixture
def tally() -> Tally:
    return Tally()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(f"sqlite:///{tmp_path / 'alerter.db'}")


@pytest.fixture
def duties(world: World, tally: Tally) -> Duties:
    return Duties(world.store, world.clock, settings_of(SETTINGS), world.policy, Post(), tally)


@pytest.mark.parametrize("step", [-HOUR, 3 * HOUR, -1_000_000.0, 1_000_000.0, -8.0])
def test_the_fallback_comes_when_it_should(world: World, duties: Duties, step: float) -> None:
    world.hear(firing())
    world.clock.advance(10)
    duties.tick()
    world.clock.step(step)
    duties.tick()
    world.clock.advance(19)
    duties.tick()
    assert duties.figures.fallbacks == 0
    world.clock.advance(2)
    duties.tick()
    assert duties.figures.fallbacks == 1
    world.clock.advance(600)
    duties.tick()
    assert duties.figures.escalations == 1


def given_up(tally: Tally) -> list[object]:
    """As deliveries that are dead, and as failures that expired."""
    words = ({"outcome": "dead"}, {"reason": "expired"})
    readings = list(tally.readings(["ops"]))
    return [each.value for word in words for each in readings if word.items() <= each.labels.items()]


@pytest.mark.parametrize("step", [-HOUR, 30 * HOUR])
def test_what_is_tried_goes_on_and_expires_in_its_time(world: World, duties: Duties, tally: Tally, step: float) -> None:
    world.hear(firing("W", "warning"))
    (claimed,) = world.claim("ops")
    world.postpone(claimed)
    world.clock.step(step)
    duties.tick()
    assert given_up(tally) == [0, 0]
    world.clock.advance(61)
    duties.tick()
    (claimed,) = world.claim("ops")
    assert claimed.action is Action.TRIGGER
    # A lease keeps its length, too.
    world.clock.step(step)
    duties.tick()
    world.clock.advance(claims.LEASE - 1)
    assert world.claim("ops", "another") == []
    world.clock.advance(2)
    assert len(world.claim("ops", "another")) == 1
    world.clock.advance(6 * HOUR)
    duties.tick()
    assert given_up(tally) == [1, 1]


def test_a_clock_that_was_set_back_while_the_alerter_was_down(world: World) -> None:
    world.hear(firing())
    (claimed,) = world.claim("oncall")
    world.postpone(claimed)
    world.clock.step(-100 * HOUR)
    with world.store.write() as connection:
        overview.free_leases(connection, world.store, world.clock.now())
    assert len(world.claim("oncall")) == 1


@pytest.mark.parametrize("step", [-HOUR, HOUR])
def test_the_watchdog_is_not_missed(world: World, duties: Duties, step: float) -> None:
    world.hear(firing("Watchdog", "none"))
    world.clock.step(step)
    duties.tick()
    assert world.deliver("oncall") == []
    world.clock.advance(181)
    duties.tick()
    assert world.deliver("oncall") == [("trigger", "PostwatchDeadMan")]
