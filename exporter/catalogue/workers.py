"""Workers of queues."""

from exporter.catalogue.metric import COUNTER, GAUGE, declare

_WORKER = ("source", "worker")
_REDIS = "each quick look at Redis (`interval`, 5 s)"

WORKERS = (
    declare("Workers", ("source", "state"), "workers", GAUGE, "workers", "Redis", _REDIS,
        "Workers by state; dead ones until they are forgotten.", 'sum(postwatch_workers{state="active"})'),
    declare("Workers", ("source",), "workers_expected", GAUGE, "workers", "configuration", _REDIS,
        "Workers that should be there, from the configuration; absent if it does not say.",
        'postwatch_workers_expected - on (source) postwatch_workers{state="active"}'),
    declare("Workers", ("source",), "workers_healthy", GAUGE, "workers", "Redis", _REDIS,
        "Workers with a fresh heartbeat and a ratio of failed to ended jobs under error_limit.",
        "postwatch_workers_healthy / on (source) sum by (source) (postwatch_workers)"),
    declare("Workers", _WORKER, "worker_last_heartbeat_timestamp_seconds", GAUGE, "epoch seconds", "Redis", _REDIS,
        "When the worker last gave a sign of life.", "time() - postwatch_worker_last_heartbeat_timestamp_seconds"),
    declare("Workers", _WORKER, "worker_start_timestamp_seconds", GAUGE, "epoch seconds", "Redis", _REDIS,
        "When the worker started.", "time() - postwatch_worker_start_timestamp_seconds"),
    declare("Workers", _WORKER, "worker_jobs_running", GAUGE, "jobs", "Redis", _REDIS,
        "Jobs that the worker runs now.", "postwatch_worker_jobs_running / postwatch_worker_capacity"),
    declare("Workers", _WORKER, "worker_capacity", GAUGE, "jobs", "Redis", _REDIS,
        "Jobs that the worker can run at a time.", "postwatch_worker_capacity"),
    declare("Workers", (*_WORKER, "outcome"), "worker_jobs_finished_total", COUNTER, "jobs", "Redis, else PostgreSQL",
        _REDIS, "Jobs that the worker ended, by outcome; from its own figures where it keeps them.",
        'rate(postwatch_worker_jobs_finished_total{outcome="failed"}[5m])'),
    declare("Workers", _WORKER, "worker_job_seconds_total", COUNTER, "seconds", "PostgreSQL", _REDIS,
        "Time that the worker spent in jobs that have ended; over their number, the average.",
        "rate(postwatch_worker_job_seconds_total[5m])"),
    declare("Workers", _WORKER, "worker_restarts_total", COUNTER, "restarts", "Redis", _REDIS,
        "Restarts of the worker, as it tells or as its start time shows.",
        "increase(postwatch_worker_restarts_total[1h]) > 3"),
)  # fmt: skip
