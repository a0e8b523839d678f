"""How fast the alerter is, and what it loses under a storm: nothing."""

import itertools
import json
import os
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from alerter.model import alert_key
from demo.providers import PagerDuty
from tests.bench import report
from tests.bench.alerting import (
    SERVICES,
    Line,
    Memory,
    counted,
    labelled,
    meanwhile,
    oncall,
    p99,
    packed,
    told_at_will,
    told_steadily,
    webhook,
)
from tests.bench.report import Goal
from tests.support.alerter import Alerter
from tests.support.databases import create_database, drop_database
from tests.support.servers import Postgres15
from tests.support.wait import eventually

GROUPS, SECONDS = 50, 60  # a second; for so long
ANSWER = 0.05  # seconds that the provider takes
P99 = 1.0
MANY = 20_000  # alerts in one payload
TAKEN = 3.0
STORM, STORMY = 500, 60
MEMORY = 200 * 2**20
LINES = (1, 8, 64)

pytestmark = [pytest.mark.bench, pytest.mark.timeout(600)]


def test_from_a_webhook_to_a_person(tmp_path: Path) -> None:
    told = [labelled(number, ("critical", "warning")[number % 2]) for number in range(GROUPS * SECONDS)]
    bodies = [webhook(each, group=f'{{}}:{{queue="{number}"}}') for number, each in enumerate(told)]
    keys = [alert_key("default", each["fingerprint"]) for each in told]
    with PagerDuty(rate=1_000_000, delay=ANSWER) as provider:
        with Alerter(tmp_path, oncall(provider, "12000/min")) as alerter:
            sent, refused = told_steadily(alerter, bodies, GROUPS)
            eventually(lambda: len(provider.open) == len(told), within=30)
            cpu = alerter.cpu()
        came = {json.loads(each.body)["dedup_key"]: each.at for each in reversed(provider.requests)}
    took = [came[key] + ANSWER - at for key, at in zip(keys, sent, strict=True)]
    share = cpu / (max(sent) - min(sent))
    goals = [
        Goal("p99 from the webhook to accepted by the provider", f"< {P99:g} s", f"{p99(took):.3f} s", p99(took) < P99),
        Goal("told twice, or refused", "0", f"{len(provider.events) - len(told) + refused}",
             len(provider.events) == len(told) and not refused),
    ]  # fmt: skip
    text = (
        f"{GROUPS} webhooks a second for {SECONDS} s, each a group of one alert, every other one critical, to one"
        f" receiver of kind pagerduty whose stand-in answers in {1e3 * ANSWER:.0f} ms, on SQLite. From the webhook's"
        f" first byte to the answer: median {1e3 * statistics.median(took):.0f} ms, p99 {1e3 * p99(took):.0f} ms,"
        f" longest {1e3 * max(took):.0f} ms. Processor: {share:.0%} of a core, its start included."
    )
    report.write("alerter-latency", "SQLite", goals, text)


@dataclass
class Intake:
    """What one large payload took, in seconds."""

    took: float
    healths: list[float] = field(default_factory=list)  # answers of /healthz meanwhile
    others: list[float] = field(default_factory=list)  # a critical alert's webhooks meanwhile
    again: float = 0.0  # the same once more
    ended: float = 0.0  # all of them resolved
    memory: int = 0


def take_in(folder: Path, *, zipped: bool = False, storage: str = "") -> Intake:
    """One payload of many alerts to a fresh daemon, and what else is asked of it meanwhile."""
    folder.mkdir()
    bodies = [
        webhook(*(labelled(number) | {"status": status} for number in range(MANY)), group="{}:{}")
        for status in ("firing", "firing", "resolved")
    ]
    given = {**({"storage": storage} if storage else {}), "default": {"receivers": ["oncall"]}}
    with (
        PagerDuty() as provider,
        Alerter(folder, {**oncall(provider, "120/min"), **given}) as alerter,
        Line(alerter) as line,
        Line(alerter) as asking,
        Line(alerter) as paging,
    ):
        memory, found, numbers = Memory(alerter), Intake(0.0), itertools.count(MANY)

        def ask() -> None:
            start = time.perf_counter()
            assert asking.get("/healthz") == 200
            found.healths.append(time.perf_counter() - start)
            memory.look()

        def page() -> None:
            start = time.perf_counter()
            assert paging.post(webhook(labelled(next(numbers), "critical"), group="{}:{page}")) == 200
            found.others.append(time.perf_counter() - start)

        with meanwhile(ask, 0.02), meanwhile(page, 0.1):
            times = []
            for body in bodies:
                body = packed(body) if zipped else body
                start = time.perf_counter()
                assert line.post(body, packed=zipped) == 200
                times.append(time.perf_counter() - start)
        found.took, found.again, found.ended = times
        found.memory = memory.most
    return found


@pytest.fixture
def database(tmp_path: Path) -> Iterator[str]:
    """The address of an empty database on a server of its own, which is as durable as by default."""
    with Postgres15(settings={"fsync": "on", "full_page_writes": "on"}) as server:
        made = create_database(server, "empty")
        yield made.url.replace("postgresql://", "postgresql+psycopg://", 1)
        drop_database(made)


def test_many_alerts_in_one_payload(tmp_path: Path, database: str) -> None:
    found = {
        "SQLite": take_in(tmp_path / "plain"),
        "SQLite, gzip": take_in(tmp_path / "gzip", zipped=True),
        "PostgreSQL": take_in(tmp_path / "postgresql", storage=database),
    }
    goals = [
        Goal(f"{MANY:,} alerts taken in, {name}", f"< {TAKEN:g} s", f"{each.took:.2f} s", each.took < TAKEN)
        for name, each in found.items()
        if name != "PostgreSQL"
    ]
    rows = [
        [name, *(f"{seconds:.2f}" for seconds in (each.took, each.again, each.ended)),
         f"{1e3 * p99(each.healths):.0f} / {1e3 * max(each.healths):.0f}", f"{max(each.others):.2f}",
         f"{each.memory / 2**20:.0f}"]
        for name, each in found.items()
    ]  # fmt: skip
    head = ["store", "new, s", "the same again, s", "all resolved, s", "`/healthz` meanwhile, p99 / longest ms",
            "a critical alert's webhook meanwhile, longest s", "resident MiB"]  # fmt: skip
    text = (
        f"One webhook of {MANY:,} alerts with 8 labels and 5 annotations, told to one receiver, until its 200, which"
        " comes after the commit. Meanwhile `/healthz` is asked every 20 ms, and a critical alert comes every 100 ms"
        " by a webhook of its own.\n\n" + report.table(head, rows)
    )
    report.write("alerter-intake", "SQLite, PostgreSQL 15 with its defaults", goals, text)


def test_a_storm_loses_nothing(tmp_path: Path) -> None:
    told = [labelled(number, ("critical", "warning", "info")[number % 3]) for number in range(STORM * STORMY)]
    bodies = [webhook(each, group=f'{{}}:{{queue="{number}"}}') for number, each in enumerate(told)]
    with PagerDuty(delay=ANSWER) as provider, Alerter(tmp_path, oncall(provider, "120/min")) as alerter:
        memory = Memory(alerter)
        with meanwhile(memory.look, 0.25):
            began = time.monotonic()
            _, refused = told_steadily(alerter, bodies, STORM, lines=32)
            rate = len(bodies) / (time.monotonic() - began)
            eventually(lambda: alerter.value("postwatch_alerter_outbox_pending") == 0, within=90, every=0.5)
            drained = time.monotonic() - began
        shown = {each["fingerprint"] for name in SERVICES for each in alerter.feed(service=name, limit=5000)}
        throttled = alerter.value("postwatch_alerter_delivery_failures_total", reason="rate_limited")
        cpu = alerter.cpu()
    sent = sum(event["event_action"] == "trigger" for event in provider.events)
    lost, unsaid = len(told) - len(shown), len(told) - counted(provider)
    goals = [
        Goal("webhooks taken in", f"≥ {0.98 * STORM:.0f}/s", f"{rate:.0f}/s", rate >= 0.98 * STORM),
        Goal("alerts missing in the feed", "0", f"{lost}", lost == 0),
        Goal("alerts neither named nor counted in what was sent", "0", f"{unsaid}", unsaid == 0),
        Goal("refused by the provider for its rate", "0", f"{throttled:.0f}", throttled == 0),
        Goal("resident memory at most", f"< {MEMORY / 2**20:.0f} MiB", f"{memory.most / 2**20:.0f} MiB",
             memory.most < MEMORY),
    ]  # fmt: skip
    text = (
        f"{STORM} webhooks a second for {STORMY} s, each a group of one alert, a third critical, to one receiver of"
        f" kind pagerduty at its usual 120 a minute, on SQLite. {len(told):,} alerts were told in {sent} messages,"
        f" the last {drained:.0f} s after the first webhook; {refused} webhooks had to be sent again. Processor:"
        f" {cpu / drained:.0%} of a core."
    )
    report.write("alerter-storm", "SQLite", goals, text)


def test_the_price_of_durability(tmp_path: Path) -> None:
    ways = {"synchronous=FULL": ("alerter",), "synchronous=OFF": ("tests.bench.undurable",)}
    numbers = itertools.count()
    rows: list[list[Any]] = []
    for lines in LINES:
        cells: list[Any] = [lines]
        for way, by in ways.items():
            folder = tmp_path / f"{lines}{way}"
            folder.mkdir()
            alerter = Alerter(folder, {})
            alerter.start(by=by)
            bodies = (webhook(labelled(number), group=f"{{}}:{{{number}}}") for number in numbers)
            try:
                told_at_will(alerter, bodies, lines, 1.0)
                took = told_at_will(alerter, bodies, lines, 5.0)
            finally:
                alerter.kill()
            cells += [f"{len(took) / 5:.0f}", f"{1e3 * statistics.median(took):.1f} / {1e3 * p99(took):.1f}"]
        rows.append(cells)
    alone, together = (float(rows[0][1]), float(rows[-1][1]))
    goals = [
        Goal(f"{LINES[-1]} senders together, against one", "more", f"{together / alone:.1f} times", together > alone)
    ]
    head = ["senders", *(f"{way}, {what}" for way in ways for what in ("webhooks/s", "median / p99 ms"))]
    text = (
        "Webhooks of one alert each, from so many senders who wait for their answer, for 5 s, on SQLite. With `FULL`,"
        " which the alerter uses, a webhook is answered when it is on the disk; those that come while another commit is"
        f" under way share the next one. An fsync of 4 KiB takes {1e3 * fsync(tmp_path):.2f} ms here (median).\n\n"
        + report.table(head, rows)
    )
    report.write("alerter-durability", "SQLite", goals, text)


def fsync(folder: Path) -> float:
    """Median seconds."""
    times = []
    with (folder / "synced").open("wb", buffering=0) as file:
        for _ in range(200):
            file.write(b"x" * 4096)
            start = time.perf_counter()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - start)
    return statistics.median(times)
