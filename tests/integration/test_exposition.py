"""What a living daemon serves: valid in both formats, complete, and gone when it is old."""

import gzip
import json
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from prometheus_client.openmetrics import parser

from exporter.catalogue import CATALOGUE
from tests.support.databases import Database
from tests.support.exporter import Daemon, config, source
from tests.support.jobs import Owner, add, change, element, queues
from tests.support.samples import Samples
from tests.support.servers import RedisServer
from tests.support.wait import eventually

pytestmark = pytest.mark.parametrize("database", ["penguinmails@15"], indirect=True)
# prometheus-client leaves it untyped.
parse_openmetrics: Any = parser.text_string_to_metric_families
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


@pytest.fixture
def owner(owner: Owner) -> Owner:
    queues(owner, "mail", 'odd "name"\n')
    return owner


def test_valid_and_complete(
    owner: Owner, database: Database, role: str, store: "redis.Redis", redis_server: RedisServer, tmp_path: Path
) -> None:
    given = config(
        source(
            role, redis_server.url, workers={"expected": 1}, targets={"*": {"target": "1m"}}, drift={"interval": "1s"}
        ),
        source(role, redis_server.url, name="again", labels={"team": "core"}, failed={"interval": "1s"}),
        source("postgresql://nobody@127.0.0.1:1/none", name="gone"),
    )
    store.lpush("queue:mail", element("x"))
    store.expire("queue:mail", 1000)
    store.sadd("workers:active", "w1")
    store.hset("worker:w1", mapping={"last_heartbeat": 4e9, "started_at": 1e9, "current_jobs": 1, "capacity": 2})
    with Daemon(tmp_path, given) as daemon:
        daemon.until_up(1, "changes", "counts", "failed", "workers", "drift")
        daemon.until_up(1, "changes", "counts", "failed", "workers", "drift", source="again")
        (job,) = add(owner, queue_name="mail", status="running", started=-5, worker_id="w1", attempt_count=1)
        add(owner, queue_name="mail", status="queued")
        daemon.until("postwatch_queue_jobs", 1, source="mail", queue="mail", state="active")
        change(owner, [job], status="failed", failed=0, updated=0, last_error_message="ValueError: no")
        add(owner, queue_name="mail", status="running", started=-5, worker_id="w1", attempt_count=1)
        daemon.until("postwatch_queue_jobs_finished_total", 1, source="again", queue="mail", outcome="failed")
        daemon.until("postwatch_queue_jobs_finished_total", 1, source="mail", queue="mail", outcome="failed")
        daemon.until("postwatch_queue_jobs", 1, source="mail", queue="mail", state="active")
        daemon.until("postwatch_queue_target_seconds", 60, source="mail", queue="mail")
        plain = daemon.get(Accept="text/plain")
        assert plain.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        lint = subprocess.run(
            ["promtool", "check", "metrics"], input=plain.text, capture_output=True, text=True, timeout=30, check=False
        )
        assert (lint.returncode, lint.stdout + lint.stderr) == (0, "")
        fancy = daemon.get(Accept=OPENMETRICS)
        assert fancy.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
        families = list(parse_openmetrics(fancy.text))
        served = {family.name for family in families}
        about_jobs = ("Queues", "Workers", "The exporter itself")
        declared = {metric.name.removesuffix("_total") for metric in CATALOGUE if metric.group in about_jobs}
        assert served <= declared
        # Transactions of more than 15 minutes and a list that is about to be lost are rare.
        assert declared - served == set(), declared - served
        names = [line.split()[2] for line in plain.text.splitlines() if line.startswith("# TYPE")]
        assert len(names) == len(set(names)), "one family is written once"
        assert "_created" not in plain.text + fancy.text
        assert 'queue="odd \\"name\\"\\n"' in plain.text
        packed = httpx.get(f"{daemon.url}/metrics", headers={"Accept-Encoding": "gzip"}, timeout=5)
        assert packed.headers["content-encoding"] == "gzip"
        with httpx.stream("GET", f"{daemon.url}/metrics", headers={"Accept-Encoding": "gzip"}) as raw:
            body = gzip.decompress(b"".join(raw.iter_raw()))
        assert Samples(body.decode()).names == Samples(plain.text).names
        few = Samples(daemon.get("/metrics?name[]=postwatch_queue_depth&name[]=postwatch_sampler_up").text)
        assert few.names == {"postwatch_queue_depth", "postwatch_sampler_up"}
        health = daemon.get("/health")
        assert health.status_code == 200
        assert json.loads(health.text)["status"] == "degraded", "one source of three is gone"
        assert "3 sources" not in health.text
        page = daemon.get("/").text
        assert "odd &quot;name&quot;" in page
        assert "<script" not in page


def test_gauges_age_out_and_counters_stay(owner: Owner, database: Database, role: str, tmp_path: Path) -> None:
    with Daemon(tmp_path, config(source(role), timeout="1s")) as daemon:
        daemon.until_up(1, "changes", "counts", "failed")
        add(owner, queue_name="mail", status="completed", started=-1, completed=0, count=4)
        add(owner, queue_name="mail", status="queued", count=2)
        before = daemon.until("postwatch_queue_jobs_finished_total", 4, queue="mail", outcome="completed")
        daemon.until("postwatch_queue_depth", 2, queue="mail")
        eventually(lambda: daemon.samples().series("postwatch_queue_depth_threshold", queue="mail"))
        owner.execute("alter table jobs rename to elsewhere")
        daemon.until_up(0, "changes", "counts")
        gone = daemon.until("postwatch_queue_depth", None, queue="mail")
        # At most max(stale_after, 3 × interval + timeout) old: 4 s here.
        success = gone.value("postwatch_sampler_last_success_timestamp_seconds", sampler="changes")
        assert before.value("postwatch_sampler_last_success_timestamp_seconds", sampler="changes") <= success
        for name in ("jobs_finished_total", "jobs_enqueued_total", "job_duration_seconds_count"):
            found = gone.series(f"postwatch_queue_{name}", queue="mail")
            assert found, name
        assert gone.get("postwatch_queue_jobs_finished_total", queue="mail", outcome="completed") == 4
        assert gone.series("postwatch_queue_depth_threshold", queue="mail")
        owner.execute("alter table elsewhere rename to jobs")
        samples = daemon.until("postwatch_queue_depth", 2, queue="mail")
        assert samples.get("postwatch_queue_jobs_finished_total", queue="mail", outcome="completed") == 4
