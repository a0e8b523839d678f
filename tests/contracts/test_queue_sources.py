"""What every queue source keeps, over all that are registered: the semantics of docs/metrics.md."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from exporter.queues import KINDS
from exporter.sampling.sampler import Run
from tests.contracts.harness import Harness
from tests.contracts.harnesses import HARNESSES
from tests.support.exporter import Exporter, config
from tests.support.jobs import epoch
from tests.support.samples import Samples

STATES = ("scheduled", "waiting", "active", "failed")
OUTCOMES = ("completed", "failed", "cancelled", "expired")
LOOKS = ("counts", "changes", "failed", "counts")
QUEUE = "letters"
# Blocks that a look may read more with 200 times as many ended rows: a level of an index here and there.
SLACK = 60

VARIANTS = [(kind, name) for kind, makers in HARNESSES.items() for name in makers]


@pytest.fixture(params=VARIANTS, ids=[f"{kind}-{name}" for kind, name in VARIANTS])
def harness(request: pytest.FixtureRequest) -> Iterator[Harness]:
    kind, name = request.param
    with HARNESSES[kind][name](request) as one:
        one.create(QUEUE)
        yield one


@pytest.fixture
def exporter(harness: Harness) -> Iterator[Exporter]:
    given = {"name": "mail", **harness.source(), "targets": {QUEUE: {"target": "1h", "time_limit": "10m"}}}
    # Looks follow one another at once: none is left out for having been made just now.
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        patch.setattr("exporter.queues.reading.samplers.RECENT_LOOK", 0.0)
        yield stack.enter_context(Exporter(config(given)))


def states(samples: Samples, queue: str = QUEUE) -> dict[str, float | None]:
    return {state: samples.queue("jobs", queue, state=state) for state in STATES}


def finished(samples: Samples, queue: str = QUEUE) -> dict[str, float | None]:
    return {outcome: samples.queue("jobs_finished_total", queue, outcome=outcome) for outcome in OUTCOMES}


def ended(**outcomes: float) -> dict[str, float]:
    return {**dict.fromkeys(OUTCOMES, 0), **outcomes}


def blocks(harness: Harness) -> int:
    """Pages that statements of the exporter's role have read so far, from memory or disk."""
    with harness.database.connect() as owner:
        row = owner.execute(
            "select coalesce(sum(shared_blks_hit + shared_blks_read), 0)::int8 from pg_stat_statements"
            " where userid = %s::regrole and dbid = (select oid from pg_database where datname = current_database())",
            [harness.database.reader],
        ).fetchone()
    assert row is not None
    return int(row[0])


def test_every_kind_has_a_harness() -> None:
    assert {kind.KIND for kind in KINDS} == HARNESSES.keys()
    assert all(HARNESSES.values())


def test_a_known_queue_without_jobs_says_zero(harness: Harness, exporter: Exporter) -> None:
    samples = exporter.look(*LOOKS)
    able = harness.abilities
    failed = 0 if able.fails else samples.queue("jobs", QUEUE, state="failed")
    scheduled = 0 if able.delays else samples.queue("jobs", QUEUE, state="scheduled")
    assert states(samples) == {"scheduled": scheduled, "waiting": 0, "active": 0, "failed": failed}
    assert samples.queue("depth", QUEUE) == 0
    assert finished(samples) == ended()
    for counter in ("jobs_enqueued", "job_retries"):
        assert samples.queue(f"{counter}_total", QUEUE) in (0, *([] if able.retries else [None]))
    for moment in ("oldest_waiting", "oldest_active", "last_finished"):
        assert samples.queue(f"{moment}_timestamp_seconds", QUEUE) is None


def test_depth_oldest_and_active(harness: Harness, exporter: Exporter) -> None:
    harness.add(QUEUE, 3)
    harness.start(QUEUE, 1)
    harness.add(QUEUE, 4)
    later = 2 if harness.abilities.delays else 0
    if later:
        harness.add(QUEUE, later, delay=3600)
    # What was there before, and what happens between two looks.
    for waiting, active in ((6, 1), (8, 4)):
        samples = exporter.look(*LOOKS)
        assert samples.queue("depth", QUEUE) == waiting
        assert samples.queue("jobs", QUEUE, state="waiting") == waiting
        assert samples.queue("jobs", QUEUE, state="active") == active
        assert (samples.queue("jobs", QUEUE, state="scheduled") or 0) == later
        oldest = samples.queue("oldest_waiting_timestamp_seconds", QUEUE)
        assert oldest == pytest.approx(harness.oldest_ready(QUEUE), abs=0.01)
        if harness.abilities.marks_active:
            started = samples.queue("oldest_active_timestamp_seconds", QUEUE)
            assert started == pytest.approx(harness.oldest_started(QUEUE), abs=0.01)
        harness.add(QUEUE, 5)
        harness.start(QUEUE, 3)
        later += 1 if harness.abilities.delays else 0
        if later:
            harness.add(QUEUE, 1, delay=1800)


def test_counts_are_carried_forward_by_what_changes(harness: Harness, exporter: Exporter) -> None:
    harness.add(QUEUE, 3)
    exporter.look(*LOOKS)
    harness.add(QUEUE, 4)
    harness.finish(QUEUE, harness.start(QUEUE, 2))
    samples = exporter.look("changes") if "changes" in harness.abilities.flat else exporter.look(*LOOKS)
    assert samples.queue("depth", QUEUE) == 5
    assert samples.queue("jobs_enqueued_total", QUEUE) == 4


def test_every_end_is_counted_once(harness: Harness, exporter: Exporter) -> None:
    able = harness.abilities
    harness.add(QUEUE, 12)
    before = harness.start(QUEUE, 2)
    harness.finish(QUEUE, before)  # history: before the exporter came
    exporter.look(*LOOKS)
    jobs = harness.start(QUEUE, 10)
    exporter.look("changes")
    harness.finish(QUEUE, jobs[:4])
    for _ in range(3):
        samples = exporter.look(*LOOKS)
        assert finished(samples) == ended(completed=4)
    if able.deletes:
        harness.delete(QUEUE, jobs[:4])
        assert finished(exporter.look(*LOOKS)) == ended(completed=4)
    if able.fails:
        harness.fail(QUEUE, jobs[4:5], again=False)
        samples = exporter.look(*LOOKS)
        assert finished(samples) == ended(completed=4, failed=1)
        assert samples.queue("jobs", QUEUE, state="failed") == 1
        assert samples.queue("job_errors_total", QUEUE, error="TypeError") == 1
    failures = 1 if able.fails else 0
    if able.late:
        with harness.finish_late(QUEUE, jobs[5:6]):
            harness.finish(QUEUE, jobs[6:])
            for _ in range(3):
                assert finished(exporter.look(*LOOKS)) == ended(completed=8, failed=failures)
        for _ in range(2):
            samples = exporter.look(*LOOKS)
            assert finished(samples) == ended(completed=9, failed=failures)
        if able.times:
            assert samples.queue("job_duration_seconds_count", QUEUE) == 9 + failures
            assert samples.queue("job_wait_seconds_count", QUEUE) == 9 + failures
            assert samples.queue("jobs_within_target_total", QUEUE) == 9
            now = epoch_now(harness)
            assert samples.queue("last_finished_timestamp_seconds", QUEUE) == pytest.approx(now, abs=60)
        assert samples.queue("jobs", QUEUE, state="active") == 1 - failures  # the one that was not failed
        assert samples.queue("depth", QUEUE) == 0


def test_a_job_that_is_tried_again_is_a_retry_and_no_end(harness: Harness, exporter: Exporter) -> None:
    if not harness.abilities.retries:
        assert "postwatch_queue_job_retries_total" in exporter.watch.sources[0].absent()
        return
    exporter.look(*LOOKS)
    harness.add(QUEUE)
    jobs = harness.start(QUEUE)
    exporter.look("changes")
    harness.fail(QUEUE, jobs, again=True)
    exporter.look(*LOOKS)
    (job,) = harness.start(QUEUE)
    samples = exporter.look(*LOOKS)
    assert samples.queue("job_retries_total", QUEUE) == 1
    assert finished(samples) == ended()
    assert states(samples)["active"] == 1
    harness.finish(QUEUE, [job])
    samples = exporter.look(*LOOKS)
    assert samples.queue("job_retries_total", QUEUE) == 1
    assert finished(samples) == ended(completed=1)
    assert samples.queue("jobs_enqueued_total", QUEUE) == 1


def test_a_paused_queue_says_so(harness: Harness, exporter: Exporter) -> None:
    samples = exporter.look(*LOOKS)
    if not harness.abilities.pauses:
        assert "postwatch_queue_paused" in exporter.watch.sources[0].absent()
        assert not samples.series("postwatch_queue_paused")
        return
    assert samples.queue("paused", QUEUE) == 0
    harness.pause(QUEUE, True)
    assert exporter.look(*LOOKS).queue("paused", QUEUE) == 1
    harness.pause(QUEUE, False)
    assert exporter.look(*LOOKS).queue("paused", QUEUE) == 0


def test_a_broken_queue_leaves_the_others_alone(harness: Harness, exporter: Exporter) -> None:
    harness.create("broken", "parcels")
    harness.add("broken", 2)
    harness.add("parcels", 3)
    exporter.look(*LOOKS)
    harness.ruin("broken")
    harness.add("parcels", 2)
    harness.finish("parcels", harness.start("parcels", 1))
    for kind in LOOKS * 2:
        exporter.run(kind)
    samples = exporter.samples()
    assert samples.queue("depth", "parcels") == 4
    assert finished(samples, "parcels") == ended(completed=1)
    assert samples.queue("depth", QUEUE) == 0
    assert samples.up("counts") == samples.up("changes") == 1


def test_its_cost_does_not_grow_with_ended_jobs(harness: Harness, exporter: Exporter) -> None:
    cost: dict[int, dict[str, int]] = {}
    for rows in (1_000, 200_000):
        harness.fill(QUEUE, rows - (1_000 if cost else 0))
        exporter.look(*LOOKS)  # what is done once, for tables as they are now
        cost[rows] = {}
        for kind in harness.abilities.flat:
            before = blocks(harness)
            exporter.look(kind)
            cost[rows][kind] = blocks(harness) - before
    for kind, few in cost[1_000].items():
        assert few > 0, "nothing was measured"
        assert cost[200_000][kind] <= few + SLACK, (kind, cost)


def test_it_only_reads(harness: Harness, exporter: Exporter) -> None:
    harness.add(QUEUE, 2)
    harness.finish(QUEUE, harness.start(QUEUE))
    exporter.look(*LOOKS)
    assert not [r for r in exporter.watch.sources[0].check(Run(exporter.clock, 30.0)) if r.fatal]
    with harness.database.connect() as owner:
        reader = harness.database.reader
        rights = owner.execute(
            "select distinct privilege_type from information_schema.role_table_grants where grantee = %s", [reader]
        ).fetchall()
        roles = owner.execute(
            "select r.rolname from pg_auth_members m join pg_roles r on r.oid = m.roleid where m.member = %s::regrole",
            [reader],
        ).fetchall()
    assert rights == [("SELECT",)]
    assert roles == [("pg_monitor",)]


def epoch_now(harness: Harness) -> float:
    with harness.database.connect() as owner:
        return epoch(owner, "select now()")
