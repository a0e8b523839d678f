"""Who is told later, since those before did not take it or did not see to it: in turn, once, and of the end as well."""

from dataclasses import replace

import pytest
import sqlalchemy as sa

from alerter.duties import due
from alerter.duties.taking import Taking
from alerter.model import Mark
from alerter.store.schema import outbox
from tests.support.booked import SETTINGS, World, firing, over, settings_of

TWICE = SETTINGS.replace(
    "  - {match: ['team=\"chat\"'], receivers: [chat]}",
    "  - {match: ['steps=\"two\"'], receivers: [oncall], escalate: {after: 5m, receivers: [sms]}, continue: true}\n"
    "  - {match: ['steps=\"two\"'], receivers: [oncall], escalate: {after: 15m, receivers: [ops]}}",
)


@pytest.fixture
def world(world: World) -> World:
    world.policy = replace(world.policy, routing=settings_of(TWICE).routing)
    return world


def anything_due(world: World) -> bool:
    """Whether a look would find something: as asked each second, without a lock."""
    with world.store.read() as connection:
        return bool(connection.execute(due.due(world.clock.now(), [])).scalar())


def test_each_step_of_an_escalation_comes_in_its_time_and_once(world: World) -> None:
    alert = firing("A", "warning", steps="two")
    world.hear(alert)
    world.deliver("oncall")
    told = []
    for _ in range(20):
        world.clock.advance(60)
        told += [(round(world.clock.now() - 1_700_000_000), world.deliver("sms"), world.deliver("ops"))
                 for _ in range(world.look().escalations)]  # fmt: skip
    assert told == [(300, [("trigger", "A")], []), (900, [], [("trigger", "A")])]
    world.hear(over(alert))
    assert [world.deliver(each) for each in ("oncall", "sms", "ops")] == [[("resolve", "A")]] * 3


def test_who_has_taken_it_between_two_steps_ends_the_escalation(world: World) -> None:
    world.hear(firing("A", "warning", steps="two"))
    world.deliver("oncall")
    world.clock.advance(301)
    assert world.look().escalations == 1
    assert Taking(world.store, world.clock, lambda: world.policy, lambda _names: None).by_hand(1, "ann")
    world.clock.advance(3600)
    assert world.look().escalations == 0


def test_what_is_over_is_not_escalated(world: World) -> None:
    alert = firing("A", "warning", steps="two")
    world.hear(alert)
    world.deliver("oncall")
    world.hear(over(alert))
    world.clock.advance(3600)
    assert world.look().escalations == 0


def test_the_fallback_says_whom_it_stands_in_for_and_counts_from_the_webhook(world: World) -> None:
    world.hear(firing())
    heard = world.clock.now()
    world.clock.advance(31)
    assert world.look().fallbacks == 1
    (told,) = world.claim("sms")
    assert told.message is not None
    assert (told.message.note, set(told.message.marks)) == ("oncall could not be reached.", {Mark.FALLBACK})
    assert told.received_at == heard
    assert not anything_due(world)


def test_a_fallback_tells_nobody_who_is_told_anyway(world: World) -> None:
    """Here by another route."""
    both = SETTINGS.replace("    receivers: [oncall]\n", "    receivers: [oncall]\n    continue: true\n").replace(
        "default:", "  - {match: ['team=\"both\"'], receivers: [sms]}\ndefault:"
    )
    world.policy = replace(world.policy, routing=settings_of(both).routing)
    world.hear(firing(team="both"))
    world.clock.advance(31)
    assert world.look().fallbacks == 0
    assert world.deliver("sms") == [("trigger", "A")]


@pytest.mark.parametrize("told", [True, False])
def test_what_is_over_needs_neither_fallback_nor_repetition(world: World, told: bool) -> None:
    alerts = [firing(), firing("W", "warning")]
    world.hear(*alerts)
    if told:
        for receiver in ("oncall", "ops"):
            world.deliver(receiver)
    world.hear(*map(over, alerts))
    world.clock.advance(4 * 3600 + 1)
    assert not anything_due(world)
    done = world.look()
    assert (done.fallbacks, done.repeats) == (0, 0)
    with world.store.read() as connection:
        assert set(connection.execute(sa.select(outbox.c.receiver)).scalars()) == {"oncall", "ops"}
