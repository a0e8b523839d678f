"""An exporter to which everything has happened that it can tell of."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
import redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from demo.servers import Postgres
from exporter.catalogue.host import HOST
from exporter.catalogue.reputation import REPUTATION
from exporter.catalogue.stores import STORES
from exporter.model import OUTCOMES
from tests.integration.catalogue.names import CONSTANT, family_of
from tests.support.certificates import make_certificates
from tests.support.databases import Database, create_database, drop_database
from tests.support.dns import Rbldnsd, Unbound, blocklist, reverse
from tests.support.exporter import Daemon, config, source
from tests.support.jobs import Owner, add, change, element, queues
from tests.support.servers import PgBouncer, RedisServer
from tests.support.services import web_server, with_tls
from tests.support.wait import eventually

QUEUE = "email-sending"


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


@pytest.fixture(scope="package")
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
