"""Queues of pg-boss and what it does with them: dead letters, expiry, policies, jobs that wait for others."""

from __future__ import annotations

import pytest

from tests.integration.pgboss.reading import LOOKS, QUEUE, Bench, counters, states, watched


def test_dead_letters(bench: Bench) -> None:
    boss, exporter = bench.boss, bench.exporter
    boss.create("letters_dlq")
    boss.create("letters", deadLetter="letters_dlq", retryLimit=0)
    samples = exporter.look(*LOOKS)
    assert samples.by("queue", "postwatch_queue_dead_letters") == {"letters": 0}
    boss.send("letters", 3)
    boss.fail("letters", boss.fetch("letters", 3))
    samples = exporter.look(*LOOKS)
    assert samples.by("queue", "postwatch_queue_dead_letters") == {"letters": 3}
    assert samples.queue("depth", "letters_dlq") == 3
    assert samples.queue("jobs_enqueued_total", "letters_dlq") == 3
    assert samples.queue("jobs_finished_total", "letters", outcome="failed") == 3
    boss.complete("letters_dlq", boss.fetch("letters_dlq", 2))
    assert exporter.look(*LOOKS).by("queue", "postwatch_queue_dead_letters") == {"letters": 1}


def test_dead_letters_that_cannot_be_told_apart_are_not_told(bench: Bench) -> None:
    """Queues that came too late are told of together: how many of those jobs are whose nobody knows then."""
    boss = bench.boss
    boss.create("z_dlq")
    boss.create("letters", deadLetter="z_dlq", retryLimit=0)
    boss.send("letters", 3)
    boss.fail("letters", boss.fetch("letters", 3))
    (queues,) = bench.owner.execute("select count(*) from pgboss.queue").fetchone() or (0,)
    # One of them has two priorities in the configuration; the last by its name is z_dlq.
    for room, told in ((queues + 1, {"letters": 3}), (queues, {})):
        with watched(bench.database, max_queues=room) as fresh:
            samples = fresh.look(*LOOKS)
            assert samples.by("queue", "postwatch_queue_dead_letters") == told
            assert samples.queue("depth", "letters") == 0


def test_when_the_first_waiting_job_will_be_deleted(bench: Bench) -> None:
    boss, exporter = bench.boss, bench.exporter
    assert exporter.look(*LOOKS).queue("next_expiry_timestamp_seconds", QUEUE) is None
    first, _ = boss.send(QUEUE, 2)
    boss.send(QUEUE, 1, startAfter=60)
    bench.change("keep_until = now() + interval '1 hour'", f"id = '{first}'")
    bench.change("keep_until = now() + interval '1 minute'", "start_after > now()")
    found = exporter.look(*LOOKS).queue("next_expiry_timestamp_seconds", QUEUE)
    assert found == pytest.approx(bench.epoch("keep_until", f"id = '{first}'"), abs=0.001)
    bench.change("keep_until = now() - interval '1 s'", f"id = '{first}'")
    exporter.look(*LOOKS)
    bench.supervise(QUEUE)
    samples = exporter.look(*LOOKS)
    assert samples.queue("depth", QUEUE) == 1
    expired = samples.queue("jobs_finished_total", QUEUE, outcome="expired")
    assert expired == (1 if boss.major == 10 else 0)  # later ones leave no trace


def test_jobs_that_pgboss_keeps_from_being_many(bench: Bench) -> None:
    boss, exporter = bench.boss, bench.exporter
    boss.create("one", policy="singleton")
    boss.create("short", policy="short")
    exporter.look(*LOOKS)
    boss.send("one", 3)
    assert boss.fetch("one") != []
    # One runs; the others wait, though their turn cannot come before it has ended.
    assert boss.send("short", 3)[1:] == [None, None]
    assert boss.send_debounced(QUEUE, 3600, "a")
    assert boss.send_debounced(QUEUE, 3600, "a")  # in the next hour
    assert boss.send_debounced(QUEUE, 3600, "a") is None
    samples = exporter.look(*LOOKS)
    assert states(samples, "one") == {"scheduled": 0, "waiting": 2, "active": 1, "failed": 0}
    assert states(samples, "short") == {"scheduled": 0, "waiting": 1, "active": 0, "failed": 0}
    assert states(samples) == {"scheduled": 1, "waiting": 1, "active": 0, "failed": 0}
    for queue, enqueued in (("one", 3), ("short", 1), (QUEUE, 2)):
        assert samples.queue("jobs_enqueued_total", queue) == enqueued


@pytest.mark.parametrize("bench", ["12@15"], indirect=True)
def test_jobs_that_wait_for_others_are_no_depth(bench: Bench) -> None:
    boss, exporter = bench.boss, bench.exporter
    exporter.look(*LOOKS)
    boss.flow([{"ref": "a", "name": QUEUE}, {"ref": "b", "name": QUEUE, "dependsOn": ["a"]}])
    for looks in (("changes",), LOOKS):
        samples = exporter.look(*looks)
        assert states(samples) == {"scheduled": 0, "waiting": 1, "active": 0, "failed": 0}
        assert samples.queue("jobs_enqueued_total", QUEUE) == 2
    (first,) = boss.fetch(QUEUE, 2)
    boss.complete(QUEUE, [first])
    bench.change("blocked = false, pending_dependencies = 0", "blocked")  # as pg-boss does in the background
    samples = exporter.look(*LOOKS)
    assert states(samples) == {"scheduled": 0, "waiting": 1, "active": 0, "failed": 0}
    boss.complete(QUEUE, boss.fetch(QUEUE))
    assert counters(exporter.look(*LOOKS))["completed"] == 2
    assert samples.queue("jobs_enqueued_total", QUEUE) == 2


@pytest.mark.parametrize("bench", ["11@15", "12@18"], indirect=True)
def test_a_queue_with_a_table_of_its_own_that_comes_and_goes(bench: Bench) -> None:
    boss, exporter = bench.boss, bench.exporter
    exporter.look(*LOOKS)
    boss.create("big", partition=True)
    boss.send("big", 3)
    boss.complete("big", boss.fetch("big"))
    boss.send(QUEUE, 1)
    samples = exporter.look(*LOOKS)
    assert states(samples, "big") == {"scheduled": 0, "waiting": 2, "active": 0, "failed": 0}
    assert samples.queue("jobs_finished_total", "big", outcome="completed") == 1
    bench.owner.execute("delete from pgboss.job where name = 'big'")
    boss.delete_queue("big")
    samples = exporter.look(*LOOKS)
    assert samples.queue("depth", "big") is None
    assert samples.queue("jobs_finished_total", "big", outcome="completed") == 1
    assert states(samples) == {"scheduled": 0, "waiting": 1, "active": 0, "failed": 0}
