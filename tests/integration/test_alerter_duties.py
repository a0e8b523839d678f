"""Alerts about the alerter itself, by several replicas and over restarts: each begins once and ends once."""

from dataclasses import replace

import pytest
import sqlalchemy as sa

from alerter.duties.crew import Duties
from alerter.duties.itself import FAILING
from alerter.duties.sightings import BELIEVED
from alerter.intake.states import ECHO, Change
from alerter.model import Severity
from alerter.routing.policy import DEADMAN
from alerter.store.schema import episodes, facts
from alerter.tally import Tally
from tests.support import booked
from tests.support.booked import SETTINGS, World, firing, over, settings_of

PAGE = "https://runbooks.example.com/postwatch/Watchdog.md"


class Replica:
    """The duties of one process, and what its receivers meet."""

    def __init__(self, world: World) -> None:
        self.unreachable: set[str] = set()
        self.duties = Duties(world.store, world.clock, settings_of(SETTINGS), world.policy, self, Tally())

    def failing(self, after: float) -> dict[str, tuple[str, bool]]:
        return dict.fromkeys(self.unreachable, ("no connection", False))

    def wake(self, receivers: set[str]) -> None:
        pass


def own(world: World, name: str) -> list[str]:
    """States of all episodes of an own alert, in order."""
    query = sa.select(episodes.c.status).where(episodes.c.labels.contains(name)).order_by(episodes.c.id)
    with world.store.read() as connection:
        return list(connection.execute(query).scalars())


def test_one_that_cannot_reach_a_receiver_is_believed_by_one_that_can(world: World) -> None:
    a, b = Replica(world), Replica(world)
    a.unreachable = {"oncall"}
    for _ in range(5):
        a.duties.tick()
        b.duties.tick()
        world.clock.advance(60)
    assert own(world, FAILING) == ["firing"]
    b.unreachable = {"oncall"}
    b.duties.tick()
    a.unreachable = set()
    a.duties.tick()
    assert own(world, FAILING) == ["firing"]
    b.unreachable = set()
    b.duties.tick()
    assert own(world, FAILING) == ["resolved"]
    with world.store.read() as connection:
        assert not connection.execute(sa.select(facts).where(facts.c.name.startswith("failing/"))).all()


def test_a_restart_does_not_end_what_goes_on(world: World) -> None:
    before = Replica(world)
    before.unreachable = {"oncall"}
    before.duties.tick()
    after = Replica(world)
    world.clock.advance(62)
    after.duties.tick()  # its own minute of patience has just begun
    assert own(world, FAILING) == ["firing"]
    after.unreachable = {"oncall"}
    after.duties.tick()
    world.clock.advance(BELIEVED)
    after.duties.tick()
    assert own(world, FAILING) == ["firing"]


def test_what_nobody_says_any_more_ends(world: World) -> None:
    gone, left = Replica(world), Replica(world)
    gone.unreachable = {"oncall"}
    gone.duties.tick()
    world.clock.advance(BELIEVED + 1)
    left.duties.tick()
    left.duties.tick()
    assert own(world, FAILING) == ["resolved"]


def test_a_restart_does_not_bring_the_watchdog_back(world: World) -> None:
    first = Replica(world)
    world.clock.advance(181)
    first.duties.tick()
    second = Replica(world)
    second.duties.tick()
    first.duties.tick()
    assert own(world, DEADMAN) == ["firing"]
    world.hear(firing("Watchdog", "none"))
    second.duties.tick()
    assert own(world, DEADMAN) == ["resolved"]


def test_whoever_starts_gives_the_watchdog_its_time(world: World) -> None:
    replica = Replica(world)
    world.clock.advance(170)
    replica.duties.tick()
    assert own(world, DEADMAN) == []


@pytest.mark.parametrize(
    ("page", "link"),
    [
        (PAGE, "https://runbooks.example.com/postwatch/alerter-says.md#postwatchdeadman"),
        ("https://runbooks.example.org/general/watchdog", None),  # of somebody else's watchdog
        ("", None),
    ],
)
def test_an_own_alert_has_a_runbook_where_the_watchdog_has_one(world: World, page: str, link: str | None) -> None:
    watchdog = firing("Watchdog", "none")
    world.hear(booked.with_notes(watchdog, runbook_url=page) if page else watchdog)
    replica = Replica(world)
    world.clock.advance(181)
    replica.duties.tick()
    (told,) = world.claim("oncall")
    assert told.message is not None
    assert told.message.alerts[0].alert.annotations.get("runbook_url") == link
    replica.duties.raise_own("PostwatchWebhookTooLarge", Severity.CRITICAL)
    (told,) = world.claim("oncall")
    assert told.message is not None
    wanted = link and link.replace("deadman", "webhooktoolarge")
    assert told.message.alerts[0].alert.annotations.get("runbook_url") == wanted


def put_by(world: World) -> list[str]:
    """What nobody has judged yet."""
    with world.store.read() as connection:
        return list(connection.execute(sa.select(facts.c.name).where(facts.c.name.startswith("echo:"))).scalars())


def test_who_alone_sees_it_fire_is_heard_in_the_end(world: World) -> None:
    """The Alertmanager that told the end had lost its Prometheus; the other says so once, and again hours later."""
    here = firing()
    there = replace(here, external_url="http://am-1:9093")
    world.hear(here)
    world.hear(over(here))
    world.deliver("oncall")
    world.clock.advance(10)
    assert world.hear(there, firing("B")).changes[Change.ECHO] == 1
    world.hear(there)
    assert len(put_by(world)) == 1
    world.deliver("oncall")
    world.clock.advance(ECHO - 11)
    it = Replica(world)  # so late that it misses no watchdog
    it.duties.tick()
    assert world.deliver("oncall") == []
    world.clock.advance(2)
    it.duties.tick()
    assert world.deliver("oncall") == [("trigger", "A")]
    assert put_by(world) == []
    it.duties.tick()
    world.hear(over(there))
    assert world.deliver("oncall") == [("resolve", "A")]


def test_many_who_are_heard_in_the_end_are_judged_some_at_a_time(world: World) -> None:
    here = [firing(f"N{number}", "warning") for number in range(501)]
    world.hear(*here)
    world.hear(*map(over, here))
    world.hear(*(replace(alert, external_url="http://am-1:9093") for alert in here))
    world.clock.advance(ECHO + 2)
    it = Replica(world)
    left = []
    for _ in range(2):
        it.duties.tick()
        left.append(len(put_by(world)))
    assert left == [1, 0]
    with world.store.read() as connection:
        again = sa.select(sa.func.count()).where(episodes.c.status == "firing", episodes.c.labels.contains('"N'))
        assert connection.execute(again).scalar() == 501


def test_an_echo_is_none_to_be_heard_of(world: World) -> None:
    here = firing()
    there = replace(here, external_url="http://am-1:9093")
    world.hear(here)
    world.hear(over(here))
    world.hear(there)
    world.hear(over(there))  # it was late
    assert put_by(world) == []
    world.hear(there)
    later = replace(here, starts_at=3000.0)
    world.hear(later)
    world.hear(replace(over(later), ends_at=4000.0))  # what was said then is past
    world.deliver("oncall")
    world.clock.advance(ECHO + 1)
    Replica(world).duties.tick()
    assert world.deliver("oncall") == []
    assert put_by(world) == []
