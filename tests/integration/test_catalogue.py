"""The catalogue against what a daemon serves when there is everything to be told: the same, in both directions."""

import itertools
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import redis
import yaml
from prometheus_client import Metric as Family
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from chassis.exposition import OPENMETRICS_TYPE, Kind
from demo.process import free_port
from demo.servers import Postgres
from exporter.catalogue import CATALOGUE, Metric
from exporter.catalogue.host import HOST
from exporter.catalogue.reputation import REPUTATION
from exporter.catalogue.stores import STORES
from exporter.model import OUTCOMES, PRIORITIES, Reason
from exporter.reputation.verdict import Result
from exporter.services.attempt import PHASES
from exporter.services.failure import Fault
from exporter.stores.commands import COMMANDS
from exporter.stores.keyspace import KINDS
from exporter.stores.pgbouncer import STATES as POOL_STATES
from exporter.stores.postgres import STATES
from tests.support.certificates import make_certificates
from tests.support.databases import Database, create_database, drop_database
from tests.support.dns import Rbldnsd, Unbound, blocklist, reverse
from tests.support.exporter import Daemon, config, source
from tests.support.jobs import Owner, add, change, element, queues
from tests.support.servers import PgBouncer, RedisServer
from tests.support.services import web_server, with_tls
from tests.support.wait import eventually

BY_NAME = {metric.name: metric for metric in CATALOGUE}
CONSTANT = {"team": "delivery", "tenant": "acme"}
QUEUE = "email-sending"

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


def seed(owner: Owner, store: redis.Redis) -> None:
    """Everything that is there before the daemon comes: each state, drift of each kind, workers, what expires."""
    queues(owner, QUEUE)
    queues(owner, "webhooks", is_active=False)
    add(owner, queue_name=QUEUE, count=5, run_at=-60, created=-60)
    add(owner, queue_name=QUEUE, run_at=3600)
    add(owner, queue_name=QUEUE, status="running", started=-7200, worker_id="w1")
    add(owner, queue_name=QUEUE, status="failed", started=-9000, failed=-8000, updated=-8000)
    handed_over = add(owner, queue_name="webhooks", count=4, status="migrated_to_redis")
    for job in handed_over[:3]:
        store.lpush("queue:webhooks", element(job))
    store.lpush("queue:webhooks", element("00000000-0000-0000-0000-000000000000"))
    store.set(f"job:{handed_over[0]}", "data", ex=600)
    store.set(f"job:{handed_over[1]}", "data")
    store.expire("queue:webhooks", 1800)
    store.lpush("deadletter:queue", "a", "b")
    store.sadd("workers:active", "w1", "w2")
    store.hset("worker:w1", mapping=heartbeat())
    store.hset("worker:w2", mapping={**heartbeat(), "last_heartbeat": time.time() - 120})


def heartbeat() -> Any:  # redis-py types a mapping's keys invariantly
    now = time.time()
    return {"last_heartbeat": now, "started_at": now - 60, "status": "active", "capacity": 4, "current_jobs": 1,
            "processed_total": 7, "failed_total": 1, "restarts": 1}  # fmt: skip


def hello(_request: Request) -> Response:
    return PlainTextResponse("hello")


def live(owner: Owner) -> None:
    """What happens while the daemon looks: every outcome, a retry, a timeout."""
    for outcome in OUTCOMES:
        ended: dict[str, Any] = {"completed": 0} if outcome == "completed" else {"failed": 0}
        (job,) = add(owner, queue_name=QUEUE, run_at=-3, status="running", started=-2, worker_id="w1", attempt_count=1)
        change(owner, [job], status=outcome, updated=0, last_error_message="TimeoutError: silent", **ended)
    (again,) = add(owner, queue_name=QUEUE, status="queued")
    change(owner, [again], status="queued", attempt_count=1, last_error_message="OSError: no", updated=0, run_at=60)


def stores(database: Database, server: RedisServer, bouncer: PgBouncer) -> dict[str, Any]:
    """The same stores, watched for their own health, and the host."""
    oltp = {"name": "oltp", "url": database.reader_url, "pgbouncer": bouncer.url("pgbouncer"),
            "statements": {"interval": "1s"}}  # fmt: skip
    cache = {"name": "cache", "url": server.url}
    return {"postgres": [oltp], "redis": [cache], "host": {"enabled": True, "interval": "1s"}}


def reputation(database: Database, resolver: str) -> dict[str, Any]:
    """An address that is listed, and what it has sent."""
    return {
        "interval": "1s",
        "resolvers": [resolver],
        "blocklists": [{"zone": "zen.spamhaus.org"}],
        "addresses": [{"ip": "192.0.2.1", "provider": "own"}],
        "sent_today": {"postgres": database.reader_url, "query": "select '192.0.2.1', 7"},
    }


@contextmanager
def open_transaction(database: Database, bouncer: PgBouncer) -> Iterator[None]:
    """In the database, by way of PgBouncer."""
    with psycopg.connect(bouncer.url(database.name), autocommit=True, prepare_threshold=None) as connection:
        connection.execute("begin")
        connection.execute("select 1")
        yield


@pytest.fixture(scope="module")
def daemon(pg15: Postgres, bouncer15: PgBouncer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """An exporter to which everything has happened that it can tell of."""
    database = create_database(pg15)
    mail = source(
        database.reader_url, workers={"expected": 3}, failed={"interval": "1s"},
        drift={"interval": "1s"}, targets={f"queue:{QUEUE}": {"target": "1m", "time_limit": "1h"}},
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("daemon")
    certificates = make_certificates(folder / "tls")
    with (
        Rbldnsd({"zen.spamhaus.org": blocklist({reverse("192.0.2.1"): ["127.0.0.2"]})}) as lists,
        Unbound(lists) as unbound,
        RedisServer(settings={"maxmemory": "1gb"}) as server,
        server.client() as store,
        database.connect() as owner,
        web_server(Starlette(routes=[Route("/", hello)]), **with_tls(certificates)) as port,
    ):
        seed(owner, store)
        # Gauges are to last for as long as the tests ask for them.
        given = config({**mail, "redis": server.url}, stale_after="10m", labels=CONSTANT)
        api = {"name": "api", "kind": "http", "url": f"https://localhost:{port}/", "interval": "1s"}
        given["services"] = [{**api, "tls": {"ca_file": str(certificates.ca)}}]
        given |= stores(database, server, bouncer15)
        given["reputation"] = reputation(database, unbound.address)
        with Daemon(folder, given) as running, open_transaction(database, bouncer15):
            running.until_up(1, "changes", "counts", "failed", "workers", "drift")
            live(owner)

            def told() -> None:
                samples = running.samples()
                ended = samples.by("outcome", "postwatch_queue_jobs_finished_total", queue=QUEUE, priority="normal")
                assert ended == dict.fromkeys(OUTCOMES, 1)
                drift = samples.by("kind", "postwatch_queue_drift_jobs", queue="webhooks", priority="normal")
                assert all(drift.values()), drift
                assert samples.queue("job_timeouts_total", QUEUE)
                assert samples.queue("job_retries_total", QUEUE)
                assert samples.get("postwatch_service_up", target="api") == 1
                served = {family_of(name) for name in samples.names}
                assert {metric.name for metric in (*REPUTATION, *STORES, *HOST)} <= served

            eventually(told, within=30)
            yield running
    drop_database(database)


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


# The example queries


def identifiers(query: str) -> set[str]:
    """Names of series in a query: what stands before a selector, a range or nothing at all."""
    text = re.sub(r'"[^"]*"', "", query)
    text = re.sub(r"\b(?:by|on|ignoring|without|group_left|group_right)\s*\([^)]*\)", "", text)
    text = re.sub(r"\{[^}]*\}|\[[^\]]*\]", "", text)
    words = re.findall(r"\b[a-z_][a-z0-9_:]*\b(?!\s*\()", text)
    return {word for word in words if word not in {"and", "or", "unless", "bool", "offset", "sum", "topk"}}


def family_of(name: str) -> str:
    plain = re.sub(r"_(?:bucket|sum|count)$", "", name)
    return plain if plain in BY_NAME and BY_NAME[plain].kind is Kind.HISTOGRAM else name


@pytest.mark.parametrize("metric", CATALOGUE, ids=lambda metric: metric.name)
def test_an_example_is_about_its_metric_and_names_declared_ones_alone(metric: Metric) -> None:
    named = {family_of(name) for name in identifiers(metric.query)}
    assert metric.name in named
    assert named <= set(BY_NAME)
    grouped = re.findall(r"\b(?:by|on) \(([^)]*)\)", metric.query)
    labels = {label for name in named for label in BY_NAME[name].labels}
    assert {label.strip() for inside in grouped for label in inside.split(",")} <= {*labels, "le"}


@pytest.fixture(scope="module")
def prometheus(daemon: Daemon, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Prometheus that has scraped the daemon."""
    folder, port = tmp_path_factory.mktemp("prometheus"), free_port()
    scrape = {"job_name": "postwatch", "static_configs": [{"targets": [daemon.url.removeprefix("http://")]}]}
    config_file = folder / "prometheus.yml"
    config_file.write_text(yaml.safe_dump({"global": {"scrape_interval": "1s"}, "scrape_configs": [scrape]}))
    address = f"http://127.0.0.1:{port}"
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            ["/usr/bin/prometheus", f"--config.file={config_file}", f"--storage.tsdb.path={folder / 'data'}",
             f"--web.listen-address=127.0.0.1:{port}"],
            stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        # Twice, so that rates have something to go by.
        eventually(lambda: value(address, "count_over_time(postwatch_build_info[1m])") >= 2, within=40)
        yield address
    finally:
        process.kill()
        process.wait()


def ask(address: str, query: str) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = httpx.get(f"{address}/api/v1/query", params={"query": query}).json()
    except (httpx.TransportError, ValueError):  # not there yet, or there and not ready
        return {}
    return answer


def value(address: str, query: str) -> float:
    result = ask(address, query).get("data", {}).get("result", [])
    return float(result[0]["value"][1]) if result else 0.0


def test_prometheus_takes_everything_in(prometheus: str, daemon: Daemon) -> None:
    assert value(prometheus, "up") == 1
    served = {sample.name for family in read_text(daemon.get().text) for sample in family.samples}
    stored = httpx.get(f"{prometheus}/api/v1/label/__name__/values").json()["data"]
    assert served <= set(stored)


def test_every_example_is_answered(prometheus: str) -> None:
    """By a Prometheus that has the data, so that joins that do not match would show."""
    answers = {metric.name: ask(prometheus, metric.query) for metric in CATALOGUE}
    assert {name: answer.get("error") for name, answer in answers.items() if answer.get("status") != "success"} == {}
    compares = re.compile(r"[<>=]=? ?[\w.]+$|[<>] on")
    empty = {name for name, answer in answers.items() if not answer["data"]["result"]}
    assert {name for name in empty if not compares.search(BY_NAME[name].query)} == set()


def test_promtool_has_no_word_to_say(daemon: Daemon, tmp_path: Path) -> None:
    text = daemon.get().text
    done = subprocess.run(["/usr/bin/promtool", "check", "metrics"], input=text, text=True, capture_output=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
