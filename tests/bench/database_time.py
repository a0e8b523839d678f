"""How the database time of a sample is measured, for `make bench` and `make soak` alike."""

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import redis

from tests.bench import bed, report
from tests.bench.bed import INTERVAL, Daemon, Meter
from tests.bench.churn import Churn
from tests.bench.report import Goal
from tests.support.databases import Database
from tests.support.servers import Postgres15, RedisServer

MILLION = 1_000_000
RATE = 2_000  # jobs a second
BACKLOG = 600_000
FLAT = 1.5
WARM = 20.0  # seconds
WINDOW = 40.0

# Samplers whose runs are minutes apart, once the budget has stretched them.
STRETCHED = ("counts", "failed", "drift")
FREQUENT = 3  # runs in a window that tell what one costs


def sampler_of(statement: str) -> str:
    """Whose statement it is. The look that a count begins with is a look."""
    marks = {"as unstarted": "counts", "pg_stat_activity": "changes", "as newest": "start", "pg_attribute": "start"}
    for mark, sampler in marks.items():
        if mark in statement:
            return sampler
    if "count(*)" in statement:
        return "failed"
    return "drift" if 'select "id"::text' in " ".join(statement.split()) else "changes"


@dataclass(frozen=True)
class Sample:
    """Database time of a sample by sampler, in seconds."""

    parts: Mapping[str, float]
    rate: float  # jobs ended a second, as they did
    processor: float  # seconds of processor time of the backends, for a sample

    @property
    def seconds(self) -> float:
        """Of all samplers."""
        return sum(self.parts.values())

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {1e3 * seconds:.1f}" for name, seconds in self.parts.items() if seconds > 5e-5)
        return f"{1e3 * self.seconds:.1f} ({parts}); processor {1e3 * self.processor:.1f}"


def sample(daemon: Daemon, meter: Meter, churn: Churn, seconds: float = WINDOW) -> Sample:
    """What a sample costs from now on. `meter` has been reading since before the daemon's start.

    What runs once in minutes may or may not fall into a window: its mean run is spread over its interval.
    """
    runs = daemon.value("postwatch_sampler_runs_total", sampler="changes")
    before, began, processor = meter.read(), time.time(), meter.processor()
    time.sleep(seconds)
    after, over, processor = meter.read(), time.time(), meter.processor() - processor
    rare = daemon.value("postwatch_sampler_runs_total", sampler="changes") - runs < FREQUENT
    stretched = (*STRETCHED, "changes") if rare else STRETCHED
    window = after.since(before)
    parts = {"changes": 0.0, **dict.fromkeys(STRETCHED, 0.0)}
    for statement, (_, spent) in window.statements.items():
        if (sampler := sampler_of(statement)) not in (*stretched, "start"):
            parts[sampler] += spent / window.window * INTERVAL
    for statement, (_, spent) in after.statements.items():
        if (sampler := sampler_of(statement)) in stretched:
            runs = daemon.value("postwatch_sampler_runs_total", sampler=sampler)
            interval = daemon.value("postwatch_sampler_interval_seconds", sampler=sampler)
            parts[sampler] += spent / runs / interval * INTERVAL
    return Sample(parts, churn.rate(began, over), processor / window.window * INTERVAL)


def fill_lists(store: "redis.Redis", database: Database) -> None:
    """What PostgreSQL believes to be in Redis is there."""
    suffixes = {50: ":high", 110: "", 170: ":low"}
    with database.connect() as owner:
        rows = owner.execute(
            "select queue_name, priority, id::text from jobs where status = 'migrated_to_redis'"
        ).fetchall()
    with store.pipeline(transaction=False) as pipe:
        for queue, priority, job in rows:
            pipe.lpush(f"queue:{queue}{suffixes[priority]}", job)
        pipe.execute()


def by_size(server: Postgres15, folder: Path, sizes: Iterable[int], section: str) -> None:
    """Measure each size without and with a backlog, and write it down."""
    with RedisServer() as lists, lists.client() as store, ExitStack() as stack:
        databases = {size: stack.enter_context(bed.filled(server, size)) for size in sizes}
        os.sync()  # the system still writes what was filled in, and the first to be measured would pay for it
        idle = _there_and_back(databases, lists, folder)
        for database in databases.values():
            with database.connect() as owner:
                bed.add_waiting(owner, BACKLOG)
                owner.execute("vacuum analyze jobs")
                owner.execute("checkpoint")
        os.sync()
        behind = _there_and_back(databases, lists, folder, store)
    goals = [
        _flat(idle, "flat while 2,000 jobs end a second"),
        _flat(behind, "flat with 600,000 waiting"),
    ]
    head = ["ended rows", "ms a sample", "jobs/s", "ms with 600,000 waiting", "jobs/s"]
    rows = [
        [
            f"{size / MILLION:g} million",
            idle[size],
            f"{idle[size].rate:,.0f}",
            behind[size],
            f"{behind[size].rate:,.0f}",
        ]
        for size in idle
    ]
    text = (
        "Layout `penguinmails` with its indexes; one in 1,000 ended rows has failed; every job goes through"
        " queued, migrated_to_redis, running and its end; a Redis with the lists. In brackets by sampler:"
        f" `changes` over two windows of {WINDOW:.0f} s, a run of the others spread over their interval as the budget"
        " (0.5 % of the time, 25 ms a sample) has stretched it, debts that are paid by waiting longer not"
        " considered. `processor`: time of the processors for its backends in the same window, which other"
        " load on the machine changes less.\n\n" + report.table(head, rows)
    )
    report.write(section, server.version(), goals, text)


def _there_and_back(
    databases: Mapping[int, Database], lists: RedisServer, folder: Path, handed_over: "redis.Redis | None" = None
) -> dict[int, Sample]:
    """The mean of two windows each, in order and in reverse, so that what drifts meets all sizes alike."""
    found: dict[int, list[Sample]] = {size: [] for size in databases}
    for size in [*databases, *reversed(list(databases))]:
        with lists.client() as store:
            store.flushall()
        if handed_over is not None:
            fill_lists(handed_over, databases[size])
        with Churn(databases[size].url, RATE) as churn:
            meter = Meter(databases[size])
            with Daemon(folder, postgres=databases[size].reader_url, redis=lists.url, schema="penguinmails") as daemon:
                time.sleep(WARM)
                found[size].append(sample(daemon, meter, churn))
    return {size: _mean(samples) for size, samples in found.items()}


def _mean(samples: Sequence[Sample]) -> Sample:
    parts = {name: fmean(one.parts[name] for one in samples) for name in samples[0].parts}
    return Sample(parts, fmean(one.rate for one in samples), fmean(one.processor for one in samples))


def _flat(samples: Mapping[int, Sample], name: str) -> Goal:
    seconds = [one.seconds for one in samples.values()]
    ratio = max(seconds) / min(seconds)
    return Goal(name, f"largest ÷ smallest ≤ {FLAT}", f"{ratio:.2f}", ratio <= FLAT)
