"""Taking in, claiming, and what is due: the same on SQLite and on PostgreSQL, with the clock in the test's hand."""

import json
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from alerter.duties import due, itself, keeping, reconcile
from alerter.duties.alertmanager import View
from alerter.duties.taking import Taking
from alerter.intake import booking
from alerter.intake.states import Change
from alerter.model import Action, Alert, Mark, Reason, Severity, Status
from alerter.outbox import claims
from alerter.outbox.claims import Claim
from alerter.receivers.base import Accepted, DeliveryFailed
from alerter.routing.policy import Ability, Policy
from alerter.settings import AlerterSettings
from alerter.store import auditing
from alerter.store.auditing import Deed
from alerter.store.engine import Store, StoreFailed, StoreUnusable
from alerter.store.schema import audit, episodes, metadata, outbox, tellings
from chassis.clock import ManualClock
from chassis.secrets import SecretUrl
from chassis.settings import parse
from tests.support.databases import create_database, drop_database

SETTINGS = """
receivers:
  - {name: oncall, kind: webhook, url: https://a.example.com, secret: s}
  - {name: ops, kind: webhook, url: https://b.example.com, secret: s}
  - {name: sms, kind: webhook, url: https://c.example.com, secret: s}
  - {name: chat, kind: webhook, url: https://d.example.com, secret: s}
routes:
  - match: ['severity="critical"', 'team!="chat"']
    receivers: [oncall]
    fallback: {after: 30s, receivers: [sms]}
    escalate: {after: 10m, receivers: [ops]}
  - {match: ['team="chat"'], receivers: [chat]}
  - {match: ['severity="warning"'], receivers: [ops], repeat: 4h}
default: {receivers: []}
deadman: {match: ['alertname="Watchdog"'], every: 3m, receivers: [oncall]}
"""


class World:
    """A store, a policy, a clock, and a receiver that does as it is told."""

    def __init__(self, url: str) -> None:
        self.clock = ManualClock()
        self.store = Store(SecretUrl(url), self.clock)
        self.store.open()
        if not self.store.is_sqlite:  # leases by the test's clock
            self.store.moment = lambda connection: self.clock.now()  # type: ignore[method-assign]
        settings = parse(SETTINGS, AlerterSettings, {})
        every = frozenset(Action)
        names = [options.name for options in settings.receiver_options()]
        assert settings.deadman is not None
        self.policy = Policy(
            settings.routing,
            {name: Ability(name == "chat", every) for name in names},
            settings.deadman.match,
            settings.deadman.receivers,
        )

    def hear(self, *alerts: Alert) -> Any:
        with self.store.write() as connection:
            return booking.take(connection, self.policy, alerts, self.clock.now())

    def claim(self, receiver: str, holder: str = "me", count: int = 100) -> list[Claim]:
        with self.store.touch() as connection:
            return claims.claim(connection, receiver, holder, self.clock.now(), count, urgent=None)

    def accept(self, claimed: Claim, memory: dict[str, str] | None = None, holder: str = "me") -> None:
        with self.store.touch() as connection:
            claims.accept(connection, claimed, holder, Accepted(memory), self.clock.now())

    def deliver(self, receiver: str) -> list[tuple[str, str]]:
        """Everything that may be sent, accepted: action and the first alert's name."""
        told = []
        while claimed := self.claim(receiver):
            for each in claimed:
                if each.message is None:
                    with self.store.touch() as connection:
                        claims.settle(connection, each, "me", self.clock.now())
                    continue
                told.append((str(each.action), each.message.alerts[0].alert.name))
                self.accept(each)
        return told

    def look(self, *unreachable: str) -> due.Done:
        with self.store.write() as connection:
            return due.look(connection, self.policy, unreachable, self.clock.now())

    def states(self) -> list[tuple[str, str, str]]:
        query = sa.select(outbox.c.receiver, outbox.c.action, outbox.c.state).order_by(outbox.c.id)
        with self.store.read() as connection:
            return [tuple(row) for row in connection.execute(query)]


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    if request.param == "sqlite":
        made = World(f"sqlite:///{tmp_path / 'alerter.db'}")
        yield made
        made.store.close()
        return
    database = create_database(request.getfixturevalue("pg15"), "empty")
    made = World(database.url.replace("postgresql://", "postgresql+psycopg://", 1))
    yield made
    made.store.close()
    drop_database(database)


def firing(name: str = "A", severity: str = "critical", group: str = "g", **labels: str) -> Alert:
    named = {"alertname": name, "severity": severity, "service": "queues", **labels}
    return Alert("default", name, Status.FIRING, named, {"summary": name}, 1000.0, None, "", "http://am-0:9093", group)


def over(alert: Alert) -> Alert:
    return replace(alert, status=Status.RESOLVED, ends_at=2000.0)


def test_migrations_make_what_the_schema_says(world: World) -> None:
    with world.store.read() as connection:
        found = compare_metadata(MigrationContext.configure(connection), metadata)
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
    world.hear(over(firing("W", "warning")))
    assert world.states() == [("ops", "trigger", "superseded"), ("ops", "resolve", "superseded")]
    world.hear(firing("X", "warning"))
    (claimed,) = world.claim("ops")
    world.hear(over(firing("X", "warning")))  # it is under way: it may arrive
    world.accept(claimed)
    assert world.deliver("ops") == [("resolve", "X")]


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
    failure = DeliveryFailed(Reason.UNAVAILABLE, "503", retry=True)
    with world.store.touch() as connection:
        claims.postpone(connection, claimed, "me", failure, world.clock.now() + 60, counts=True)
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
            claims.bury(connection, claimed, "me", failure, world.clock.now())
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


def test_the_audit_cannot_be_changed(world: World) -> None:
    with world.store.write() as connection:
        auditing.write_down(connection, "ann", Deed.ACKNOWLEDGED, "alert 1", 1_795_000_000.0)
    for statement in (sa.update(audit).values(who="bob"), sa.delete(audit)):
        with pytest.raises(StoreFailed), world.store.write() as connection:
            connection.execute(statement)


def test_what_is_old_goes(world: World) -> None:
    world.hear(firing("old"), firing("fires"))
    world.deliver("oncall")
    world.hear(over(firing("old")))
    world.deliver("oncall")
    world.clock.advance(400 * 86400)
    assert keeping.sweep(world.store, 365 * 86400, 2557 * 86400, world.clock.now()) == 1
    with world.store.read() as connection:
        assert connection.execute(sa.select(episodes.c.fingerprint)).scalars().all() == ["fires"]
        assert set(connection.execute(sa.select(outbox.c.episode_id)).scalars()) == {2}
        assert set(connection.execute(sa.select(tellings.c.episode_id)).scalars()) == {2}


def test_many_at_once(world: World) -> None:
    number = 20_000 if world.store.is_sqlite else 3_000
    alerts = [firing(f"N{each}") for each in range(number)]
    assert world.hear(*alerts).changes == {Change.OPENED: number}
    assert world.hear(*alerts).changes == {Change.STILL: number}
    with world.store.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(outbox)).scalar() == number


def test_the_file_is_ours_alone(tmp_path: Path) -> None:
    world = World(f"sqlite:///{tmp_path / 'alerter.db'}")
    world.hear(firing())
    assert [stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()] == [0o600] * len(list(tmp_path.iterdir()))
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
