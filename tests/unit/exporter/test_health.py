"""What `/health` says when looks are late, workers missing, and stores shared."""

from types import SimpleNamespace
from typing import Any

import pytest

from chassis.clock import ManualClock
from exporter.queues.base import SourceHealth
from exporter.sampling.outcome import Outcome
from exporter.web.health import Picture, database, overall, redis, workers

LIFETIME = 30.0  # of what a source below tells


def source(name: str, clock: ManualClock, account: str = "db", **health: Any) -> Any:
    context = SimpleNamespace(
        name=name, interval=5.0, timeout=3.0, stale_after=LIFETIME, database_account=account, store_account=account
    )
    at = clock.monotonic()
    return SimpleNamespace(
        context=context, health=SourceHealth(**{"database_at": at, "redis_at": at, "workers_at": at, **health})
    )


def picture(clock: ManualClock, *sources: Any, up: bool | None = True) -> Picture:
    outcomes = {}
    for one in sources:
        for kind in ("changes", "counts", "workers"):
            outcomes[f"{kind}/{one.context.name}"] = Outcome(kind, one.context.name, {}, 5.0, up=up)
    return Picture(sources, (), outcomes, "1", 0.0, clock)


def test_what_was_told_long_ago_is_told_no_more() -> None:
    clock = ManualClock(1_800_000_000.0)
    one = source(
        "mail", clock, workers={"active": 2}, workers_healthy=2, redis_memory_bytes=5_000_000, connections_total=4,
        redis_seconds=0.5, query_seconds=0.5,
    )  # fmt: skip
    seen = picture(clock, one)
    assert (workers(seen)["status"], workers(seen)["healthy_workers"]) == ("healthy", 2)
    clock.advance(LIFETIME)
    assert (redis(seen)["memory_mb"], database(seen)["connection_pool"]["total"]) == (5, 4)
    clock.advance(1)
    assert (redis(seen)["memory_mb"], database(seen)["connection_pool"]["total"]) == (None, None)
    assert database(seen)["query_latency_ms"] is None
    assert overall(seen)["checks"]["redis"]["response_time_ms"] is None
    assert (workers(seen)["status"], workers(seen)["healthy_workers"]) == ("unhealthy", None)
    beside = source("other", clock, workers={"active": 1}, workers_healthy=1)
    seen = picture(clock, one, beside)
    assert (workers(seen)["status"], workers(seen)["total_workers"]) == ("degraded", 1)


@pytest.mark.parametrize(
    ("there", "expected", "status"),
    [(3, 3, "healthy"), (2, 3, "degraded"), (96, 97, "degraded"), (0, 3, "unhealthy"), (0, None, "healthy")],
)
def test_workers_that_are_missing(there: int, expected: int | None, status: str) -> None:
    clock = ManualClock(1_800_000_000.0)
    one = source("mail", clock, workers={"active": there}, workers_healthy=there, workers_expected=expected)
    assert workers(picture(clock, one))["status"] == status


def test_before_the_first_look_nothing_is_wrong_unless_it_failed() -> None:
    clock = ManualClock(1_800_000_000.0)
    one = source("mail", clock, workers_at=None)
    assert workers(picture(clock, one, up=None))["status"] == "healthy"
    assert workers(picture(clock, one, up=False))["status"] == "unhealthy"


def test_two_sources_on_one_server_are_one_server() -> None:
    clock = ManualClock(1_800_000_000.0)
    told: dict[str, Any] = {"connections_total": 7, "redis_memory_bytes": 5_000_000}
    seen = picture(clock, source("a", clock, **told), source("b", clock, **told), source("c", clock, "else", **told))
    assert database(seen)["connection_pool"]["total"] == 14
    assert redis(seen)["memory_mb"] == 10
