"""docs/exporter.example.yml: it is accepted as it stands, and runs once all that it names is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from demo.servers import Postgres
from tests.support.databases import Database, create_database, drop_database
from tests.support.dns import Rbldnsd, Unbound, blocklist, reverse
from tests.support.documents import REPOSITORY
from tests.support.exporter import Daemon, command
from tests.support.jobs import add, queues
from tests.support.messages import client, install, send
from tests.support.samples import Samples
from tests.support.servers import RedisServer
from tests.support.services import Listener, answering, echoing, mail_server
from tests.support.wait import eventually

EXAMPLE = (REPOSITORY / "docs" / "exporter.example.yml").read_text()
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
SENDER = "203.0.113.12"


@dataclass(frozen=True)
class Named:
    """What the example names: its databases, and the ports that take the places of those in the file."""

    databases: dict[str, Database]
    ports: dict[int, int]


@pytest.fixture
def named(pg15: Postgres) -> Iterator[Named]:
    with ExitStack() as stack:
        databases = {}
        for name, layout in (("mail", "penguinmails"), ("hooks", "empty"), ("flows", "empty")):
            databases[name] = create_database(pg15, layout)
            stack.callback(drop_database, databases[name])
        zones = {zone: blocklist({}, ipv6=True) for zone in ("b.barracudacentral.org", "bl.spamcop.net")}
        zones["zen.spamhaus.org"] = blocklist({reverse(SENDER): ["127.0.0.2"]}, ipv6=True)
        lists = stack.enter_context(Rbldnsd(zones))
        ports = {
            8080: stack.enter_context(Listener(answering(OK))).port,
            25: stack.enter_context(mail_server())[0],
            2525: stack.enter_context(Listener(echoing)).port,
            5353: stack.enter_context(Unbound(lists)).port,
        }
        yield Named(databases, ports)


def fill(named: Named) -> None:
    """A job or two in each queue system."""
    mail, hooks, flows = (named.databases[name] for name in ("mail", "hooks", "flows"))
    with mail.connect() as owner:
        queues(owner, "email-sending")
        add(owner, queue_name="email-sending", priority=10, count=3, run_at=-60)
        owner.execute("create table sends (ip inet, day date)")
        owner.execute("insert into sends values (%s, (now() at time zone 'utc')::date)", [SENDER])
    install(hooks)
    with client(hooks) as queue:
        queue.create_queue("orders")
        send(queue, "orders", 4)
    with flows.connect() as owner:
        tables = (REPOSITORY / "demo" / "pgboss.sql").read_text()
        owner.execute(tables.replace("to postwatch;", f"to {flows.reader};").encode())
        owner.execute("insert into pgboss.job (name) values ('contact-import')")


def test_it_is_accepted_as_it_stands(tmp_path: Path) -> None:
    file = tmp_path / "exporter.yml"
    file.write_text(EXAMPLE)
    done = command("check", "--config", str(file))
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def test_it_runs(
    named: Named, store: redis.Redis, redis_server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(named)
    for name, database in named.databases.items():
        monkeypatch.setenv(f"{name.upper()}_DATABASE_URL", database.reader_url)
    monkeypatch.setenv("MAIL_REDIS_URL", redis_server.url)
    text = EXAMPLE.replace("127.0.0.1:9797 ", "127.0.0.1:0 ").replace("/var/lib/postwatch", str(tmp_path))
    for written, port in named.ports.items():
        text, times = re.subn(rf"127\.0\.0\.1:{written}\b", f"127.0.0.1:{port}", text)
        assert times == 1, written
    with Daemon(tmp_path, text) as daemon:

        def all_told() -> Samples:
            samples = daemon.samples()
            assert {labels["sampler"]: up for labels, up in samples.series("postwatch_sampler_up") if not up} == {}
            assert samples.value("postwatch_queue_depth", source="mail", queue="email-sending", priority="high") == 3
            assert samples.value("postwatch_queue_depth", source="hooks", queue="orders") == 4
            assert samples.value("postwatch_queue_depth", source="flows", queue="contact-import") == 1
            listed = samples.by("blocklist", "postwatch_dnsbl_listed", ip=SENDER)
            assert listed == {"zen.spamhaus.org": 1, "b.barracudacentral.org": 0, "bl.spamcop.net": 0}
            return samples

        samples = eventually(all_told, within=60, every=0.2)
        assert samples.by("target", "postwatch_service_up") == dict.fromkeys(
            ("api", "smtp", "oltp", "cache", "relay"), 1
        )
        assert samples.value("postwatch_ip_sent_today", ip=SENDER) == 1
        assert samples.value("postwatch_postgres_up", database="oltp") == 1
        assert samples.value("postwatch_redis_up", redis="cache") == 1
        assert samples.value("postwatch_host_disk_usage_ratio", mount="/") > 0
        labels = samples.series("postwatch_queue_depth", source="mail")[0][0]
        assert labels["team"] == "delivery"
        assert daemon.stop() == 0
    assert (tmp_path / "reputation.json").exists()
