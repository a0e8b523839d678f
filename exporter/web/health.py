"""`/health` and `/api/v1/health/…`: from the latest samples, never by a query."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from chassis.clock import Clock
from exporter.parts import Part
from exporter.queues.base import QueueSource, SourceHealth
from exporter.sampling.outcome import Outcome

HEALTHY, DEGRADED, UNHEALTHY = "healthy", "degraded", "unhealthy"
ENOUGH_WORKERS = 0.95  # healthy ÷ all: the objective for workers


@dataclass(frozen=True)
class Picture:
    """All that health is judged by."""

    sources: tuple[QueueSource, ...]
    parts: tuple[Part, ...]
    outcomes: dict[str, Outcome]
    version: str
    started: float  # monotonic
    clock: Clock


def worst(statuses: Iterable[str]) -> str:
    """The worst of several; healthy if there are none."""
    order = (HEALTHY, DEGRADED, UNHEALTHY)
    return max(statuses, key=order.index, default=HEALTHY)


def _status(picture: Picture, kinds: tuple[str, ...]) -> str:
    """Unhealthy if no sampler of these kinds succeeds any more, degraded if some fail."""
    states = [o.up for o in picture.outcomes.values() if o.kind in kinds and o.up is not None]
    if not states or all(states):
        return HEALTHY
    return DEGRADED if any(states) else UNHEALTHY


def _milliseconds(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(1000 * max(known), 3) if known else None


def _total(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _is_fresh(picture: Picture, source: QueueSource, at: float | None, *kinds: str) -> bool:
    """Whether what samplers of these kinds told at a moment is still to be told: as long as gauges are served."""
    context = source.context
    outcomes = [picture.outcomes.get(f"{kind}/{context.name}") for kind in kinds]
    interval = max((outcome.interval for outcome in outcomes if outcome), default=context.interval)
    lifetime = max(context.stale_after, 3 * interval + context.timeout)
    return at is not None and picture.clock.monotonic() - at <= lifetime


def _databases(picture: Picture) -> list[SourceHealth]:
    """One for each database, however many sources are in it: what was told of it last."""
    found: dict[str, SourceHealth] = {}
    for source in sorted(picture.sources, key=lambda source: source.health.database_at or 0.0):
        if _is_fresh(picture, source, source.health.database_at, "changes", "counts"):
            found[source.context.database_account] = source.health
    return list(found.values())


def _stores(picture: Picture) -> list[SourceHealth]:
    """One for each Redis."""
    found: dict[str, SourceHealth] = {}
    for source in sorted(picture.sources, key=lambda source: source.health.redis_at or 0.0):
        if _is_fresh(picture, source, source.health.redis_at, "workers"):
            found[source.context.store_account] = source.health
    return list(found.values())


def database(picture: Picture) -> dict[str, Any]:
    """The watched databases: connections of all, latency of the slowest."""
    health = _databases(picture)
    return {
        "status": _status(picture, ("changes", "counts")),
        "connection_pool": {
            "active": _total(h.connections_active for h in health),
            "idle": _total(h.connections_idle for h in health),
            "total": _total(h.connections_total for h in health),
        },
        "query_latency_ms": _milliseconds(h.query_seconds for h in health),
    }


def redis(picture: Picture) -> dict[str, Any]:
    """The watched Redis servers, added up."""
    health = _stores(picture)
    memory = _total(h.redis_memory_bytes for h in health)
    return {
        "status": _status(picture, ("workers",)),
        "memory_mb": None if memory is None else round(memory / 1e6, 3),
        "connected_clients": _total(h.redis_clients for h in health),
        "ops_per_second": _total(h.redis_commands_a_second for h in health),
    }


def _is_silent(picture: Picture, source: QueueSource) -> bool:
    """Whether a source should tell of its workers, and does not any more."""
    if source.health.workers_at is not None:
        return not _is_fresh(picture, source, source.health.workers_at, "workers", "changes")
    outcome = picture.outcomes.get(f"workers/{source.context.name}")
    return outcome is not None and outcome.up is False


def workers(picture: Picture) -> dict[str, Any]:
    """All workers. Unhealthy if none is healthy of those that are there or expected, or nothing is known of them
    any more; degraded under the objective, if some are missing, or some sources are silent.
    """
    silent = [source.health for source in picture.sources if _is_silent(picture, source)]
    known = [s.health for s in picture.sources if s.health.workers_at is not None and not _is_silent(picture, s)]
    total = sum(sum(h.workers.values()) for h in known)
    healthy = sum(h.workers_healthy for h in known)
    missing = any(sum(h.workers.values()) < (h.workers_expected or 0) for h in known)
    status = HEALTHY
    if silent or missing or healthy < ENOUGH_WORKERS * total:
        status = DEGRADED if healthy else UNHEALTHY
    told = known or not silent
    return {
        "status": status,
        "active_workers": sum(h.workers.get("active", 0) for h in known) if told else None,
        "total_workers": total if told else None,
        "healthy_workers": healthy if told else None,
        "unhealthy_workers": total - healthy if told else None,
    }


def overall(picture: Picture) -> dict[str, Any]:
    """Everything in one answer, in the shape that the task-queue guide gives."""
    of_database, of_redis, of_workers = database(picture), redis(picture), workers(picture)
    moment = datetime.fromtimestamp(picture.clock.now(), UTC)
    checks = {
        "database": {"status": of_database["status"], "response_time_ms": of_database["query_latency_ms"]},
        "redis": {
            "status": of_redis["status"],
            "response_time_ms": _milliseconds(health.redis_seconds for health in _stores(picture)),
        },
        "workers": {
            "status": of_workers["status"],
            "active_count": of_workers["active_workers"],
            "total_count": of_workers["total_workers"],
        },
        "api": {"status": HEALTHY, "uptime_seconds": round(picture.clock.monotonic() - picture.started)},
    }
    return {
        "status": worst(check["status"] for check in checks.values()),
        "version": picture.version,
        "timestamp": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "checks": checks,
    }


def routes(picture: Callable[[], Picture]) -> list[BaseRoute]:
    """The pages; each answers 503 when what it tells of is unhealthy."""

    def page(path: str, tell: Callable[[Picture], dict[str, Any]]) -> Route:
        async def answer(_request: Request) -> Response:
            told = tell(picture())
            return JSONResponse(told, 503 if told["status"] == UNHEALTHY else 200, {"Cache-Control": "no-store"})

        return Route(path, answer)

    return [
        page("/health", overall),
        page("/api/v1/health/database", database),
        page("/api/v1/health/redis", redis),
        page("/api/v1/health/workers", workers),
    ]
