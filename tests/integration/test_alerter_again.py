"""What is told again opens nothing beside what its end will close, singly and in storms; on both stores."""

import pytest

from alerter.duties.taking import Taking
from alerter.model import Action, Mark
from alerter.outbox import claims
from tests.support.booked import World, firing, over

LATER = 4 * 3600.0 + 1  # seconds; routes of booked.SETTINGS repeat after four hours
MANY = 20


class Incidents:
    """What is open at a provider that knows incidents by their keys."""

    def __init__(self, world: World) -> None:
        self.open: set[str] = set()
        self._world = world

    def deliver(self, receiver: str = "ops") -> int:
        """All that may be sent is accepted; answers how many messages it were."""
        count = 0
        while claimed := self._world.claim(receiver):
            for each in claimed:
                if each.message is not None:
                    count += 1
                    change = self.open.discard if each.action is Action.RESOLVE else self.open.add
                    change(each.message.dedup_key)
                self._world.accept(each)
        return count


def collapse(world: World, receiver: str = "ops") -> int:
    with world.store.touch(turn=receiver) as connection:
        return claims.collapse(connection, receiver, world.clock.now(), urgent=False)


@pytest.mark.parametrize("together", [True, False], ids=["in a storm", "one by one"])
@pytest.mark.parametrize("again", [True, False], ids=["again in a storm", "again one by one"])
def test_nothing_stays_open(world: World, together: bool, again: bool) -> None:
    incidents = Incidents(world)
    alerts = [firing(f"S{number}", "warning") for number in range(MANY)]
    world.hear(*alerts)
    assert (collapse(world) if together else MANY) == MANY
    assert incidents.deliver() == (1 if together else MANY)
    opened = set(incidents.open)
    world.clock.advance(LATER)
    assert world.look().repeats == MANY
    assert (collapse(world) if again else MANY) == MANY
    assert incidents.deliver() == (1 if again else MANY)
    assert incidents.open == opened
    world.hear(*map(over, alerts[: MANY // 2]))
    incidents.deliver()
    world.hear(*map(over, alerts[MANY // 2 :]))
    incidents.deliver()
    assert incidents.open == set()
    assert all(state != "pending" for *_, state in world.states())


def test_what_is_told_again_counts_and_says_so(world: World) -> None:
    world.hear(*(firing(f"S{number}", "warning") for number in range(MANY)))
    Incidents(world).deliver()
    world.clock.advance(LATER)
    world.look()
    collapse(world)
    (claimed,) = world.claim("ops")
    assert claimed.message is not None
    assert claimed.message.storm is not None
    assert (claimed.message.storm.count, set(claimed.message.marks)) == (MANY, {Mark.REPEAT})


def test_what_is_new_is_not_told_among_what_is_told_again(world: World) -> None:
    incidents = Incidents(world)
    old = [firing(f"O{number}", "warning") for number in range(MANY)]
    world.hear(*old)
    incidents.deliver()
    world.clock.advance(LATER)
    world.look()
    new = [firing(f"N{number}", "warning") for number in range(MANY)]
    world.hear(*new)
    assert collapse(world) == 2 * MANY
    claimed = world.claim("ops")
    assert [len(each.ids) for each in claimed] == [MANY, MANY]
    for each in claimed:
        assert each.message is not None
        incidents.open.add(each.message.dedup_key)
        world.accept(each)
    world.hear(*map(over, old), *map(over, new))
    incidents.deliver()
    assert incidents.open == set()


def test_a_repetition_that_waits_while_all_ends_closes_what_it_opens_anew(world: World) -> None:
    incidents = Incidents(world)
    alerts = [firing(f"S{number}", "warning") for number in range(MANY)]
    world.hear(*alerts)
    collapse(world)
    incidents.deliver()
    world.clock.advance(LATER)
    world.look()
    collapse(world)
    world.hear(*map(over, alerts))
    incidents.deliver()
    assert incidents.open == set()


def test_who_is_not_told_again_does_not_close_what_is_opened_anew(world: World) -> None:
    incidents = Incidents(world)
    alerts = [firing(f"S{number}", "warning") for number in range(3)]
    world.hear(*alerts)
    collapse(world)
    incidents.deliver()
    taking = Taking(world.store, world.clock, lambda: world.policy, lambda _names: None)
    assert taking.by_hand(1, "ann")
    incidents.deliver()
    world.clock.advance(LATER)
    assert world.look().repeats == 2
    assert collapse(world) == 2
    world.hear(*map(over, alerts))
    # The end of the one that somebody saw to comes first, of whatever order.
    (end,) = [each for each in world.claim("ops") if each.action is Action.RESOLVE]
    world.accept(end)
    world.clock.advance(claims.LEASE + 1)
    incidents.deliver()
    assert incidents.open == set()
    assert all(state != "pending" for *_, state in world.states())
