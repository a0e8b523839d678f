"""pg-boss by its own client, an exporter that watches it, and what is served of it in a form to compare."""

from __future__ import annotations

from typing import Any, NamedTuple

from exporter.sampling.sampler import Run
from tests.support.boss import Boss
from tests.support.databases import Database
from tests.support.exporter import Exporter, config
from tests.support.jobs import Owner, epoch
from tests.support.samples import Samples

LOOKS = ("counts", "changes", "failed", "counts")
QUEUE = "invoices"
OUTCOMES = ("completed", "failed", "cancelled", "expired")
COUNTERS = ("jobs_enqueued", "jobs_within_target", "job_retries", "job_timeouts")
TARGETS = {QUEUE: {"target": "1m", "time_limit": "2m"}, f"{QUEUE}:high": {"target": "10s"}}


class Bench(NamedTuple):
    """A pg-boss, its database, and an exporter that watches it as a role that may only read."""

    boss: Boss
    owner: Owner
    exporter: Exporter
    database: Database

    def change(self, what: str, where: str = "true") -> None:
        """Updates rows of jobs, as time does."""
        self.owner.execute(f"update pgboss.job set {what} where {where}".encode())

    def epoch(self, what: str, where: str = "true") -> float:
        """A moment in the table of jobs."""
        return epoch(self.owner, f"select {what} from pgboss.job where {where}")

    def supervise(self, queue: str) -> None:
        """pg-boss looks after a queue, however lately it has done so."""
        rows = self.owner.execute(
            "select attname from pg_attribute where attrelid = 'pgboss.queue'::regclass and not attnotnull"
            " and atttypid = 'timestamptz'::regtype and not attisdropped"
        ).fetchall()
        if rows:
            self.owner.execute(f"update pgboss.queue set {', '.join(f'{row[0]} = null' for row in rows)}".encode())
        self.boss.supervise(queue)

    def remarks(self) -> list[Any]:
        return self.exporter.watch.sources[0].check(Run(self.exporter.clock, 30.0))


def watched(database: Database, **more: Any) -> Exporter:
    return Exporter(
        config({"name": "mail", "kind": "pgboss", "postgres": database.reader_url, "targets": TARGETS, **more})
    )


def states(samples: Samples, queue: str = QUEUE) -> dict[str, float | None]:
    return {state: samples.queue("jobs", queue, state=state) for state in ("scheduled", "waiting", "active", "failed")}


def counters(samples: Samples, queue: str = QUEUE) -> dict[str, float | None]:
    """Those that are not zero."""
    found = {
        **{each: samples.queue(f"{each}_total", queue) for each in COUNTERS},
        **{each: samples.queue("jobs_finished_total", queue, outcome=each) for each in OUTCOMES},
        "durations": samples.queue("job_duration_seconds_count", queue),
        "waits": samples.queue("job_wait_seconds_count", queue),
    }
    return {name: value for name, value in found.items() if value != 0}


def errors(samples: Samples, queue: str = QUEUE) -> dict[str, float]:
    found = samples.by("error", "postwatch_queue_job_errors_total", queue=queue, priority="normal")
    return {name: value for name, value in found.items() if value}
