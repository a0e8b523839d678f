"""Every metric that the exporter serves, declared once: code, documentation, dashboards and tests read this."""

from __future__ import annotations

from dataclasses import dataclass

from chassis.exposition import Family, Kind


@dataclass(frozen=True)
class Metric:
    """A declared metric. `query` is an example in PromQL; `fresh` says how old a value may be."""

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
_LOOK = "each quick look: 5 s, at most 10 s"
_EVENTS = "each quick look: 5 s"
_REDIS = "each quick look at Redis: 5 s"
_EXACT = "each exact count: 5 s, as the budget allows"
_STATIC = "from the configuration, at once"
_RUN = "each run of a sampler"
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
        "Jobs ready to run and not started, those handed over to Redis included.",
        "sum by (queue) (postwatch_queue_depth)"),
    _queue("jobs", GAUGE, "state", "jobs", "PostgreSQL", _LOOK + "; failed: 60 s",
        "Jobs by state: scheduled, waiting, active, and stored failed rows.",
        'postwatch_queue_jobs{state="failed"} > 10'),
    _queue("counted_timestamp_seconds", GAUGE, "state", "epoch seconds", "PostgreSQL", _EXACT,
        "When that state was last counted exactly.",
        "time() - postwatch_queue_counted_timestamp_seconds"),
    _queue("oldest_waiting_timestamp_seconds", GAUGE, "", "epoch seconds", "PostgreSQL", _EXACT,
        "Since when the oldest waiting job is ready; absent when none waits.",
        "time() - postwatch_queue_oldest_waiting_timestamp_seconds"),
    _queue("oldest_active_timestamp_seconds", GAUGE, "", "epoch seconds", "PostgreSQL", _LOOK,
        "When the longest-running active job started; absent when none runs.",
        "time() - postwatch_queue_oldest_active_timestamp_seconds"),
    _queue("last_finished_timestamp_seconds", GAUGE, "", "epoch seconds", "PostgreSQL", _EVENTS,
        "When a job last ended.",
        "time() - postwatch_queue_last_finished_timestamp_seconds > 600"),
    _queue("jobs_enqueued_total", COUNTER, "", "jobs", "PostgreSQL", _EVENTS,
        "Jobs created.", "rate(postwatch_queue_jobs_enqueued_total[5m])"),
    _queue("jobs_finished_total", COUNTER, "outcome", "jobs", "PostgreSQL", _EVENTS,
        "Jobs that reached an end, each counted once: completed, failed, cancelled, expired.",
        'rate(postwatch_queue_jobs_finished_total{outcome="completed"}[5m])'),
    _queue("jobs_within_target_total", COUNTER, "", "jobs", "PostgreSQL", _EVENTS,
        "Jobs completed within the queue's target, from ready to end.",
        "sum(rate(postwatch_queue_jobs_within_target_total[1h]))"
        ' / sum(rate(postwatch_queue_jobs_finished_total{outcome!="cancelled"}[1h]))'),
    _queue("job_duration_seconds", HISTOGRAM, "", "seconds", "PostgreSQL", _EVENTS,
        "Last start to end, observed when the job ends.",
        "histogram_quantile(0.99, sum by (le, queue) (rate(postwatch_queue_job_duration_seconds_bucket[5m])))"),
    _queue("job_wait_seconds", HISTOGRAM, "", "seconds", "PostgreSQL", _EVENTS,
        "Ready to last start, observed when the job ends.",
        "histogram_quantile(0.95, sum by (le, queue) (rate(postwatch_queue_job_wait_seconds_bucket[5m])))"),
    _queue("job_retries_total", COUNTER, "", "attempts", "PostgreSQL", _EVENTS,
        "Attempts that failed and will be tried again.", "rate(postwatch_queue_job_retries_total[5m])"),
    _queue("job_timeouts_total", COUNTER, "", "attempts", "PostgreSQL", _EVENTS,
        "Attempts ended by their time limit.", "rate(postwatch_queue_job_timeouts_total[5m])"),
    _queue("job_errors_total", COUNTER, "error", "attempts", "PostgreSQL", _EVENTS,
        "Failed attempts by class of error, at most 20 a queue and _other; never a message.",
        "topk(5, sum by (error) (rate(postwatch_queue_job_errors_total[5m])))"),
    _queue("target_seconds", GAUGE, "", "seconds", "configuration", _STATIC,
        "The queue's target processing time.", "postwatch_queue_target_seconds"),
    _queue("depth_threshold", GAUGE, "level", "jobs", "configuration", _STATIC,
        "Waiting jobs from which the status is warning or critical, or someone is paged.",
        'postwatch_queue_depth > on (source, queue, priority) postwatch_queue_depth_threshold{level="page"}'),
    _queue("failure_threshold", GAUGE, "level", "jobs an hour (critical), ratio (page)", "configuration", _STATIC,
        "Failed jobs an hour that make the status critical, and the ratio of failed to ended that pages.",
        'postwatch_queue_failure_threshold{level="page"}'),
    _queue("paused", GAUGE, "", "0 or 1", "PostgreSQL", _LOOK,
        "1 while the queue is paused.", "postwatch_queue_paused == 1"),
    _queue("stuck_jobs", GAUGE, "", "jobs", "PostgreSQL and Redis", _LOOK,
        "Active jobs past the time limit of their queue, or whose worker's heartbeat is gone.",
        "postwatch_queue_stuck_jobs > 0"),
    _queue("next_expiry_timestamp_seconds", GAUGE, "", "epoch seconds", "Redis", _REDIS,
        "When the first waiting job will be lost, by a key's time to live; absent if never.",
        "postwatch_queue_next_expiry_timestamp_seconds - time() < 3600"),
    _queue("redis_length", GAUGE, "", "elements", "Redis", _REDIS,
        "Length of the Redis list.", "postwatch_queue_redis_length"),
    _queue("handed_over_jobs", GAUGE, "", "jobs", "PostgreSQL", _LOOK,
        "Rows that PostgreSQL believes to be in Redis and not started.",
        "postwatch_queue_handed_over_jobs - postwatch_queue_redis_length"),
    _queue("drift_jobs", GAUGE, "kind", "jobs", "PostgreSQL and Redis", "each comparison: 60 s, confirmed by a second",
        "Jobs of which PostgreSQL and Redis believe different things, found in the last look.",
        "sum by (queue, kind) (postwatch_queue_drift_jobs) > 0"),
    _queue("drift_checked_jobs", GAUGE, "kind", "jobs", "PostgreSQL and Redis", "each comparison: 60 s",
        "Jobs that were compared by id in the last look for drift.", "postwatch_queue_drift_checked_jobs"),
    _other("Queues", ("source",), "queue_dead_letters", GAUGE, "jobs", "Redis", _REDIS,
        "Jobs in the dead-letter queue.", "postwatch_queue_dead_letters > 0"),
    _other("Queues", ("source",), "queue_long_transactions_total", COUNTER, "transactions", "PostgreSQL", _EVENTS,
        "Transactions that stayed open for more than 15 minutes; the jobs that they end may be miscounted.",
        "increase(postwatch_queue_long_transactions_total[1d])"),
)  # fmt: skip

WORKERS = (
    _other("Workers", ("source", "state"), "workers", GAUGE, "workers", "Redis", _REDIS,
        "Workers by state: active, paused, draining, dead.", 'sum(postwatch_workers{state="active"})'),
    _other("Workers", ("source",), "workers_expected", GAUGE, "workers", "configuration", _REDIS,
        "Workers that should be there; absent if not configured.",
        'postwatch_workers_expected - on (source) postwatch_workers{state="active"}'),
    _other("Workers", ("source",), "workers_healthy", GAUGE, "workers", "Redis", _REDIS,
        "Workers with a fresh heartbeat and an error ratio under the limit.",
        "postwatch_workers_healthy / on (source) sum by (source) (postwatch_workers)"),
    _other("Workers", _WORKER, "worker_last_heartbeat_timestamp_seconds", GAUGE, "epoch seconds", "Redis", _REDIS,
        "The worker's last heartbeat.", "time() - postwatch_worker_last_heartbeat_timestamp_seconds"),
    _other("Workers", _WORKER, "worker_start_timestamp_seconds", GAUGE, "epoch seconds", "Redis", _REDIS,
        "When the worker started.", "time() - postwatch_worker_start_timestamp_seconds"),
    _other("Workers", _WORKER, "worker_jobs_running", GAUGE, "jobs", "Redis", _REDIS,
        "Jobs that the worker runs now.", "postwatch_worker_jobs_running / postwatch_worker_capacity"),
    _other("Workers", _WORKER, "worker_capacity", GAUGE, "jobs", "Redis", _REDIS,
        "Jobs that the worker can run at a time.", "postwatch_worker_capacity"),
    _other("Workers", (*_WORKER, "outcome"), "worker_jobs_finished_total", COUNTER, "jobs", "Redis, else PostgreSQL",
        _REDIS, "Jobs that the worker ended, by outcome.",
        'rate(postwatch_worker_jobs_finished_total{outcome="failed"}[5m])'),
    _other("Workers", _WORKER, "worker_job_seconds_total", COUNTER, "seconds", "PostgreSQL", _REDIS,
        "Time that the worker spent in jobs that have ended.", "rate(postwatch_worker_job_seconds_total[5m])"),
    _other("Workers", _WORKER, "worker_restarts_total", COUNTER, "restarts", "Redis", _REDIS,
        "Restarts of the worker.", "increase(postwatch_worker_restarts_total[1h]) > 3"),
)  # fmt: skip

_SELF = "The exporter itself"
ITSELF = (
    _other(_SELF, ("version", "python"), "build_info", GAUGE, "1", "the exporter", _STATIC,
        "Version of Postwatch and of Python.", "postwatch_build_info"),
    _other(_SELF, _SAMPLER, "sampler_up", GAUGE, "0 or 1", "the exporter", _RUN,
        "1 if the sampler's last run gave what it should.", "postwatch_sampler_up == 0"),
    _other(_SELF, _SAMPLER, "sampler_last_success_timestamp_seconds", GAUGE, "epoch seconds", "the exporter", _RUN,
        "When the sampler last succeeded.", "time() - postwatch_sampler_last_success_timestamp_seconds"),
    _other(_SELF, _SAMPLER, "sampler_duration_seconds", HISTOGRAM, "seconds", "the exporter", _RUN,
        "Duration of the sampler's runs.",
        "histogram_quantile(0.95, sum by (le, sampler) (rate(postwatch_sampler_duration_seconds_bucket[5m])))"),
    _other(_SELF, _SAMPLER, "sampler_runs_total", COUNTER, "runs", "the exporter", _RUN,
        "Runs of the sampler.", "rate(postwatch_sampler_runs_total[5m])"),
    _other(_SELF, (*_SAMPLER, "reason"), "sampler_failures_total", COUNTER, "runs", "the exporter", _RUN,
        "Failed runs of the sampler by reason.", "increase(postwatch_sampler_failures_total[10m]) > 0"),
    _other(_SELF, _SAMPLER, "sampler_interval_seconds", GAUGE, "seconds", "the exporter", _RUN,
        "Time between the sampler's runs, as stretched by the budget.", "postwatch_sampler_interval_seconds > 10"),
    _other(_SELF, _SAMPLER, "sampler_source_seconds_total", COUNTER, "seconds", "the exporter", _RUN,
        "Time that the source spent for the sampler.",
        "sum by (source) (rate(postwatch_sampler_source_seconds_total[5m]))"),
    _other(_SELF, (), "config_last_reload_successful", GAUGE, "0 or 1", "the exporter", "at once",
        "1 if the configuration as it is now has been taken over.", "postwatch_config_last_reload_successful == 0"),
    _other(_SELF, (), "config_last_reload_timestamp_seconds", GAUGE, "epoch seconds", "the exporter", "at once",
        "When the configuration was last taken over.", "time() - postwatch_config_last_reload_timestamp_seconds"),
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
