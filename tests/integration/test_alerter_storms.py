"""Many at once: few statements to take them in, one message to tell them; on SQLite and on PostgreSQL."""

from dataclasses import replace

import pytest
import sqlalchemy as sa

from alerter.intake import booking
from alerter.intake.states import Change
from alerter.model import Action, Alert, Reason, Severity
from alerter.outbox import claims, outcomes
from alerter.receivers.base import DeliveryFailed
from alerter.store.schema import outbox
from alerter.web import feed
from alerter.web.questions import question
from tests.support.booked import World, firing, over

MANY = 1_200


def storm(world: World, count: int, receiver: str = "ops", **labels: str) -> list[Alert]:
    """So many alerts that were told as one; the message was accepted."""
    alerts = [firing(f"S{number}", "warning", group=f"g{number}", **labels) for number in range(count)]
    world.hear(*alerts)
    collapse(world, receiver)
    (claimed,) = world.claim(receiver)
    assert claimed.storm
    world.accept(claimed, {"ts": "1"})
    return alerts


def collapse(world: World, receiver: str) -> int:
    with world.store.touch(turn=receiver) as connection:
        return claims.collapse(connection, receiver, world.clock.now(), urgent=False)


def test_many_at_once(world: World) -> None:
    alerts = [firing(f"N{each}") for each in range(MANY)]
    assert world.hear(*alerts).changes == {Change.OPENED: MANY}
    assert world.hear(*alerts).changes == {Change.STILL: MANY}
    with world.store.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(outbox)).scalar() == MANY
    assert len(world.claim("oncall", count=10)) == 10
    changed = [replace(each, annotations={"summary": "worse"}) for each in alerts]
    assert world.hear(*changed).changes == {Change.CHANGED: MANY}
    assert world.hear(*(replace(each, annotations={"summary": "worst"}) for each in alerts)).changes == {
        Change.CHANGED: MANY
    }
    assert world.hear(*map(over, alerts)).changes == {Change.ENDED: MANY}
    assert sorted(state[1] for state in world.states()) == ["resolve"] * MANY + ["trigger"] * MANY + ["update"] * MANY


def test_webhooks_that_come_together_are_booked_together(world: World) -> None:
    """And what one of them says is judged by what those before it said."""
    first, second = firing("A"), firing("B")
    batch = [[first], [second], [over(first)], [first, over(second)], [firing("Watchdog", "none")]]
    with world.store.write() as connection:
        taken = booking.take_all(connection, world.policy, batch, world.clock.now())
        assert booking.recall(connection, booking.LAST_SEEN)
    assert [dict(each.changes) for each in taken] == [
        {Change.OPENED: 1},
        {Change.OPENED: 1},
        {Change.ENDED: 1},
        {Change.OPENED: 1, Change.ENDED: 1},
        {},
    ]
    assert taken[0].wake == {"oncall"}
    told = world.deliver("oncall")
    assert [action for action, name in told if name == "A"] == ["trigger", "resolve", "trigger"]
    assert [action for action, name in told if name == "B"] == ["trigger", "resolve"]


def test_each_is_told_by_its_own_plan(world: World) -> None:
    alerts = [firing("C"), firing("W", "warning"), firing("I", "info"), firing("T", team="chat"), firing("D")]
    world.hear(*alerts)
    assert sorted((receiver, action) for receiver, action, _ in world.states()) == [
        ("chat", "trigger"), ("oncall", "trigger"), ("oncall", "trigger"), ("ops", "trigger"),
    ]  # fmt: skip
    world.clock.advance(31)
    assert world.look().fallbacks == 2


def test_one_group_of_many_is_one_message(world: World) -> None:
    alerts = [firing(f"N{number}", team="chat") for number in range(MANY)]
    world.hear(*alerts)
    (claimed,) = world.claim("chat")
    assert claimed.message is not None
    assert len(claimed.episodes) == MANY
    world.accept(claimed, {"ts": "1"})
    world.hear(*map(over, alerts))
    (end,) = world.claim("chat")
    assert end.action is Action.RESOLVE


def test_the_feed_names_a_group_s_message_once_for_each_of_its_many_alerts(world: World) -> None:
    world.hear(*(firing(f"N{number}", team="chat") for number in range(MANY)), firing("W", "warning"))
    world.deliver("chat")
    with world.store.read() as connection:
        shown = feed.entries(connection, question({}, 86400.0, world.clock.now()), 5000)
    assert len(shown) == MANY + 1
    told = [[(each["receiver"], each["state"]) for each in entry["deliveries"]] for entry in shown]
    assert told == [[("ops", "pending")], *[[("chat", "accepted")]] * MANY]


def test_a_storm_is_told_as_one_and_closed_as_one(world: World) -> None:
    alerts = [firing(f"S{number}", "warning" if number else "critical", team="x") for number in range(50)]
    world.hear(*[replace(each, labels={**each.labels, "severity": "warning"}) for each in alerts])
    with world.store.touch() as connection:
        assert claims.collapse(connection, "ops", world.clock.now(), urgent=False) == 50
    (storm,) = world.claim("ops")
    assert storm.message is not None
    assert storm.message.storm is not None
    assert (storm.message.storm.count, storm.message.storm.worst, len(storm.ids)) == (50, Severity.WARNING, 50)
    assert world.claim("ops") == []
    world.accept(storm)
    calm = [over(replace(each, labels={**each.labels, "severity": "warning"})) for each in alerts]
    world.hear(*calm[:49])
    assert world.deliver("ops") == []
    world.hear(calm[49])
    (end,) = world.claim("ops")
    assert end.message is not None
    assert (end.action, end.message.dedup_key) == (Action.RESOLVE, storm.message.dedup_key)


def test_what_is_urgent_is_no_part_of_the_others_storm(world: World) -> None:
    for severity in ("warning", "critical"):
        world.hear(*(firing(f"{severity}{n}", severity, group=f"{severity}{n}", team="chat") for n in range(20)))
    for urgent in (True, False):
        with world.store.touch(turn="chat") as connection:
            assert claims.collapse(connection, "chat", world.clock.now(), urgent=urgent) == 20
    told = [each.message.storm for each in world.claim("chat") if each.message]
    assert [(each.count, each.worst) for each in told if each] == [(20, Severity.CRITICAL), (20, Severity.WARNING)]


@pytest.mark.parametrize(("receiver", "labels"), [("ops", {}), ("chat", {"team": "chat"})])
def test_a_storm_that_ends_at_once_is_closed_once(world: World, receiver: str, labels: dict[str, str]) -> None:
    alerts = storm(world, 50, receiver, **labels)
    world.hear(*map(over, alerts))
    (end,) = world.claim(receiver)
    assert end.message is not None
    assert end.message.storm is not None
    assert (end.action, end.message.storm.count, end.message.storm.firing) == (Action.RESOLVE, 50, 0)
    world.accept(end)
    assert world.claim(receiver) == []
    assert all(state != "pending" for *_, state in world.states())


def test_ends_one_by_one_need_no_word_until_the_last(world: World) -> None:
    alerts = storm(world, 20)
    for start in (0, 7):
        world.hear(*map(over, alerts[start : start + 7]))
        (settled,) = world.claim("ops", count=1)
        assert (settled.message, len(settled.ids)) == (None, 7)
        world.accept(settled)
    world.hear(*map(over, alerts[14:]))
    assert [action for action, _ in world.deliver("ops")] == ["resolve"]


def test_who_comes_while_a_storm_is_told_is_told_apart(world: World) -> None:
    world.hear(*(firing(f"S{number}", "warning") for number in range(30)))
    assert collapse(world, "ops") == 30
    (first,) = world.claim("ops")
    world.hear(*(firing(f"T{number}", "warning") for number in range(10)))
    assert collapse(world, "ops") == 10
    (second,) = world.claim("ops", "another")
    assert (len(first.ids), len(second.ids)) == (30, 10)
    assert not set(first.ids) & set(second.ids)
    assert world.claim("ops", "a third") == []
    # Whoever held the first one died.
    world.accept(second, holder="another")
    world.clock.advance(claims.LEASE + 1)
    (again,) = world.claim("ops", "a third")
    assert (set(again.ids), again.subject) == (set(first.ids), first.subject)
    assert again.severity is Severity.WARNING


def test_a_storm_nobody_was_told_of_needs_no_end(world: World) -> None:
    alerts = [firing(f"S{number}", "warning") for number in range(20)]
    world.hear(*alerts)
    collapse(world, "ops")
    (claimed,) = world.claim("ops")
    world.hear(over(alerts[0]))
    with world.store.touch() as connection:
        failure = DeliveryFailed(Reason.EXPIRED, "never accepted", retry=False)
        outcomes.bury(connection, claimed, "me", failure, world.clock.now())
    world.hear(*map(over, alerts[1:]))
    assert world.deliver("ops") == []
    assert (
        sorted(state[1:] for state in world.states()) == [("resolve", "superseded")] * 20 + [("trigger", "dead")] * 20
    )
