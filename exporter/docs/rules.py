"""The chapters of docs/metrics.md on what Prometheus makes of the metrics: recording rules and alerts, as shipped."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from exporter.docs.page import code, table

RULES = Path(__file__).parents[2] / "deploy" / "prometheus" / "rules"
_WINDOW = re.compile(r"(?<=rate)\d+[mhd]$")

# What is recorded, by the name without its window.
MEANINGS: dict[str, str] = {
    "queue:postwatch_queue_jobs_enqueued:rate": "Jobs created, a second.",
    "queue:postwatch_queue_jobs_finished:rate": "Jobs that ended, however, a second.",
    "queue:postwatch_queue_jobs_failed:ratio_rate": "Failed per ended job; absent where fewer than 20 ended.",
    "queue:postwatch_queue_jobs_failed:increase1h": "Jobs that failed in the last hour.",
    "queue:postwatch_queue_job_duration_seconds_bucket:rate": "For `histogram_quantile`: how long jobs run.",
    "queue:postwatch_queue_job_wait_seconds_bucket:rate": "For `histogram_quantile`: how long jobs wait.",
    "queue:postwatch_queue_stalled:bool": "1 while jobs wait and none ends; absent while the queue is paused, or works "
    "at a job that is within its target.",
    "task_queue:submission_rate": "Jobs created, a minute.",
    "task_queue:completion_rate": "Jobs completed, a minute.",
    "task_queue:retry_rate": "Attempts that failed and will be tried again, a minute.",
    "task_queue:timeout_rate": "Attempts ended by their time limit, a minute.",
    "task_queue:failure_rate": "Failed per ended job, over five minutes.",
    "task_queue:queue_depth": "Jobs that wait.",
    "task_queue:processing_time_seconds": "Mean time that a job runs, over five minutes.",
    "task_queue:processing_time_seconds_bucket": "For `histogram_quantile`, rated already: how long jobs run.",
    "workers:total": "Workers by status.",
    "workers:healthy": "Workers with a fresh heartbeat and few errors.",
    "worker:utilization_percent": "Jobs that a worker runs, of those that it can run at once.",
    "worker:task_rate": "Jobs that a worker ended, a minute.",
    "worker:avg_duration_seconds": "Mean time that a worker's jobs run, over five minutes.",
    "worker:error_rate": "Failed per ended job of a worker, over five minutes.",
    "worker:uptime_seconds": "Since a worker's start.",
    "worker:restart_count": "How often a worker started anew; a counter.",
    "database:pool_connections_in_use": "Of PgBouncer's pools where there is one, else of the server.",
    "database:pool_connections_available": "What is left of the limit of the same.",
    "database:query_duration_seconds_bucket": "For `histogram_quantile`, rated already: times of our own probe, since "
    "PostgreSQL keeps no histogram of its clients' statements.",
    "database:queries_total": "Statements by command; a counter.",
    "redis:connected_clients": "Clients of Redis.",
    "redis:memory_bytes": "Memory that Redis uses.",
    "redis:commands_total": "Commands that Redis was given; a counter.",
    "redis:keys_by_type": "Keys by type, estimated from a sample.",
    "system:cpu_usage_percent": "Of the exporter's host.",
    "system:memory_usage_percent": "Of the exporter's host.",
    "system:disk_usage_percent": "Of the exporter's host, by file system.",
    "system:network_in_bytes": "Of the exporter's host; a counter.",
    "system:network_out_bytes": "Of the exporter's host; a counter.",
    "api:requests": "Answers of HTTP services to our probes, by status code; a counter.",
    "source:slo_workers_healthy:sum": "Workers that are healthy.",
    "source:slo_workers_wanted:sum": "Workers that there are, or that are expected if these are more.",
    "source:slo_workers_healthy:ratio": "The former of the latter.",
    "queue:slo_success_errors:ratio_rate": 'Jobs that failed or expired, per ended job (`cause="failed"`); part of the '
    'time in which jobs waited and none ended (`cause="stalled"`).',
    "queue:slo_target_errors:ratio_rate": "Jobs not completed within their queue's target, per ended job.",
    "source:slo_latency_errors:ratio_rate": "Jobs that ran for longer than 30 s, per ended job.",
    "target:slo_api_errors:ratio_rate": "Probes of HTTP services that did not get the expected answer, per probe.",
    "source:slo_workers_errors:ratio_rate": "Workers that were not healthy, per worker.",
    "daemon:slo_postwatch_errors:ratio_rate": "Scrapes of Postwatch that were not answered, per scrape.",
    "queue:postwatch_queue_depth:max": "Jobs that wait, as the anomaly rules see them.",
    "queue:postwatch_queue_depth:max_avg1w": "Its mean of the last week, once there is a day.",
    "queue:postwatch_queue_depth:max_stddev1w": "Its standard deviation in the last week, once there is a day.",
    "queue:postwatch_queue_jobs_enqueued:anomaly_rate": "Jobs created, a second, as the anomaly rules see them.",
    "queue:postwatch_queue_jobs_enqueued:anomaly_rate5m_avg1w": "Its mean of the last week, once there is a day.",
    "queue:postwatch_queue_jobs_enqueued:anomaly_rate5m_stddev1w": "Its standard deviation in the last week, once "
    "there is a day.",
}
# What a level of a name is by; the guide's names say it in their rules.
_LEVELS = {"queue": "job, source, queue, priority", "source": "job, source", "target": "job, target", "daemon": "job"}


def rules() -> str:
    """Both chapters as Markdown."""
    return f"""## Recording rules

What [deploy/prometheus](../deploy/prometheus/README.md) records. Names are `level:metric:operations`, and a window ends
them where there are several. Constant labels that the exporter was given stay on those of the levels `queue`, `source`
and `target`. The task-queue guide's names are as they are; [queries.md](queries.md) says how its queries read here.

{table(("name", "windows", "labels", "meaning"), _records())}
## Alerts

What it tells; each has a runbook.

{table(("alert", "severity", "after", "because"), _alerts())}"""


def shipped() -> Iterator[dict[str, Any]]:
    """Every rule of every file, as it is written."""
    for path in sorted(RULES.glob("*.yml")):
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]:
            yield from group["rules"]


def base(record: str) -> str:
    """A recorded name without its window."""
    return _WINDOW.sub("", record)


def labels(rule: dict[str, Any]) -> list[str]:
    """What the series of a recording rule are by: its level, or what it adds up by first, and labels of its own."""
    level, _, rest = str(rule["record"]).partition(":")
    summed = re.search(r"\bby \(([^)]*)\)", rule["expr"])
    told = _LEVELS[level] if ":" in rest or not summed else summed[1]
    found = [label.strip() for label in told.split(",")]
    if "_bucket" in rest:
        found.append("le")
    return list(dict.fromkeys([*found, *rule.get("labels", {})]))


def _records() -> Iterator[tuple[str, str, str, str]]:
    windows: dict[str, list[str]] = {}
    first: dict[str, dict[str, Any]] = {}
    for rule in shipped():
        if "record" not in rule:
            continue
        name = base(rule["record"])
        first.setdefault(name, rule)
        window = rule["record"].removeprefix(name)
        if window and window not in windows.setdefault(name, []):
            windows[name].append(window)
    for name, rule in first.items():
        spans = ", ".join(sorted(windows.get(name, []), key=_seconds))
        yield code(name), spans, ", ".join(labels(rule)), MEANINGS[name]


def _alerts() -> Iterator[tuple[str, str, str, str]]:
    for rule in shipped():
        if "alert" in rule:
            name = rule["alert"]
            told = rule["annotations"]["summary"]
            yield f"[{name}](runbooks/{name}.md)", rule["labels"]["severity"], rule.get("for", "at once"), told


def _seconds(window: str) -> int:
    return int(window[:-1]) * {"m": 60, "h": 3600, "d": 86400}[window[-1]]
