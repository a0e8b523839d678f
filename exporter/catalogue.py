"""Every metric that the exporter serves, declared once: code, documentation, dashboards and tests read this."""

from __future__ import annotations

from dataclasses import dataclass

from chassis.exposition import Family, Kind


@dataclass(frozen=True)
class Metric:
    """A declared metric. `query` is an example in PromQL; `fresh` says when its value is taken anew."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str
    unit: str
    group: str
    source: str
    fresh: str
    query: str

    @property
    def family(self) -> Family:
        """As the exposition needs it."""
        return Family(self.name, self.kind, self.help)


_QUEUE = ("source", "queue", "priority")
_WORKER = ("source", "worker")
_SAMPLER = ("sampler", "source")
_LOOK = "each quick look (`interval`, 5 s); at most 10 s old, whatever the size of the table"
_EVENTS = "each quick look (`interval`, 5 s)"
_REDIS = "each quick look at Redis (`interval`, 5 s)"
_EXACT = "each exact count (`interval`, 5 s, stretched as the budget asks)"
_COMPARED = "each comparison (`drift.interval`, 1 min)"
_STATIC = "at once"
_RUN = "each run of the sampler"
COUNTER, GAUGE, HISTOGRAM = Kind.COUNTER, Kind.GAUGE, Kind.HISTOGRAM


def _queue(name: str, kind: Kind, more: str, unit: str, source: str, fresh: str, help: str, query: str) -> Metric:
    labels = (*_QUEUE, *more.split())
    return Metric(f"postwatch_queue_{name}", kind, labels, help, unit, "Queues", source, fresh, query)


def _other(
    group: str,
    labels: tuple[str, ...],
    name: str,
    kind: Kind,
    unit: str,
    source: str,
    fresh: str,
    help: str,
    query: str,
) -> Metric:
    return Metric(f"postwatch_{name}", kind, labels, help, unit, group, source, fresh, query)


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
    _other("Queues", ("source",), "queue_dead_letters", GAUGE, "jobs", "Redis", _REDIS,
        "Jobs in the dead-letter list, deadletter:queue.", "postwatch_queue_dead_letters > 0"),
    _other("Queues", ("source",), "queue_long_transactions_total", COUNTER, "transactions", "PostgreSQL", _EVENTS,
        "Writing transactions that stayed open for more than 15 minutes: jobs that they end may be miscounted.",
        "increase(postwatch_queue_long_transactions_total[1d])"),
)  # fmt: skip

WORKERS = (
    _other("Workers", ("source", "state"), "workers", GAUGE, "workers", "Redis", _REDIS,
        "Workers by state; dead ones until they are forgotten.", 'sum(postwatch_workers{state="active"})'),
    _other("Workers", ("source",), "workers_expected", GAUGE, "workers", "configuration", _REDIS,
        "Workers that should be there, from the configuration; absent if it does not say.",
        'postwatch_workers_expected - on (source) postwatch_workers{state="active"}'),
    _other("Workers", ("source",), "workers_healthy", GAUGE, "workers", "Redis", _REDIS,
        "Workers with a fresh heartbeat and a ratio of failed to ended jobs under error_limit.",
        "postwatch_workers_healthy / on (source) sum by (source) (postwatch_workers)"),
    _other("Workers", _WORKER, "worker_last_heartbeat_timestamp_seconds", GAUGE, "epoch seconds", "Redis", _REDIS,
        "When the worker last gave a sign of life.", "time() - postwatch_worker_last_heartbeat_timestamp_seconds"),
    _other("Workers", _WORKER, "worker_start_timestamp_seconds", GAUGE, "epoch seconds", "Redis", _REDIS,
        "When the worker started.", "time() - postwatch_worker_start_timestamp_seconds"),
    _other("Workers", _WORKER, "worker_jobs_running", GAUGE, "jobs", "Redis", _REDIS,
        "Jobs that the worker runs now.", "postwatch_worker_jobs_running / postwatch_worker_capacity"),
    _other("Workers", _WORKER, "worker_capacity", GAUGE, "jobs", "Redis", _REDIS,
        "Jobs that the worker can run at a time.", "postwatch_worker_capacity"),
    _other("Workers", (*_WORKER, "outcome"), "worker_jobs_finished_total", COUNTER, "jobs", "Redis, else PostgreSQL",
        _REDIS, "Jobs that the worker ended, by outcome; from its own figures where it keeps them.",
        'rate(postwatch_worker_jobs_finished_total{outcome="failed"}[5m])'),
    _other("Workers", _WORKER, "worker_job_seconds_total", COUNTER, "seconds", "PostgreSQL", _REDIS,
        "Time that the worker spent in jobs that have ended; over their number, the average.",
        "rate(postwatch_worker_job_seconds_total[5m])"),
    _other("Workers", _WORKER, "worker_restarts_total", COUNTER, "restarts", "Redis", _REDIS,
        "Restarts of the worker, as it tells or as its start time shows.",
        "increase(postwatch_worker_restarts_total[1h]) > 3"),
)  # fmt: skip

_SELF = "The exporter itself"
ITSELF = (
    _other(_SELF, ("version", "python"), "build_info", GAUGE, "always 1", "the exporter", _STATIC,
        "1, with the versions of Postwatch and of Python as labels.", "postwatch_build_info"),
    _other(_SELF, _SAMPLER, "sampler_up", GAUGE, "0 or 1", "the exporter", _RUN,
        "1 if the sampler's last run gave what it should, 0 if it failed or none has ended yet.",
        "postwatch_sampler_up == 0"),
    _other(_SELF, _SAMPLER, "sampler_last_success_timestamp_seconds", GAUGE, "epoch seconds", "the exporter", _RUN,
        "When the sampler last succeeded.", "time() - postwatch_sampler_last_success_timestamp_seconds"),
    _other(_SELF, _SAMPLER, "sampler_duration_seconds", HISTOGRAM, "seconds", "the exporter", _RUN,
        "How long the sampler's runs took.",
        "histogram_quantile(0.95, sum by (le, sampler) (rate(postwatch_sampler_duration_seconds_bucket[5m])))"),
    _other(_SELF, _SAMPLER, "sampler_runs_total", COUNTER, "runs", "the exporter", _RUN,
        "Runs of the sampler, failed ones included.", "rate(postwatch_sampler_runs_total[5m])"),
    _other(_SELF, (*_SAMPLER, "reason"), "sampler_failures_total", COUNTER, "runs", "the exporter", _RUN,
        "Failed runs of the sampler by reason.", "increase(postwatch_sampler_failures_total[10m]) > 0"),
    _other(_SELF, _SAMPLER, "sampler_interval_seconds", GAUGE, "seconds", "the exporter", _RUN,
        "Time between the sampler's runs, as stretched by the budget.", "postwatch_sampler_interval_seconds > 10"),
    _other(_SELF, _SAMPLER, "sampler_source_seconds_total", COUNTER, "seconds", "the exporter", _RUN,
        "Time that PostgreSQL or Redis spent on the sampler: what the budget bounds.",
        "sum by (source) (rate(postwatch_sampler_source_seconds_total[5m]))"),
    _other(_SELF, (), "config_last_reload_successful", GAUGE, "0 or 1", "the exporter", "at once",
        "1 if the configuration file as it is now is in use, 0 if it was refused.",
        "postwatch_config_last_reload_successful == 0"),
    _other(_SELF, (), "config_last_reload_timestamp_seconds", GAUGE, "epoch seconds", "the exporter", "at once",
        "When a configuration was last taken over.", "time() - postwatch_config_last_reload_timestamp_seconds"),
)  # fmt: skip


def _process(name: str, kind: Kind, unit: str, help: str, query: str) -> Metric:
    return Metric(f"process_{name}", kind, (), help, unit, _SELF, "the operating system", "5 s", query)


PROCESS = (
    _process("cpu_seconds_total", COUNTER, "seconds", "Total user and system CPU time spent in seconds.",
        "rate(process_cpu_seconds_total[5m])"),
    _process("resident_memory_bytes", GAUGE, "bytes", "Resident memory size in bytes.",
        "process_resident_memory_bytes"),
    _process("virtual_memory_bytes", GAUGE, "bytes", "Virtual memory size in bytes.", "process_virtual_memory_bytes"),
    _process("start_time_seconds", GAUGE, "epoch seconds", "Start time of the process since unix epoch in seconds.",
        "time() - process_start_time_seconds"),
    _process("open_fds", GAUGE, "descriptors", "Number of open file descriptors.", "process_open_fds"),
    _process("max_fds", GAUGE, "descriptors", "Maximum number of open file descriptors.", "process_max_fds"),
)  # fmt: skip

CATALOGUE: tuple[Metric, ...] = (*QUEUES, *WORKERS, *ITSELF, *PROCESS)

LABELS: dict[str, str] = {
    "source": "The source's `name` in the configuration; of a sampler that belongs to none, empty.",
    "queue": "The queue's name, without `queue:` before it and without a priority behind it; `_other`: see above.",
    "priority": "`high`, `normal` or `low`.",
    "state": "Of jobs: `scheduled`, `waiting`, `active`, `failed`. Of workers: `active`, `paused`, `draining`, `dead`.",
    "outcome": "How a job ended: `completed`, `failed`, `cancelled`, `expired`.",
    "error": "The class of an error, such as `TimeoutError`; `_other` where it names none, or past the first 20.",
    "level": "What a threshold is for: `warning` and `critical` colour a status, `page` wakes someone.",
    "kind": "Of drift: `missing_in_redis`, `missing_in_postgres`, `expired`.",
    "worker": "The worker's id, as it names itself.",
    "sampler": "The kind of work: `changes`, `counts`, `failed`, `workers`, `drift`.",
    "reason": "Why a run failed, a word of the list above.",
    "version": "Version of Postwatch.",
    "python": "Version of Python.",
}
