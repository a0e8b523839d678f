"""Pools of PgBouncer: the first have series of their own, the others are added up."""

from typing import Any

from chassis.clock import SystemClock
from chassis.secrets import SecretUrl
from exporter.clients.postgres import Database
from exporter.stores.pgbouncer import MOST_POOLS, STATES, Pools

Rows = list[dict[str, Any]]


def pool(user: str, active: int = 1, database: str = "mail") -> dict[str, Any]:
    return {"database": database, "user": user, **dict.fromkeys(STATES.values(), 0), "cl_active": active}


def told(pools: Pools, rows: Rows, databases: Rows) -> dict[tuple[str, str], float]:
    readings = pools._readings(rows, databases, {"database": "oltp"})
    return {(r.labels["pool"], r.labels.get("state", "limit")): float(r.value) for r in readings}  # type: ignore[arg-type]


def fresh() -> Pools:
    return Pools(Database(SecretUrl("postgresql://stats@127.0.0.1:1/pgbouncer"), SystemClock()))


def test_the_first_pools_stay_and_the_others_are_added_up() -> None:
    pools = fresh()
    rows = [pool(f"u{number}", active=2) for number in range(MOST_POOLS + 5)]
    sizes = [{"name": "mail", "pool_size": "20"}]
    first = told(pools, rows, sizes)
    assert first["mail/u0", "client_active"] == 2
    assert first["_other", "client_active"] == 10
    assert first["mail/u0", "limit"] == 20
    assert ("_other", "limit") not in first
    again = told(pools, [pool("new"), *rows], sizes)
    assert again["_other", "client_active"] == 11
    assert set(again) == set(first)
    later = told(pools, [*rows[1:], pool("new")], sizes)  # one has gone, and made room
    assert ("mail/u0", "client_active") not in later


def test_the_console_is_no_pool_and_a_pool_without_a_size_has_no_limit() -> None:
    found = told(fresh(), [pool("stats", database="pgbouncer"), pool("app")], [{"name": "else", "pool_size": 1}])
    assert {name for name, _ in found} == {"mail/app"}
    assert ("mail/app", "limit") not in found
