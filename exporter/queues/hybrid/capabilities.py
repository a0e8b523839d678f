"""Which metrics a layout can tell, and why not the others."""

from __future__ import annotations

from exporter.queues.hybrid.tables import Tables

_FOLLOWED = (
    "postwatch_queue_jobs_enqueued_total",
    "postwatch_queue_jobs_finished_total",
    "postwatch_queue_jobs_within_target_total",
    "postwatch_queue_job_retries_total",
    "postwatch_queue_job_timeouts_total",
    "postwatch_queue_job_errors_total",
    "postwatch_queue_job_duration_seconds",
    "postwatch_queue_job_wait_seconds",
    "postwatch_queue_last_finished_timestamp_seconds",
    "postwatch_queue_long_transactions_total",
)
_OF_REDIS = (
    "postwatch_queue_redis_length",
    "postwatch_queue_handed_over_jobs",
    "postwatch_queue_drift_jobs",
    "postwatch_queue_drift_checked_jobs",
    "postwatch_queue_next_expiry_timestamp_seconds",
    "postwatch_queue_dead_letters",
    "postwatch_worker_last_heartbeat_timestamp_seconds",
    "postwatch_worker_start_timestamp_seconds",
    "postwatch_worker_capacity",
    "postwatch_worker_restarts_total",
)
_OF_WORKERS = (
    "postwatch_workers",
    "postwatch_workers_expected",
    "postwatch_workers_healthy",
    "postwatch_worker_jobs_running",
    "postwatch_worker_jobs_finished_total",
    "postwatch_worker_job_seconds_total",
)


def absent_metrics(tables: Tables, *, has_redis: bool) -> dict[str, str]:
    """Metrics that cannot be told, with the reason for each."""
    spec, logs = tables.layout.jobs, tables.layout.logs if tables.reads_logs else None
    has = tables.has
    absent: dict[str, str] = {}

    def needs(available: object, why: str, *metrics: str) -> None:
        if not available:
            for metric in metrics:
                absent.setdefault(metric, why)

    needs(tables.follows_changes or logs, "no column tells when a row was changed", *_FOLLOWED)
    needs(has(spec.created) or logs, "no column tells when a job was created", _FOLLOWED[0])
    needs(
        has(spec.created) or has(spec.run_at),
        "no column tells when a job was ready",
        "postwatch_queue_jobs_within_target_total",
        "postwatch_queue_job_wait_seconds",
        "postwatch_queue_oldest_waiting_timestamp_seconds",
    )
    needs(
        has(spec.started) or (logs and logs.started),
        "no column tells when an attempt started",
        "postwatch_queue_job_duration_seconds",
        "postwatch_queue_job_wait_seconds",
        "postwatch_queue_oldest_active_timestamp_seconds",
    )
    needs(has(spec.attempts) or logs, "no column counts attempts", "postwatch_queue_job_retries_total")
    needs(
        has(spec.error) or (logs and logs.error),
        "no column keeps the error",
        "postwatch_queue_job_errors_total",
        "postwatch_queue_job_timeouts_total",
    )
    queues = tables.layout.queues
    pauses = tables.queues is not None and queues is not None and queues.active in tables.queues.columns
    needs(pauses, "no table of queues tells whether they are paused", "postwatch_queue_paused")
    needs(tables.layout.states.handed_over, "no state means handed over", "postwatch_queue_handed_over_jobs")
    needs(has_redis, "no Redis is configured", *_OF_REDIS)
    needs(has_redis or has(spec.worker), "neither a Redis nor a column tells of workers", *_OF_WORKERS)
    return absent
