"""Which metrics pg-boss' tables cannot tell, and why."""

from __future__ import annotations

from exporter.catalogue.workers import WORKERS

_NO_REDIS = "nothing of pg-boss stands in Redis"
_NO_WORKERS = "no row tells which worker runs a job"

ABSENT: dict[str, str] = {
    "postwatch_queue_paused": "pg-boss has no paused queues",
    **dict.fromkeys(
        (
            "postwatch_queue_redis_length",
            "postwatch_queue_handed_over_jobs",
            "postwatch_queue_drift_jobs",
            "postwatch_queue_drift_checked_jobs",
        ),
        _NO_REDIS,
    ),
    **dict.fromkeys((metric.name for metric in WORKERS), _NO_WORKERS),
}
