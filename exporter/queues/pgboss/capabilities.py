"""Which metrics pg-boss' tables cannot tell, and why."""

from __future__ import annotations

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
    **dict.fromkeys(
        (
            "postwatch_workers",
            "postwatch_workers_expected",
            "postwatch_workers_healthy",
            "postwatch_worker_last_heartbeat_timestamp_seconds",
            "postwatch_worker_start_timestamp_seconds",
            "postwatch_worker_jobs_running",
            "postwatch_worker_capacity",
            "postwatch_worker_jobs_finished_total",
            "postwatch_worker_job_seconds_total",
            "postwatch_worker_restarts_total",
        ),
        _NO_WORKERS,
    ),
}
