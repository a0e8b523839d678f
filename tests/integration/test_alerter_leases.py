"""Whose a delivery is: a lease that ended is another's, and who had it changes nothing; on both stores."""

import sqlalchemy as sa

from alerter.model import Reason
from alerter.outbox import claims, outcomes, overview
from alerter.receivers.base import Accepted, DeliveryFailed
from alerter.store.schema import outbox
from tests.support.booked import World, firing

LATE = DeliveryFailed(Reason.UNAVAILABLE, "503", retry=True)


def test_whoever_has_lost_its_lease_changes_nothing(world: World) -> None:
    world.hear(firing())
    (mine,) = world.claim("oncall", "me")
    world.clock.advance(claims.LEASE + 1)
    (theirs,) = world.claim("oncall", "another")
    until = world.clock.now() + claims.LEASE
    world.clock.advance(5)
    with world.store.touch() as connection:
        claims.renew(connection, mine.ids, "me", world.clock.now())
        outcomes.postpone(connection, mine, "me", LATE, world.clock.now(), counts=True)
        outcomes.bury(connection, mine, "me", LATE, world.clock.now())
        assert not outcomes.accept(connection, mine, "me", Accepted(), world.clock.now())
        row = connection.execute(sa.select(outbox)).one()
        assert (row.state, row.lease_by, row.lease_until) == ("pending", "another", until)
        assert outcomes.accept(connection, theirs, "another", Accepted(), world.clock.now())
    assert world.states() == [("oncall", "trigger", "accepted")]


def test_a_start_frees_what_a_crash_has_left_where_nobody_else_may_be_at_it(world: World) -> None:
    world.hear(firing())
    assert len(world.claim("oncall", "before")) == 1
    with world.store.write() as connection:
        overview.free_leases(connection, world.store, world.clock.now())
    assert len(world.claim("oncall", "after")) == int(world.store.is_sqlite)
