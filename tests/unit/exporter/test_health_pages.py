"""The health pages over HTTP: the shapes that load balancers and scripts were promised, and 503."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from chassis.clock import ManualClock
from exporter.model import Reason
from exporter.queues.base import SourceHealth
from exporter.sampling.outcome import Outcome
from exporter.web.health import Picture, routes, worst

KINDS = ("changes", "counts", "workers", "failed")


def source(name: str = "mail", *, account: str = "db", **health: Any) -> Any:
    """A source that was just looked at."""
    context = SimpleNamespace(
        name=name, interval=5.0, timeout=3.0, stale_after=30.0, database_account=account, store_account=account
    )
    return SimpleNamespace(
        context=context, health=SourceHealth(**{"database_at": 0.0, "redis_at": 0.0, "workers_at": 0.0, **health})
    )


class Client:
    """Asks an application, without a network."""

    def __init__(self, app: Starlette) -> None:
        self._app = app

    def get(self, path: str) -> httpx.Response:
        return asyncio.run(self._get(path))

    async def _get(self, path: str) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self._app), base_url="http://exporter") as client:
            return await client.get(path)


def client(*sources: Any, failing: str = "") -> Client:
    """`failing`: samplers that do, e.g. `changes/mail counts/mail`."""
    clock = ManualClock(1_700_000_000.25)
    outcomes = {}
    for one in sources:
        for kind in KINDS:
            outcome = outcomes[f"{kind}/{one.context.name}"] = Outcome(kind, one.context.name, {}, 5.0)
            outcome.succeeded(clock.now())
    for name in failing.split():
        outcomes[name].failed(Reason.REFUSED, "refused")
    clock.advance(12.0)
    picture = Picture(sources, (), outcomes, "1.2.3", 0.0, clock)
    return Client(Starlette(routes=routes(lambda: picture)))


FULL: dict[str, Any] = {
    "connections_active": 3,
    "connections_idle": 5,
    "connections_total": 9,
    "query_seconds": 0.0123,
    "redis_seconds": 0.0015,
    "redis_memory_bytes": 5_500_000,
    "redis_clients": 4,
    "redis_commands_a_second": 250,
    "workers": {"active": 19, "paused": 0, "draining": 0, "dead": 1},
    "workers_healthy": 19,
}


def test_all_in_one() -> None:
    answer = client(source(**FULL)).get("/health")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "healthy",
        "version": "1.2.3",
        "timestamp": "2023-11-14T22:13:32.250Z",
        "checks": {
            "database": {"status": "healthy", "response_time_ms": 12.3},
            "redis": {"status": "healthy", "response_time_ms": 1.5},
            "workers": {"status": "healthy", "active_count": 19, "total_count": 20},
            "api": {"status": "healthy", "uptime_seconds": 12},
        },
    }


@pytest.mark.parametrize(
    ("page", "told"),
    [
        (
            "database",
            {"connection_pool": {"active": 3, "idle": 5, "total": 9}, "query_latency_ms": 12.3},
        ),
        ("redis", {"memory_mb": 5.5, "connected_clients": 4, "ops_per_second": 250}),
        ("workers", {"active_workers": 19, "total_workers": 20, "healthy_workers": 19, "unhealthy_workers": 1}),
    ],
)
def test_each_by_itself(page: str, told: dict[str, Any]) -> None:
    answer = client(source(**FULL)).get(f"/api/v1/health/{page}")
    assert (answer.status_code, answer.json()) == (200, {"status": "healthy", **told})
    assert answer.headers["cache-control"] == "no-store"


def test_nothing_watched_is_nothing_wrong() -> None:
    answer = client().get("/health")
    assert (answer.status_code, answer.json()["status"]) == (200, "healthy")
    assert answer.json()["checks"]["database"] == {"status": "healthy", "response_time_ms": None}
    assert client().get("/api/v1/health/workers").json()["total_workers"] in (0, None)


@pytest.mark.parametrize(
    ("failing", "page", "status"),
    [
        ("changes/mail counts/mail", "database", "unhealthy"),
        ("changes/mail", "database", "degraded"),
        ("workers/mail", "redis", "unhealthy"),
        ("failed/mail", "database", "healthy"),
        ("changes/mail counts/mail", "redis", "healthy"),
    ],
)
def test_what_fails_is_told_where_it_belongs_and_in_all(failing: str, page: str, status: str) -> None:
    web = client(source(**FULL), failing=failing)
    one, whole = web.get(f"/api/v1/health/{page}"), web.get("/health")
    code = 503 if status == "unhealthy" else 200
    assert (one.status_code, one.json()["status"]) == (code, status)
    assert whole.json()["checks"][page]["status"] == status
    if status != "healthy":
        assert (whole.status_code, whole.json()["status"]) == (code, status)


def test_one_database_of_two_that_is_away_degrades() -> None:
    web = client(source(**FULL), source("other", account="else"), failing="changes/other counts/other")
    answer = web.get("/api/v1/health/database")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")


@pytest.mark.parametrize(
    ("healthy", "status", "code"),
    [(20, "healthy", 200), (19, "healthy", 200), (18, "degraded", 200), (0, "unhealthy", 503)],
)
def test_sick_workers(healthy: int, status: str, code: int) -> None:
    web = client(source(**{**FULL, "workers_healthy": healthy}))
    answer = web.get("/api/v1/health/workers")
    assert (answer.status_code, answer.json()["status"]) == (code, status)
    assert answer.json()["unhealthy_workers"] == 20 - healthy
    assert web.get("/health").status_code == code


def test_the_worst_counts() -> None:
    assert worst([]) == "healthy"
    assert worst(["healthy", "degraded"]) == "degraded"
    assert worst(["unhealthy", "degraded", "healthy"]) == "unhealthy"
