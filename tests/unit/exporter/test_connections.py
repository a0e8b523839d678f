"""What is gone on with over a reload."""

from chassis.clock import ManualClock
from chassis.secrets import SecretUrl
from exporter.clients.connections import Connections

ADDRESS = SecretUrl("redis://jo:a-password@127.0.0.1:6379/0")


def test_a_store_is_gone_on_with_unless_it_is_given_another_time() -> None:
    first = Connections(ManualClock())
    store, account = first.store(ADDRESS, 0.01, 2.0)
    assert first.store(SecretUrl(ADDRESS.reveal()), 0.01, 2.0) == (store, account)
    second = Connections(ManualClock(), first)
    assert second.store(ADDRESS, 0.01, 2.0) == (store, account)
    third = Connections(ManualClock(), second)
    patient, _ = third.store(ADDRESS, 0.01, 7.0)
    assert patient is not store
    assert (store.timeout, patient.timeout) == (2.0, 7.0)
