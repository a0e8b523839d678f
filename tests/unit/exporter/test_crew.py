"""Workers that come, fall silent and are forgotten."""

from chassis.clock import ManualClock
from exporter.queues.base import SourceHealth
from exporter.queues.hybrid.heartbeats import Report
from exporter.queues.hybrid.workers import Crew

NOW = 1_800_000_000.0


def crew() -> Crew:
    return Crew(dead_after=60, forget_after=900, error_limit=0.05, expected=3)


def finished(of: Crew, now: float, running: tuple[str, ...] = ()) -> dict[str, float]:
    """Completed jobs by worker."""
    clock = ManualClock(now)
    return {
        reading.labels["worker"]: float(reading.value)
        for reading in of.take_stock(running, {}, SourceHealth(), clock)
        if reading.metric == "postwatch_worker_jobs_finished_total"
        and reading.labels["outcome"] == "completed"
        and isinstance(reading.value, int | float)
    }


def test_nobody_is_gone_because_redis_is_silent() -> None:
    one = crew()
    one.report({"w1": Report(heartbeat=NOW - 5)}, NOW)
    # Whatever the time is now: Redis was not asked since, and then it lived.
    assert not one.is_gone("w1", NOW - 100)
    one.report({"w1": Report(heartbeat=NOW - 5)}, NOW + 100)
    assert one.is_gone("w1", NOW - 100)


def test_who_started_before_the_next_look_is_not_gone() -> None:
    one = crew()
    one.report({"w1": Report(heartbeat=NOW)}, NOW)
    assert not one.is_gone("new", NOW + 1)
    assert not one.is_gone("new", NOW - 59)
    assert one.is_gone("new", NOW - 61)
    assert not one.is_gone("new", None)
    one.forget(NOW, ["new"])
    assert one.is_gone("new", None), "Redis was asked for it"


def test_a_worker_known_by_its_rows_keeps_its_counters_while_it_is_idle() -> None:
    one = crew()
    one.ended("w1", "completed", NOW - 3, NOW)
    assert finished(one, NOW) == {"w1": 1}
    assert finished(one, NOW + 899) == {"w1": 1}
    assert one.states(NOW + 899) == {"active": 1, "paused": 0, "draining": 0, "dead": 0}
    one.ended("w1", "completed", NOW + 890, NOW + 899)
    assert finished(one, NOW + 1_700) == {"w1": 2}
    assert finished(one, NOW + 1_800) == {}


def test_a_long_job_keeps_its_worker_and_ends_with_it() -> None:
    one = crew()
    one.ended("w1", "completed", NOW - 3, NOW)
    assert finished(one, NOW + 5_000, ("w1",)) == {"w1": 1}
    assert finished(one, NOW + 5_800) == {"w1": 1}


def test_a_worker_without_any_key_is_dead_where_others_have_heartbeats() -> None:
    one = crew()
    one.report({"w1": Report(named=True), "w2": Report(named=True)}, NOW)
    assert one.states(NOW) == {"active": 2, "paused": 0, "draining": 0, "dead": 0}
    one = crew()
    for seconds in range(0, 1_000, 100):
        now = NOW + seconds
        one.report({"w1": Report(heartbeat=now, named=True), "w2": Report(named=True)}, now)
        one.forget(now, [])
        assert one.states(now)["dead"] == (1 if seconds <= 900 else 0), seconds
    one.report({"w1": Report(heartbeat=NOW), "w2": Report(heartbeat=NOW + 1_000, named=True)}, NOW + 1_000)
    assert one.states(NOW + 1_000)["active"] == 1, "it came back"


def test_a_row_does_not_bring_a_forgotten_worker_back() -> None:
    one = crew()
    one.report({"w1": Report(heartbeat=NOW)}, NOW)
    one.report({}, NOW + 1_000)
    for _ in range(2):
        one.forget(NOW + 1_000, ["w1"])
        assert sum(one.states(NOW + 1_000).values()) == 0


def test_without_redis_rows_tell_who_runs_what() -> None:
    one, clock, health = crew(), ManualClock(NOW), SourceHealth()
    found = {(r.metric, r.labels.get("worker")): r.value for r in one.take_stock(["w1", "w1", "w2"], {}, health, clock)}
    assert found["postwatch_worker_jobs_running", "w1"] == 2
    assert found["postwatch_worker_jobs_running", "w2"] == 1
    assert found["postwatch_workers_expected", None] == 3
    assert ("postwatch_worker_restarts_total", "w1") not in found
    assert health.workers["active"] == 2
    assert health.workers_at == clock.monotonic()
