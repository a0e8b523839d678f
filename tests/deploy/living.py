"""The demo with all its troubles at once, scraped by a real Prometheus with the shipped rules, at a quick pace."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
import yaml
from starlette.responses import PlainTextResponse

from demo.alarms import Alarms
from demo.check import CHECK_PACE
from demo.platform import DATABASE, Platform
from demo.process import free_port
from demo.providers.exchange import Fault
from demo.queues import DIVISION, HIGH, WARMUP
from demo.stage import Stage, set_up
from tests.support.certificates import make_certificates
from tests.support.prometheus import Running
from tests.support.servers import PgBouncer
from tests.support.services import web_server, with_tls
from tests.support.wait import eventually


@dataclass(frozen=True)
class Living:
    """What runs: the demo's stage, and the port of a service that speaks TLS."""

    stage: Stage
    tls_port: int
    client: httpx.Client

    @property
    def alarms(self) -> Alarms:
        assert self.stage.alarms is not None
        return self.stage.alarms

    @property
    def ports(self) -> dict[str, int]:
        """Where the documents say that something is, and where it is here."""
        prometheus, alertmanager = self.alarms.prometheus, self.alarms.alertmanager
        assert prometheus is not None
        assert alertmanager is not None
        return {
            "9797": self.stage.port,
            "9798": self.alarms.alerter.port,
            "9090": prometheus.port,
            "9093": alertmanager.port,
            "8080": self.stage.outside.ports["api"],
            "443": self.tls_port,
        }

    @property
    def prometheus(self) -> Running:
        return Running(f"http://127.0.0.1:{self.ports['9090']}", self.client)


@contextlib.contextmanager
def living(folder: Path) -> Iterator[Living]:
    """Up, in trouble, and seen by Prometheus; certificates are made in `folder`."""
    with contextlib.ExitStack() as stack:
        certificates = make_certificates(folder)
        tls_port = stack.enter_context(web_server(PlainTextResponse("ok"), **with_tls(certificates)))
        stage = stack.enter_context(
            set_up(_silently, folder=None, keep=False, port=free_port(), exporter=True, pace=CHECK_PACE)
        )
        stage.start_alarms(_silently)
        bouncer = stack.enter_context(PgBouncer(stage.postgres))
        client = stack.enter_context(psycopg.connect(bouncer.url(DATABASE), autocommit=True, prepare_threshold=None))
        client.execute("select 1")
        forgetful = stack.enter_context(psycopg.connect(stage.postgres.url(DATABASE)))
        forgetful.execute("select 1")  # idle in its transaction from now on
        _watch_more(stage, bouncer.url("pgbouncer"), f"https://localhost:{tls_port}/", certificates.ca)
        demo = Living(stage, tls_port, stack.enter_context(httpx.Client()))
        _hurry(demo)
        platform = stack.enter_context(Platform(stage.postgres, stage.store, stage.outside, seed=1))
        platform.live_as_ever()
        # Before there can be trouble, all has to be well: workers that have been seen, an API that answers.
        eventually(lambda: demo.prometheus.query('postwatch_service_http_responses_total{target="api"} > 2'), within=30)
        eventually(lambda: demo.prometheus.query('postwatch_workers{state="active"} == 3'), within=30)
        _trouble(platform, demo.alarms)
        yield demo


def _silently(_what: str) -> contextlib.AbstractContextManager[None]:
    return contextlib.nullcontext()


def _watch_more(stage: Stage, bouncer: str, https: str, ca: Path) -> None:
    """What the demo lacks: PgBouncer's pools, and a service with a certificate. The exporter sees it by itself."""
    given = yaml.safe_load(stage.config.read_text())
    given["postgres"][0]["pgbouncer"] = bouncer
    shop = {"name": "shop", "kind": "http", "url": https, "interval": "1s", "tls": {"ca_file": str(ca)}}
    given["services"].append(shop)
    stage.config.write_text(yaml.safe_dump(given))


def _hurry(demo: Living) -> None:
    """All intervals become a second, and the day after which anomalies are told two looks: the rest is as shipped."""
    server = demo.alarms.prometheus
    assert server is not None
    for path in [server.file, *(server.folder / "rules").glob("*.yml")]:
        text = re.sub(r"\b((?:scrape_|evaluation_)?interval|scrape_timeout): \w+", r"\1: 1s", path.read_text())
        path.write_text(re.sub(r">= 288\b", ">= 2", text))
    # What it tells before it has found Alertmanager is lost, and told again after that delay.
    server.options.append("--rules.alert.resend-delay=5s")
    alerter = demo.alarms.alerter
    alerter.config.write_text(alerter.config.read_text().replace("after: 5m}", "after: 5m, every: 1s}"))
    with ThreadPoolExecutor() as pool:
        for ended in [pool.submit(each.restart) for each in (server, alerter)]:
            ended.result()


def _trouble(platform: Platform, alarms: Alarms) -> None:
    """Something of everything that can go wrong, from now on."""
    platform.producer.set_broken(HIGH, DIVISION)
    platform.held.add(WARMUP.key)
    platform.producer.add(platform.producer.draw(WARMUP, 20))
    platform.kill_worker("worker-2")
    platform.slow_down(mail=1.5)
    platform.break_api()
    platform.list_sender()
    with platform.store() as store:
        store.config_set("maxmemory", "256mb")
    alarms.people.pagerduty.inject(*[Fault.status(400)] * 3)  # refused for good: dead letters
    alarms.people.pagerduty.always(Fault.status(401))
