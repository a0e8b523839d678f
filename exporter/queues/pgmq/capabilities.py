"""Which metrics pgmq can tell, and why not the others."""

from __future__ import annotations

from exporter.catalogue.workers import WORKERS

_NO_TIMES = (
    "postwatch_queue_jobs_within_target_total",
    "postwatch_queue_job_duration_seconds",
    "postwatch_queue_job_wait_seconds",
    "postwatch_queue_job_timeouts_total",
    "postwatch_queue_job_errors_total",
)
_NO_READS = (
    "postwatch_queue_oldest_active_timestamp_seconds",
    "postwatch_queue_stuck_jobs",
)
_NO_DEAD_LETTERS = ("postwatch_queue_dead_letters",)
_NEVER = (
    "postwatch_queue_paused",
    "postwatch_queue_next_expiry_timestamp_seconds",
    "postwatch_queue_redis_length",
    "postwatch_queue_handed_over_jobs",
    "postwatch_queue_drift_jobs",
    "postwatch_queue_drift_checked_jobs",
    *(metric.name for metric in WORKERS),
)


def absent_metrics(
    *, tracked: frozenset[str] | None, tells_reads: bool = True, dead_letters: bool = True
) -> dict[str, str]:
    """Metrics that cannot be told, with the reason for each.

    `tracked`: which columns a tracking table has, of `started`, `enqueued` and `error`; None: there is none.
    `tells_reads`: queues say when messages were last read. `dead_letters`: there is a queue of them.
    """
    absent = dict.fromkeys(_NEVER, "pgmq has nothing of the kind")
    if tracked is None:
        absent |= dict.fromkeys(_NO_TIMES, "pgmq keeps no times, outcomes or errors; a tracking table may")
    else:
        if "started" not in tracked:
            why = "no column of the tracking table tells when an attempt started"
            absent |= dict.fromkeys(_NO_TIMES[1:3], why)
        if "enqueued" not in tracked:
            why = "no column of the tracking table tells when a job was enqueued"
            absent |= dict.fromkeys((_NO_TIMES[0], _NO_TIMES[2]), why)
        if "error" not in tracked:
            absent |= dict.fromkeys(_NO_TIMES[3:], "no column of the tracking table keeps the error")
    if not tells_reads:
        absent |= dict.fromkeys(_NO_READS, "before pgmq 1.10 queues do not say when a message was read")
    if not dead_letters:
        absent |= dict.fromkeys(_NO_DEAD_LETTERS, "no queue's name ends in _dlq")
    return absent
