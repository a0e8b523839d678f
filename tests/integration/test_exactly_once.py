"""Every job that ends is counted once: concurrent writers, whose own book is the truth, against the counters."""

from __future__ import annotations

import time
from collections import Counter

import pytest

from tests.support.boss import Boss, allow_reading
from tests.support.databases import Database
from tests.support.servers import PgBouncer
from tests.support.wait import eventually
from tests.support.watching import Watching, watching
from tests.support.writers import QUEUES, BossWriters, Writers

# The machine's cores are for one of these at a time.
pytestmark = pytest.mark.xdist_group("heavy")

CONFIGURATION = """
defaults: {{interval: 1s, timeout: 5s, budget: 100%}}
queues:
  - {{name: mail, kind: hybrid, postgres: "{url}", schema: penguinmails}}
"""
RATE = 2000.0
SECONDS = 60.0


def seen(exporter: Watching) -> dict[tuple[str, str], int]:
    """What the exporter counted, by (`enqueued` or outcome, queue)."""
    found: dict[tuple[str, str], int] = {}
    for (name, labels), value in exporter.samples().items():
        have = dict(labels)
        if name == "postwatch_queue_jobs_enqueued_total":
            what = "enqueued"
        elif name == "postwatch_queue_jobs_finished_total":
            what = have["outcome"]
        else:
            continue
        if value:
            key = (what, have["queue"])
            found[key] = found.get(key, 0) + int(value)
    return found


def last_look(exporter: Watching) -> float:
    """Monotonic seconds before which everything committed has been seen."""
    (changes,) = [o for n, o in exporter.watch.sampling.outcomes.items() if n == "changes/mail"]
    if changes.last_success is None or changes.last_duration is None:
        return 0.0
    return time.monotonic() - (time.time() - changes.last_success) - changes.last_duration - 2.0


def prove(
    writers: Writers, reader_url: str, *, seconds: float, configuration: str = CONFIGURATION
) -> dict[tuple[str, str], int]:
    """Write for `seconds` under watch; answers the truth, after having compared it with what was counted."""
    with watching(configuration.format(url=reader_url)) as exporter:
        eventually(lambda: exporter.total("postwatch_sampler_runs_total", sampler="changes") >= 1)
        eventually(lambda: exporter.total("postwatch_sampler_runs_total", sampler="counts") >= 1)
        end = time.monotonic() + seconds
        with writers.at_work(terminate_every=1.0):
            tidied = Counter[str]()

            def time_is_over() -> bool:
                deleted, put_back = writers.tidy_up_before(last_look(exporter))
                tidied.update(deleted=deleted, put_back=put_back)
                return time.monotonic() > end

            eventually(time_is_over, within=seconds + 30, every=0.5)
        truth = writers.truth()

        def all_counted() -> None:
            assert seen(exporter) == truth

        eventually(all_counted, within=15)
        assert not writers.errors
        assert tidied["deleted"] > 0
        assert tidied["put_back"] > 0
        durations = exporter.total("postwatch_queue_job_duration_seconds_count")
        assert durations == sum(n for (what, _), n in truth.items() if what != "enqueued")
        assert exporter.total("postwatch_sampler_failures_total") == 0
    return truth


@pytest.mark.timeout(240)
@pytest.mark.parametrize("database", ["penguinmails@18"], indirect=True)
def test_each_end_is_counted_once_for_a_minute_at_two_thousand_jobs_a_second(database: Database) -> None:
    truth = prove(Writers(database.url, rate=RATE, longest=8.0), database.reader_url, seconds=SECONDS)
    finished = sum(n for (what, _), n in truth.items() if what != "enqueued")
    assert finished > 0.5 * RATE * SECONDS, f"the writers managed {finished / SECONDS:.0f} jobs/s only"


@pytest.mark.timeout(240)
def test_each_end_is_counted_once_through_pgbouncer(database: Database, bouncer15: PgBouncer) -> None:
    reader_url = bouncer15.url(database.name, database.reader)
    truth = prove(Writers(database.url, rate=RATE / 2, longest=8.0), reader_url, seconds=20.0)
    assert {queue for _, queue in truth} == set(QUEUES)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("database", ["empty@18"], indirect=True)
def test_each_end_in_pgboss_is_counted_once(database: Database) -> None:
    with Boss(12, database.url) as boss:
        allow_reading(database, boss)
    writers = BossWriters(database.url, rate=RATE / 2, longest=8.0)
    configuration = CONFIGURATION.replace("kind: hybrid", "kind: pgboss").replace(", schema: penguinmails", "")
    truth = prove(writers, database.reader_url, seconds=15.0, configuration=configuration)
    assert {queue for _, queue in truth} == set(QUEUES)
