"""The catalogue against what a daemon serves when there is everything to be told: the same, in both directions."""

import itertools
import re
import subprocess

import pytest
from prometheus_client import Metric as Family
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from chassis.exposition import OPENMETRICS_TYPE, Kind
from exporter.catalogue import CATALOGUE, Metric
from exporter.model import OUTCOMES, PRIORITIES, Reason
from exporter.reputation.verdict import Result
from exporter.services.attempt import PHASES
from exporter.services.failure import Fault
from exporter.stores.commands import COMMANDS
from exporter.stores.keyspace import KINDS
from exporter.stores.pgbouncer import STATES as POOL_STATES
from exporter.stores.postgres import STATES
from tests.integration.catalogue.names import BY_NAME, CONSTANT
from tests.support.exporter import Daemon

# What users and dashboards rely on: more may be added, none of these may go.
PROMISED = re.findall(
    r"\w+",
    """
postwatch_queue_depth postwatch_queue_jobs postwatch_queue_counted_timestamp_seconds
postwatch_queue_oldest_waiting_timestamp_seconds postwatch_queue_oldest_active_timestamp_seconds
postwatch_queue_last_finished_timestamp_seconds postwatch_queue_jobs_enqueued_total postwatch_queue_jobs_finished_total
postwatch_queue_jobs_within_target_total postwatch_queue_job_duration_seconds postwatch_queue_job_wait_seconds
postwatch_queue_job_retries_total postwatch_queue_job_timeouts_total postwatch_queue_job_errors_total
postwatch_queue_target_seconds postwatch_queue_depth_threshold postwatch_queue_failure_threshold postwatch_queue_paused
postwatch_queue_stuck_jobs postwatch_queue_next_expiry_timestamp_seconds postwatch_queue_redis_length
postwatch_queue_handed_over_jobs postwatch_queue_drift_jobs postwatch_queue_drift_checked_jobs
postwatch_queue_dead_letters
postwatch_workers postwatch_workers_expected postwatch_workers_healthy
postwatch_worker_last_heartbeat_timestamp_seconds postwatch_worker_start_timestamp_seconds
postwatch_worker_jobs_running postwatch_worker_capacity postwatch_worker_jobs_finished_total
postwatch_worker_job_seconds_total postwatch_worker_restarts_total
postwatch_service_up postwatch_service_state postwatch_service_response_seconds postwatch_service_phase_seconds
postwatch_service_probes_total postwatch_service_failures_total postwatch_service_http_responses_total
postwatch_service_certificate_expiry_timestamp_seconds
postwatch_dnsbl_listed postwatch_dnsbl_listing_info postwatch_dnsbl_listed_since_timestamp_seconds
postwatch_dnsbl_checked_timestamp_seconds postwatch_dnsbl_blocklist_info postwatch_dnsbl_blocklist_usable
postwatch_dnsbl_queries_total postwatch_ip_reputation_score postwatch_ip_sent_today
postwatch_postgres_up postwatch_postgres_connections postwatch_postgres_connections_limit
postwatch_postgres_pool_connections postwatch_postgres_pool_connections_limit postwatch_postgres_ping_seconds
postwatch_postgres_statements_total postwatch_postgres_statement_seconds_total
postwatch_postgres_oldest_transaction_timestamp_seconds postwatch_postgres_deadlocks_total
postwatch_postgres_dead_tuples
postwatch_redis_up postwatch_redis_connected_clients postwatch_redis_memory_used_bytes postwatch_redis_memory_max_bytes
postwatch_redis_commands_total postwatch_redis_keyspace_hits_total postwatch_redis_keyspace_misses_total
postwatch_redis_evicted_keys_total postwatch_redis_expired_keys_total postwatch_redis_keys postwatch_redis_ping_seconds
postwatch_host_cpu_usage_ratio postwatch_host_memory_usage_ratio postwatch_host_disk_usage_ratio
postwatch_host_disk_read_bytes_total postwatch_host_disk_written_bytes_total
postwatch_host_network_receive_bytes_total postwatch_host_network_transmit_bytes_total
postwatch_build_info postwatch_sampler_up postwatch_sampler_last_success_timestamp_seconds
postwatch_sampler_duration_seconds postwatch_sampler_runs_total postwatch_sampler_failures_total
postwatch_sampler_interval_seconds postwatch_sampler_source_seconds_total
postwatch_config_last_reload_successful postwatch_config_last_reload_timestamp_seconds
process_cpu_seconds_total process_resident_memory_bytes process_start_time_seconds process_open_fds
""",
)


@pytest.fixture(scope="module", params=["text", "openmetrics"])
def families(daemon: Daemon, request: pytest.FixtureRequest) -> dict[str, Family]:
    """What it serves, by the full name of each family."""
    if request.param == "text":
        read: list[Family] = list(read_text(daemon.get().text))
    else:
        read = list(read_openmetrics(daemon.get(Accept=OPENMETRICS_TYPE).text))  # type: ignore[no-untyped-call]
    return {family.name + ("_total" if family.type == "counter" else ""): family for family in read}


def test_what_was_promised_is_declared() -> None:
    assert set(PROMISED) - set(BY_NAME) == set()


def test_what_is_served_is_declared_and_what_is_declared_is_served(families: dict[str, Family]) -> None:
    assert set(families) == set(BY_NAME)


def test_types_and_meanings_are_the_declared_ones(families: dict[str, Family]) -> None:
    assert {name: (family.type, family.documentation) for name, family in families.items()} == {
        metric.name: (metric.kind.value, metric.help) for metric in CATALOGUE
    }


def test_every_sample_has_the_declared_labels_and_the_constant_ones(families: dict[str, Family]) -> None:
    for name, family in families.items():
        assert {frozenset(sample.labels) for sample in family.samples} == allowed(BY_NAME[name]), name


def allowed(metric: Metric) -> set[frozenset[str]]:
    of_the_process = metric.group == "The exporter itself" and "source" not in metric.labels
    constant = set() if of_the_process else set(CONSTANT)
    plain = frozenset({*metric.labels, *constant})
    return {plain, plain | {"le"}} if metric.kind is Kind.HISTOGRAM else {plain}


@pytest.mark.parametrize(
    ("name", "label", "values"),
    [
        ("postwatch_queue_jobs", "state", {"scheduled", "waiting", "active", "failed"}),
        ("postwatch_queue_counted_timestamp_seconds", "state", {"scheduled", "waiting", "active", "failed"}),
        ("postwatch_queue_jobs_finished_total", "outcome", set(OUTCOMES)),
        ("postwatch_queue_drift_jobs", "kind", {"missing_in_redis", "missing_in_postgres", "expired"}),
        ("postwatch_queue_depth_threshold", "level", {"warning", "critical", "page"}),
        ("postwatch_queue_failure_threshold", "level", {"critical", "page"}),
        ("postwatch_workers", "state", {"active", "paused", "draining", "dead"}),
        ("postwatch_worker_jobs_finished_total", "outcome", set(OUTCOMES)),
        ("postwatch_service_state", "state", {"healthy", "degraded", "down"}),
        ("postwatch_service_failures_total", "reason", set(Fault)),
        ("postwatch_service_phase_seconds", "phase", set(PHASES)),
        ("postwatch_postgres_connections", "state", {*STATES.values(), "other"}),
        ("postwatch_postgres_pool_connections", "state", set(POOL_STATES)),
        ("postwatch_postgres_statements_total", "command", set(COMMANDS)),
        ("postwatch_postgres_statement_seconds_total", "command", set(COMMANDS)),
        ("postwatch_redis_keys", "kind", set(KINDS)),
        ("postwatch_sampler_failures_total", "reason", set(Reason)),
        ("postwatch_dnsbl_queries_total", "result", set(Result)),
    ],
)
def test_every_value_of_a_closed_label_is_there_from_the_start(
    families: dict[str, Family], name: str, label: str, values: set[str]
) -> None:
    series: dict[frozenset[tuple[str, str]], set[str]] = {}
    for sample in families[name].samples:
        others = frozenset((key, value) for key, value in sample.labels.items() if key != label)
        series.setdefault(others, set()).add(sample.labels[label])
    assert series
    assert all(each == values for each in series.values())


def test_priorities_are_three_words(families: dict[str, Family]) -> None:
    samples = itertools.chain.from_iterable(family.samples for family in families.values())
    assert {s.labels["priority"] for s in samples if "priority" in s.labels} <= set(PRIORITIES)


def test_promtool_has_no_word_to_say(daemon: Daemon) -> None:
    text = daemon.get().text
    done = subprocess.run(["/usr/bin/promtool", "check", "metrics"], input=text, text=True, capture_output=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
