"""Taking in, claiming, and what is due: the same on SQLite and on PostgreSQL, with the clock in the test's hand."""

import json
import stat
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from alerter.duties import due, itself, reconcile
from alerter.duties.alertmanager import View
from alerter.duties.taking import Taking
from alerter.intake import booking
from alerter.intake.states import Change
from alerter.model import Action, Mark, Reason
from alerter.outbox import claims, outcomes
from alerter.receivers.base import DeliveryFailed
from alerter.store.engine import StoreFailed, StoreUnusable
from alerter.store.schema import REVISION, metadata, outbox
from tests.support.booked import World, firing, over


def test_migrations_make_what_the_schema_says(world: World) -> None:
    with world.store.read() as connection:
        found = compare_metadata(MigrationContext.configure(connection), metadata)
        assert connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar() == REVISION
    assert [each for each in found if "partial" not in str(each)] == []


def test_told_and_over(world: World) -> None:
    assert world.hear(firing()).changes == {Change.OPENED: 1}
    assert world.hear(firing()).changes == {Change.STILL: 1}
    assert world.deliver("oncall") == [("trigger", "A")]
    assert world.hear(replace(firing(), annotations={"summary": "B"})).changes == {Change.CHANGED: 1}
    assert world.deliver("oncall") == [("update", "A")]
    assert world.hear(over(firing())).changes == {Change.ENDED: 1}
    assert world.hear(over(firing())).changes == {Change.ECHO: 1}
    assert world.deliver("oncall") == [("resolve", "A")]
    assert world.claim("oncall") == []


def test_a_resolve_waits_for_its_trigger(world: World) -> None:
    world.hear(firing())
    world.hear(over(firing()))
    (first,) = world.claim("oncall")
    assert first.action is Action.TRIGGER
    assert world.claim("oncall", "another") == []
    world.accept(first)
    (second,) = world.claim("oncall")
    assert second.action is Action.RESOLVE


def test_what_never_went_out_is_superseded_unless_critical(world: World) -> None:
    world.hear(firing("W", "warning"))
    taken = world.hear(over(firing("W", "warning")))
    assert world.states() == [("ops", "trigger", "superseded"), ("ops", "resolve", "superseded")]
    assert taken.superseded == {"ops": 2}
    world.hear(firing("X", "warning"))
    (claimed,) = world.claim("ops")
    world.hear(over(firing("X", "warning")))  # it is under way: it may arrive
    world.accept(claimed)
    assert world.deliver("ops") == [("resolve", "X")]


def test_neither_is_news_of_what_never_went_out(world: World) -> None:
    warning, other = firing("W", "warning"), firing("X", "warning")
    world.hear(warning, other)
    world.deliver("ops")
    world.hear(over(other))
    world.hear(firing("X", "warning"), replace(warning, annotations={"summary": "worse"}))
    world.hear(replace(firing("X", "warning"), annotations={"summary": "worse"}))
    assert world.hear(over(other)).superseded == {"ops": 3}
    assert world.deliver("ops") == [("resolve", "X"), ("update", "W")]


def test_who_was_told_before_the_others_could_be_hears_of_the_end(world: World) -> None:
    world.hear(firing("W", "warning"))
    (claimed,) = world.claim("ops")
    failure = DeliveryFailed(Reason.RATE_LIMITED, "429", retry=True, progress={"first of two numbers": "done"})
    with world.store.touch() as connection:
        outcomes.postpone(connection, claimed, "me", failure, world.clock.now() + 5, counts=False)
    world.hear(over(firing("W", "warning")))
    world.clock.advance(6)
    assert world.deliver("ops") == [("trigger", "W"), ("resolve", "W")]


def test_a_lease_ends_and_another_takes_over(world: World) -> None:
    world.hear(firing())
    (mine,) = world.claim("oncall", "me")
    world.clock.advance(claims.LEASE - 1)
    assert world.claim("oncall", "another") == []
    world.clock.advance(2)
    (theirs,) = world.claim("oncall", "another")
    assert theirs.message is not None
    assert mine.message is not None
    assert theirs.message.delivery_id == mine.message.delivery_id
    assert theirs.attempts == 2


def test_the_fallback_is_told_in_time_and_hears_of_the_end(world: World) -> None:
    world.hear(firing())
    (claimed,) = world.claim("oncall")
    world.postpone(claimed)
    world.clock.advance(29)
    assert world.look().fallbacks == 0
    world.clock.advance(2)
    assert world.look().fallbacks == 1
    (told,) = world.claim("sms")
    assert told.message is not None
    assert told.message.marks == {Mark.FALLBACK}
    world.accept(told)
    world.clock.advance(30)
    assert world.look().fallbacks == 0
    world.hear(over(firing()))
    assert world.deliver("sms") == [("resolve", "A")]
    assert world.deliver("oncall") == [("trigger", "A"), ("resolve", "A")]


@pytest.mark.parametrize("how", ["refused", "dead"])
def test_the_fallback_does_not_wait_for_what_is_lost(world: World, how: str) -> None:
    world.hear(firing())
    (claimed,) = world.claim("oncall")
    failure = DeliveryFailed(Reason.AUTH, "401", retry=False, opens_circuit=True)
    if how == "dead":
        with world.store.touch() as connection:
            outcomes.bury(connection, claimed, "me", failure, world.clock.now())
    assert world.look(*(["oncall"] if how == "refused" else [])).fallbacks == 1
    assert world.deliver("sms") == [("trigger", "A")]


def test_an_accepted_alert_needs_no_fallback(world: World) -> None:
    world.hear(firing())
    world.deliver("oncall")
    world.clock.advance(100)
    assert world.look().fallbacks == 0


def test_escalation_until_acknowledged(world: World) -> None:
    world.hear(firing("A"), firing("B"))
    world.deliver("oncall")
    taking = Taking(world.store, world.clock, lambda: world.policy, lambda _names: None)
    assert taking.by_hand(1, "ann")
    assert not taking.by_hand(99, "ann")
    assert world.deliver("oncall") == [("acknowledge", "A")]
    world.clock.advance(601)
    assert world.look().escalations == 1
    (told,) = world.claim("ops")
    assert told.message is not None
    assert (told.message.alerts[0].alert.name, set(told.message.marks)) == ("B", {Mark.ESCALATION})


def test_repeats(world: World) -> None:
    world.hear(firing("W", "warning"))
    world.deliver("ops")
    world.clock.advance(4 * 3600 + 1)
    assert world.look().repeats == 1
    assert world.deliver("ops") == [("trigger", "W")]
    world.hear(over(firing("W", "warning")))
    world.deliver("ops")
    world.clock.advance(4 * 3600 + 1)
    assert world.look().repeats == 0


def test_what_is_never_accepted_becomes_a_dead_letter_that_can_be_played_again(world: World) -> None:
    world.hear(firing("W", "warning"))
    world.clock.advance(6 * 3600 + 1)
    assert world.look().expired == ["ops"]
    with world.store.read() as connection:
        news = itself.news(connection, {}, watchdog_missing=False, now=world.clock.now())
    assert [(each.name, each.labels["receiver"]) for each in news] == [("PostwatchDeadLetters", "ops")]
    world.hear(*news)
    assert world.deliver("oncall") == [("trigger", "PostwatchDeadLetters")]
    with world.store.write() as connection:
        assert due.retry(connection, [1], world.clock.now()) == 1
    assert world.deliver("ops") == [("trigger", "W")]


@pytest.mark.parametrize("ended", ["before", "after"])
def test_what_nobody_was_told_of_needs_no_end_until_it_is_played_again(world: World, ended: str) -> None:
    world.hear(firing())
    (claimed,) = world.claim("oncall")
    if ended == "before":
        world.hear(over(firing()))
    with world.store.touch() as connection:
        failure = DeliveryFailed(Reason.REJECTED, "400", retry=False)
        outcomes.bury(connection, claimed, "me", failure, world.clock.now())
    if ended == "after":
        world.hear(over(firing()))
    assert world.deliver("oncall") == []
    assert world.states() == [("oncall", "trigger", "dead"), ("oncall", "resolve", "superseded")]
    with world.store.write() as connection:
        assert due.retry(connection, [1], world.clock.now()) == 1
    assert world.deliver("oncall") == [("trigger", "A"), ("resolve", "A")]


def test_a_group_that_was_over_before_it_could_be_told_is_told_once(world: World) -> None:
    it = firing(team="chat")
    world.hear(it)
    (claimed,) = world.claim("chat")
    failed = DeliveryFailed(Reason.UNAVAILABLE, "not now", retry=True)
    with world.store.touch() as connection:
        outcomes.postpone(connection, claimed, "me", failed, world.clock.now(), counts=True)
    world.clock.advance(5)
    world.hear(over(it))
    world.clock.advance(5)
    assert world.deliver("chat") == [("resolve", "A")]
    assert world.states() == [("chat", "trigger", "accepted"), ("chat", "resolve", "superseded")]


@pytest.mark.parametrize("severity", ["critical", "warning"])
def test_who_remembers_nothing_hears_of_the_end_as_well(world: World, severity: str) -> None:
    """An incoming webhook of Slack's has no message to come back to."""
    it = firing(severity=severity, team="chat")
    world.hear(it)
    assert world.deliver("chat") == [("trigger", "A")]
    world.clock.advance(5)
    world.hear(over(it))
    assert world.deliver("chat") == [("resolve", "A")]


def test_a_group_is_one_message(world: World) -> None:
    alerts = [firing(name, team="chat") for name in "ABC"]
    world.hear(*alerts)
    (claimed,) = world.claim("chat")
    assert claimed.message is not None
    assert {told.alert.name for told in claimed.message.alerts} == {"A", "B", "C"}
    world.accept(claimed, {"ts": "1"})
    world.hear(over(alerts[0]))
    world.hear(over(alerts[1]))
    (claimed,) = world.claim("chat")
    assert claimed.message is not None
    assert (claimed.action, dict(claimed.message.memory)) == (Action.UPDATE, {"ts": "1"})
    assert claimed.message.news == {"A", "B"}
    world.accept(claimed)
    world.hear(over(alerts[2]))
    (claimed,) = world.claim("chat")
    assert claimed.action is Action.RESOLVE
    world.accept(claimed)
    world.clock.advance(1000)
    world.hear(replace(alerts[0], starts_at=3000.0))
    (claimed,) = world.claim("chat")
    assert claimed.message is not None
    assert (claimed.action, dict(claimed.message.memory)) == (Action.TRIGGER, {})


def test_the_watchdog_is_not_told_but_missed(world: World) -> None:
    world.hear(firing("Watchdog", "none"))
    assert world.states() == []
    with world.store.read() as connection:
        assert float(booking.recall(connection, booking.LAST_SEEN) or 0) == world.clock.now()
        news = itself.news(connection, {}, watchdog_missing=True, now=world.clock.now())
    world.hear(*news)
    assert world.deliver("oncall") == [("trigger", "PostwatchDeadMan")]
    with world.store.read() as connection:
        news = itself.news(connection, {}, watchdog_missing=False, now=world.clock.now())
    world.hear(*news)
    assert world.deliver("oncall") == [("resolve", "PostwatchDeadMan")]


def test_what_alertmanager_forgot_is_closed_with_a_note(world: World) -> None:
    world.hear(firing("gone"), firing("silent"), firing("there"))
    world.deliver("oncall")
    views = [View(0.0, frozenset({"silent"}), frozenset({"silent", "there"})), View(0.0, frozenset(), frozenset())]
    with world.store.write() as connection:
        reasons = reconcile.absent(reconcile.incidents(connection, ["default"]), views)
        assert reconcile.close(connection, world.policy, reasons, world.clock.now())[0] == 2
    ended = world.claim("oncall")
    assert {each.message.alerts[0].alert.name for each in ended if each.message} == {"gone", "silent"}
    assert all(each.message and each.message.marks == {Mark.RECONCILED} for each in ended)
    assert world.hear(firing("silent")).changes == {Change.OPENED: 1}


def test_the_file_is_ours_alone(tmp_path: Path) -> None:
    world = World(f"sqlite:///{tmp_path / 'alerter.db'}")
    world.hear(firing())
    assert [stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()] == [0o600] * len(list(tmp_path.iterdir()))
    world.store.close()


def test_what_a_file_holds_that_lost_its_name_is_read_by_many_at_once(tmp_path: Path) -> None:
    world = World(f"sqlite:///{tmp_path / 'alerter.db'}")
    world.hear(firing())
    (tmp_path / "alerter.db").rename(tmp_path / "elsewhere.db")
    with ExitStack() as readers:
        for _ in range(8):
            connection = readers.enter_context(world.store.read())
            assert connection.execute(sa.select(sa.func.count()).select_from(outbox)).scalar_one() == 1
        with pytest.raises(StoreFailed, match="was removed or replaced"), world.store.read():
            pass
    assert not (tmp_path / "alerter.db").exists()
    world.store.close()


def test_a_damaged_file_is_told_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "alerter.db"
    path.write_bytes(b"this is no database at all" * 100)
    with pytest.raises(StoreUnusable, match="damaged, or no database of ours"):
        World(f"sqlite:///{path}")


def test_news_is_json(world: World) -> None:
    world.hear(firing())
    with world.store.read() as connection:
        assert json.loads(connection.execute(sa.select(outbox.c.news)).scalar_one()) == [1]
