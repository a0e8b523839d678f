"""What happens to jobs of pg-boss: states, ends, attempts that fail or run out of time."""

from __future__ import annotations

import pytest

from tests.integration.pgboss.reading import LOOKS, QUEUE, Bench, counters, errors, states, watched
from tests.support.jobs import epoch
from tests.support.wait import eventually


def test_states_and_priorities(bench: Bench) -> None:
    boss = bench.boss
    boss.send(QUEUE, 3)
    boss.send(QUEUE, 2, priority=7)
    boss.send(QUEUE, 4, priority=-1)
    boss.send(QUEUE, 5, startAfter=3600)
    boss.send(QUEUE, 1, startAfter=7200, priority=1)
    boss.send(QUEUE, 1, priority=1000)
    running = boss.fetch(QUEUE, 1)  # the one of the highest priority
    boss.create("reports", retryLimit=0)
    boss.send("reports", 6)
    done = boss.fetch("reports", 4)
    boss.complete("reports", done[:2])
    boss.fail("reports", done[2:3])
    boss.cancel("reports", done[3:])
    # The figures that pg-boss keeps itself are not read.
    if boss.major > 10:
        bench.owner.execute("update pgboss.queue set queued_count = 999, active_count = 999")
    samples = bench.exporter.look(*LOOKS)
    assert states(samples) == {"scheduled": 5, "waiting": 3, "active": 0, "failed": 0}
    assert states(samples, f"{QUEUE}:high") == {"scheduled": 1, "waiting": 2, "active": 1, "failed": 0}
    assert states(samples, f"{QUEUE}:low") == {"scheduled": 0, "waiting": 4, "active": 0, "failed": 0}
    assert states(samples, "reports") == {"scheduled": 0, "waiting": 2, "active": 0, "failed": 1}
    assert samples.queue("depth", QUEUE) == 3
    oldest = samples.queue("oldest_waiting_timestamp_seconds", QUEUE)
    assert oldest == pytest.approx(
        bench.epoch("min(start_after)", f"name = '{QUEUE}' and priority = 0 and start_after <= now()"), abs=0.001
    )
    started = samples.queue("oldest_active_timestamp_seconds", f"{QUEUE}:high")
    assert started == pytest.approx(bench.epoch("started_on", f"id = '{running[0]}'"), abs=0.001)
    # What ended before the exporter came is history, but its moment is told.
    ended = samples.queue("last_finished_timestamp_seconds", "reports")
    assert ended == pytest.approx(bench.epoch("max(completed_on)"), abs=0.001)
    assert counters(samples, "reports") == {}
    assert samples.queue("target_seconds", f"{QUEUE}:high") == 10
    for state in ("scheduled", "waiting", "active", "failed"):
        counted = samples.queue("counted_timestamp_seconds", QUEUE, state=state)
        assert counted == pytest.approx(epoch(bench.owner, "select now()"), abs=20)


def test_what_happens_to_jobs(bench: Bench) -> None:
    boss, exporter = bench.boss, bench.exporter
    history = boss.send(QUEUE, 2)
    boss.complete(QUEUE, boss.fetch(QUEUE, 1))
    exporter.look(*LOOKS)

    # Two complete at once; one waited 90 seconds before it was run, one ran for 40.
    boss.send(QUEUE, 3)
    jobs = boss.fetch(QUEUE, 4)
    assert history[1] in jobs
    bench.change("start_after = started_on - interval '90 s'", f"id = '{jobs[1]}'")
    bench.change("started_on = started_on - interval '40 s', start_after = started_on - interval '40 s'",
                 f"id = '{jobs[2]}'")  # fmt: skip
    boss.complete(QUEUE, jobs[:3])
    samples = exporter.look(*LOOKS)
    assert counters(samples) == {
        "jobs_enqueued": 3, "completed": 3, "jobs_within_target": 2, "durations": 3, "waits": 3
    }  # fmt: skip
    assert samples.queue("job_duration_seconds_sum", QUEUE) == pytest.approx(40, abs=3)
    assert samples.queue("job_wait_seconds_sum", QUEUE) == pytest.approx(90, abs=5)
    assert states(samples) == {"scheduled": 0, "waiting": 0, "active": 1, "failed": 0}

    # A failed attempt is a retry, put off by a minute; the job is tried again, fails, and is given up.
    bench.change("retry_limit = 1, retry_delay = 60", f"id = '{jobs[3]}'")
    boss.fail(QUEUE, jobs[3:], "SMTPServerDisconnected", "bye bob@example.com")
    samples = exporter.look(*LOOKS)
    assert samples.queue("job_retries_total", QUEUE) == 1
    assert errors(samples) == {"SMTPServerDisconnected": 1}
    assert states(samples)["scheduled"] == 1
    bench.change("start_after = now() - interval '1 s'", f"id = '{jobs[3]}'")
    samples = exporter.look(*LOOKS)
    assert states(samples)["waiting"] == 1
    oldest = samples.queue("oldest_waiting_timestamp_seconds", QUEUE)
    assert oldest == pytest.approx(bench.epoch("created_on", f"id = '{jobs[3]}'"), abs=0.001)
    assert boss.fetch(QUEUE) == jobs[3:]
    samples = exporter.look(*LOOKS)
    assert samples.queue("job_retries_total", QUEUE) == 1
    boss.fail(QUEUE, jobs[3:])
    samples = exporter.look(*LOOKS)
    expected = {"jobs_enqueued": 3, "completed": 3, "jobs_within_target": 2, "durations": 4, "waits": 4,
                "job_retries": 1, "failed": 1}  # fmt: skip
    assert counters(samples) == expected
    assert errors(samples) == {"SMTPServerDisconnected": 1, "TypeError": 1}
    assert states(samples) == {"scheduled": 0, "waiting": 0, "active": 0, "failed": 1}

    # One is cancelled before it ran, and one that ran.
    waits, runs = boss.send(QUEUE, 2)
    assert boss.fetch(QUEUE) == [waits]
    boss.cancel(QUEUE, [waits, runs])
    samples = exporter.look(*LOOKS)
    assert counters(samples) == {**expected, "jobs_enqueued": 5, "cancelled": 2, "durations": 5, "waits": 5}
    # Rows that are touched after their end, or deleted, change nothing.
    bench.change("output = '{\"scrubbed\": true}'", "state = 'completed'")
    assert counters(exporter.look(*LOOKS)) == counters(samples)
    boss.delete(QUEUE, jobs[:2])
    assert counters(exporter.look(*LOOKS)) == counters(samples)


def test_attempts_that_run_out_of_time(bench: Bench) -> None:
    boss, exporter = bench.boss, bench.exporter
    boss.send(QUEUE, 1, retryLimit=1, expireInSeconds=60)
    (job,) = boss.fetch(QUEUE)
    exporter.look(*LOOKS)
    for retries, failed in ((1, 0), (1, 1)):
        bench.change("started_on = started_on - interval '5 minutes'", f"id = '{job}'")
        samples = exporter.look(*LOOKS)
        bench.supervise(QUEUE)
        samples = exporter.look(*LOOKS)
        assert samples.queue("job_timeouts_total", QUEUE) == retries + failed
        assert samples.queue("job_retries_total", QUEUE) == retries
        assert samples.queue("jobs_finished_total", QUEUE, outcome="failed") == failed
        assert errors(samples) == {"JobTimeout": retries + failed}
        assert boss.fetch(QUEUE) == ([job] if not failed else [])
    assert states(exporter.look(*LOOKS)) == {"scheduled": 0, "waiting": 0, "active": 0, "failed": 1}


def test_a_running_job_past_its_time_limit_is_stuck(bench: Bench) -> None:
    bench.boss.send(QUEUE, 2)
    jobs = bench.boss.fetch(QUEUE, 2)
    assert bench.exporter.look(*LOOKS).queue("stuck_jobs", QUEUE) == 0
    bench.change("started_on = now() - interval '121 s'", f"id = '{jobs[0]}'")
    # Running jobs are all read again when the exporter looks at them for the first time, or after 30 seconds.
    with watched(bench.database) as fresh:
        assert fresh.look(*LOOKS).queue("stuck_jobs", QUEUE) == 1


def test_a_running_job_past_the_limit_of_pgboss_itself_is_stuck(bench: Bench) -> None:
    boss = bench.boss
    boss.create("reports")  # no limit is configured for it
    (short,) = boss.send("reports", 1, expireInSeconds=60)
    boss.send("reports", 2, expireInSeconds=600)
    assert len(boss.fetch("reports", 3)) == 3
    with watched(bench.database) as fresh:
        assert fresh.look(*LOOKS).queue("stuck_jobs", "reports") == 0
    bench.change("started_on = now() - interval '61 s'", "name = 'reports'")
    with watched(bench.database) as fresh:
        assert fresh.look(*LOOKS).queue("stuck_jobs", "reports") == 1
        # What is read of it again, as long as it is the same attempt, takes nothing of that back.
        assert fresh.look("changes").queue("stuck_jobs", "reports") == 1
        boss.complete("reports", [short])
        assert fresh.look("changes").queue("stuck_jobs", "reports") == 0


@pytest.mark.parametrize("bench", ["12@18"], indirect=True)
def test_a_job_without_a_heartbeat_is_stuck(bench: Bench) -> None:
    boss = bench.boss
    boss.create("reports")
    boss.send("reports", 3, heartbeatSeconds=30)
    jobs = boss.fetch("reports", 3)
    bench.change("heartbeat_on = now() - interval '31 s'", f"id = '{jobs[0]}'")
    bench.change("heartbeat_on = now() - interval '10 s'", f"id = '{jobs[1]}'")
    with watched(bench.database) as fresh:
        assert fresh.look(*LOOKS).queue("stuck_jobs", "reports") == 1


@pytest.mark.parametrize("bench", ["11@15", "12@15"], indirect=True)
def test_a_failed_job_put_back_counts_again(bench: Bench) -> None:
    boss, exporter = bench.boss, bench.exporter
    exporter.look(*LOOKS)
    (job,) = boss.send(QUEUE, 1, retryLimit=0)
    boss.fail(QUEUE, boss.fetch(QUEUE))
    assert counters(exporter.look(*LOOKS))["failed"] == 1
    boss.retry(QUEUE, [job])
    samples = exporter.look(*LOOKS)
    assert states(samples) == {"scheduled": 0, "waiting": 1, "active": 0, "failed": 0}
    bench.change("retry_limit = retry_count + 1", f"id = '{job}'")
    assert boss.fetch(QUEUE) == [job]
    bench.change("retry_limit = retry_count", f"id = '{job}'")
    boss.fail(QUEUE, [job])
    assert counters(exporter.look(*LOOKS))["failed"] == 2


@pytest.mark.parametrize("bench", ["10@15", "12@18"], indirect=True)
def test_workers_of_an_application(bench: Bench) -> None:
    boss, exporter = bench.boss, bench.exporter
    boss.create("throws", retryLimit=0)
    exporter.look(*LOOKS)
    boss.send(QUEUE, 3)
    boss.send("throws", 2)
    boss.work(QUEUE)
    boss.work("throws", "throw")

    def all_ended() -> None:
        samples = exporter.look(*LOOKS)
        assert samples.queue("jobs_finished_total", QUEUE, outcome="completed") == 3
        assert samples.queue("jobs_finished_total", "throws", outcome="failed") == 2
        assert errors(samples, "throws") == {"TypeError": 2}
        assert samples.queue("job_duration_seconds_count", QUEUE) == 3

    eventually(all_ended, within=30, every=0.2)
    boss.stop_work(QUEUE)
    boss.stop_work("throws")
