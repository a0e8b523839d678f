"""Jobs of queues."""

from __future__ import annotations

from chassis.exposition import Kind
from exporter.catalogue.metric import COUNTER, GAUGE, HISTOGRAM, Metric, declare

_QUEUE = ("source", "queue", "priority")
_LOOK = "each quick look (`interval`, 5 s); at most 10 s old, whatever the size of the table"
_EVENTS = "each quick look (`interval`, 5 s)"
_REDIS = "each quick look at Redis (`interval`, 5 s)"
_EXACT = "each exact count (`interval`, 5 s, stretched as the budget asks)"
_COMPARED = "each comparison (`drift.interval`, 1 min)"
_STATIC = "at once"


def _queue(name: str, kind: Kind, more: str, unit: str, source: str, fresh: str, help: str, query: str) -> Metric:
    labels = (*_QUEUE, *more.split())
    return Metric(f"postwatch_queue_{name}", kind, labels, help, unit, "Queues", source, fresh, query)


QUEUES = (
    _queue("depth", GAUGE, "", "jobs", "PostgreSQL", _LOOK,
        "Jobs ready to run and not started, by PostgreSQL: those handed over included, even if Redis lost them.",
        "sum by (queue) (postwatch_queue_depth)"),
    _queue("jobs", GAUGE, "state", "jobs", "PostgreSQL", _LOOK + "; `failed`: each `failed.interval` (1 min)",
        "Jobs by state: scheduled for later, waiting (the same as depth), active, and failed rows still stored.",
        'postwatch_queue_jobs{state="failed"} > 10'),
    _queue("counted_timestamp_seconds", GAUGE, "state", "epoch seconds", "PostgreSQL", _EXACT,
        "When that state was last counted exactly; in between, its number is carried forward by what changed.",
        "time() - postwatch_queue_counted_timestamp_seconds > 300"),
    _queue("oldest_waiting_timestamp_seconds", GAUGE, "", "epoch seconds", "PostgreSQL", _EXACT,
        "Since when the oldest waiting job is ready to run; absent while none waits.",
        "time() - postwatch_queue_oldest_waiting_timestamp_seconds"),
    _queue("oldest_active_timestamp_seconds", GAUGE, "", "epoch seconds", "PostgreSQL", _LOOK,
        "When the longest-running active job started; absent while none runs.",
        "time() - postwatch_queue_oldest_active_timestamp_seconds"),
    _queue("last_finished_timestamp_seconds", GAUGE, "", "epoch seconds", "PostgreSQL", _EVENTS,
        "When a job last ended, before the exporter started too; absent until one has.",
        "time() - postwatch_queue_last_finished_timestamp_seconds > 600"),
    _queue("jobs_enqueued_total", COUNTER, "", "jobs", "PostgreSQL", _EVENTS,
        "Jobs created since the exporter started.", "rate(postwatch_queue_jobs_enqueued_total[5m])"),
    _queue("jobs_finished_total", COUNTER, "outcome", "jobs", "PostgreSQL", _EVENTS,
        "Jobs that reached an end since the exporter started, each counted once.",
        'rate(postwatch_queue_jobs_finished_total{outcome="completed"}[5m])'),
    _queue("jobs_within_target_total", COUNTER, "", "jobs", "PostgreSQL", _EVENTS,
        "Completed jobs that took no longer than the queue's target from ready to end; 0 without a target.",
        "sum(rate(postwatch_queue_jobs_within_target_total[1h]))"
        ' / sum(rate(postwatch_queue_jobs_finished_total{outcome!="cancelled"}[1h]))'),
    _queue("job_duration_seconds", HISTOGRAM, "", "seconds", "PostgreSQL", _EVENTS,
        "How long ended jobs ran: from their last start to their end.",
        "histogram_quantile(0.99, sum by (le, queue) (rate(postwatch_queue_job_duration_seconds_bucket[5m])))"),
    _queue("job_wait_seconds", HISTOGRAM, "", "seconds", "PostgreSQL", _EVENTS,
        "How long ended jobs waited: from ready for the first attempt to their last start.",
        "histogram_quantile(0.95, sum by (le, queue) (rate(postwatch_queue_job_wait_seconds_bucket[5m])))"),
    _queue("job_retries_total", COUNTER, "", "attempts", "PostgreSQL", _EVENTS,
        "Failed attempts that were or will be followed by another.", "rate(postwatch_queue_job_retries_total[5m])"),
    _queue("job_timeouts_total", COUNTER, "", "attempts", "PostgreSQL", _EVENTS,
        "Failed attempts whose error says that they ran out of time.", "rate(postwatch_queue_job_timeouts_total[5m])"),
    _queue("job_errors_total", COUNTER, "error", "attempts", "PostgreSQL", _EVENTS,
        "Failed attempts by class of error: the first 20 classes a queue, all others as _other.",
        "topk(5, sum by (error) (rate(postwatch_queue_job_errors_total[5m])))"),
    _queue("target_seconds", GAUGE, "", "seconds", "configuration", _STATIC,
        "How long a job of the queue may take from ready to end; absent without a target.",
        "postwatch_queue_target_seconds"),
    _queue("depth_threshold", GAUGE, "level", "jobs", "configuration", _STATIC,
        "Waiting jobs above which the status is warning or critical, or someone is paged.",
        'postwatch_queue_depth > on (source, queue, priority) postwatch_queue_depth_threshold{level="page"}'),
    _queue("failure_threshold", GAUGE, "level", "critical: jobs an hour; page: ratio", "configuration", _STATIC,
        "Above it the status is critical (failed jobs an hour), or someone is paged (failed jobs per ended job).",
        "sum by (source, queue, priority) (increase(postwatch_queue_jobs_finished_total{outcome=\"failed\"}[1h]))"
        ' > on (source, queue, priority) postwatch_queue_failure_threshold{level="critical"}'),
    _queue("paused", GAUGE, "", "0 or 1", "PostgreSQL", _LOOK,
        "1 while the queue is paused.", "postwatch_queue_paused == 1"),
    _queue("stuck_jobs", GAUGE, "", "jobs", "PostgreSQL and Redis", _LOOK,
        "Active jobs that run for longer than their queue's time_limit, or whose worker has no heartbeat any more.",
        "postwatch_queue_stuck_jobs > 0"),
    _queue("next_expiry_timestamp_seconds", GAUGE, "", "epoch seconds", "Redis", _REDIS,
        "When Redis will drop the first waiting job, as the list's key or the job's own expires; absent if never.",
        "postwatch_queue_next_expiry_timestamp_seconds - time() < 3600"),
    _queue("redis_length", GAUGE, "", "elements", "Redis", _REDIS,
        "Length of the queue's list in Redis.", "postwatch_queue_redis_length"),
    _queue("handed_over_jobs", GAUGE, "", "jobs", "PostgreSQL", _LOOK,
        "Waiting jobs that PostgreSQL believes to be in Redis; less the list's length, what Redis has lost.",
        "postwatch_queue_handed_over_jobs - postwatch_queue_redis_length"),
    _queue("drift_jobs", GAUGE, "kind", "jobs", "PostgreSQL and Redis", _COMPARED,
        "Jobs of which PostgreSQL and Redis believe different things, found by two comparisons in a row.",
        "sum by (queue, kind) (postwatch_queue_drift_jobs) > 0"),
    _queue("drift_checked_jobs", GAUGE, "kind", "jobs", "PostgreSQL and Redis", _COMPARED,
        "Jobs that were compared by id in the last comparison.", "postwatch_queue_drift_checked_jobs"),
    declare("Queues", ("source",), "queue_dead_letters", GAUGE, "jobs", "Redis or PostgreSQL", _EVENTS,
        "Jobs in the dead-letter queue; with queue and priority as labels where each queue may have one of its own.",
        "postwatch_queue_dead_letters > 0"),
    declare("Queues", ("source",), "queue_long_transactions_total", COUNTER, "transactions", "PostgreSQL", _EVENTS,
        "Writing transactions that stayed open for more than 15 minutes: jobs that they end may be miscounted.",
        "increase(postwatch_queue_long_transactions_total[1d])"),
)  # fmt: skip
