"""`postwatch-demo --check`: one quick loop, then the exporter's figures against what the workload knows."""

import time
from collections.abc import Callable

from rich.console import Console

from demo.platform import WORKERS, Platform
from demo.process import ServerError
from demo.queues import ANALYTICS, HIGH, LOW, NORMAL, QUEUES, WARMUP
from demo.scrape import NoMetrics, Scrape, scrape
from demo.stage import Pace, Stage
from demo.workload import (
    CANCELLED,
    EXPIRED_LIST,
    LONG_JOBS,
    SCHEDULED,
    WARMUP_TARGET,
    Expected,
    cancel_some,
    confuse_redis,
    first_jobs,
    lasting_jobs,
    queue_labels,
    truth_of,
)

CHECK_PACE = Pace(
    interval="1s", slow="1s", budget="100%", dead_after="4s", warmup_target=f"{WARMUP_TARGET:.0f}s"
)
_TARGETS = {
    HIGH.key: 60.0,
    NORMAL.key: 300.0,
    LOW.key: 1800.0,
    ANALYTICS.key: 3600.0,
    WARMUP.key: WARMUP_TARGET,
}
_NOTICED_WITHIN = 10.0  # seconds: what metrics.md promises for depth, and enough for two looks at drift

_Result = tuple[str, Expected, float | None]


def check(stage: Stage, console: Console) -> int:
    """0 if every figure is right, else 1; prints all of them."""
    results: list[_Result] = []
    with Platform(stage.postgres, stage.store, seed=1, retry_after=(0.2, 0.5)) as platform:
        scenes: list[tuple[str, Callable[[], object], Callable[[], list[Expected]]]] = [
            ("before", lambda: None, _workers_expected),
            ("work", lambda: _work(platform), lambda: _after_work(platform)),
            ("confusion", lambda: confuse_redis(platform), _after_confusion),
            ("expiry", lambda: platform.let_expire(LOW, 1), _after_expiry),
            ("worker-death", lambda: platform.kill_worker(WORKERS[1]), _after_death),
        ]
        for name, act, expected in scenes:
            console.print(f"Scene {name} …", highlight=False)
            act()
            if platform.problem:
                raise ServerError(platform.problem)
            results += _compare(stage, name, expected())
    return _report(console, results)


def _work(platform: Platform) -> None:
    """Returns when all that can end has ended."""
    platform.producer.add(first_jobs())
    _until(
        "the first jobs end",
        platform,
        lambda: _enqueued(platform) == len(first_jobs()) and not platform.ledger.open,
    )
    platform.held.update((LOW.key, HIGH.key))
    time.sleep(1)  # longer than a worker that is already waiting at these lists stays there
    platform.producer.add(lasting_jobs())
    left = len(lasting_jobs())
    _until("the lasting jobs are in", platform, lambda: platform.ledger.open == left)
    cancel_some(platform, ANALYTICS, CANCELLED)

    def handed_over() -> bool:
        with platform.connect() as db:
            row = db.execute("select count(*) from jobs where status = 'migrated_to_redis'").fetchone()
            running = db.execute("select count(*) from jobs where status = 'running'").fetchone()
        return row == (EXPIRED_LIST,) and running == (LONG_JOBS,)

    _until("the lasting jobs stand where they should", platform, handed_over)


def _enqueued(platform: Platform) -> int:
    return sum(tally.enqueued for tally in platform.ledger.queues.values())


def _until(what: str, platform: Platform, check: Callable[[], bool], within: float = 20.0) -> None:
    end = time.monotonic() + within
    while not check():
        if platform.problem or time.monotonic() > end:
            raise ServerError(
                platform.problem or f"the workload itself is at fault: {what} not within {within:.0f} s"
            )
        time.sleep(0.05)


def _workers_expected() -> list[Expected]:
    return [
        Expected.exactly("postwatch_workers", 3, state="active"),
        Expected.exactly("postwatch_workers", 0, state="dead"),
        Expected.exactly("postwatch_workers_expected", 3),
        Expected.exactly("postwatch_workers_healthy", 3),
        Expected.exactly("postwatch_queue_jobs_enqueued_total", 0),
        Expected.exactly("postwatch_queue_jobs_finished_total", 0),
        *[Expected.exactly("postwatch_queue_depth", 0, **queue_labels(queue)) for queue in QUEUES],
    ]


def _after_work(platform: Platform) -> list[Expected]:
    ledger = platform.ledger
    expected = [
        one for queue in QUEUES for one in truth_of(queue, ledger.queues[queue.key], _TARGETS[queue.key])
    ]
    stored_failed = {LOW.key: 2, ANALYTICS.key: 5}
    for queue in QUEUES:
        labels = queue_labels(queue)
        waiting = EXPIRED_LIST if queue is LOW else 0
        states = {
            "waiting": waiting,
            "active": LONG_JOBS if queue is NORMAL else 0,
            "scheduled": SCHEDULED - CANCELLED if queue is ANALYTICS else 0,
            "failed": stored_failed.get(queue.key, 0),
        }
        expected.append(Expected.exactly("postwatch_queue_depth", waiting, **labels))
        expected += [
            Expected.exactly("postwatch_queue_jobs", count, state=state, **labels)
            for state, count in states.items()
        ]
    now = time.time()
    oldest = "postwatch_queue_oldest_waiting_timestamp_seconds"
    return [
        *expected,
        Expected(oldest, queue_labels(LOW), now - 30, now),
        Expected(oldest, queue_labels(HIGH), None, None),
        Expected.exactly("postwatch_queue_redis_length", EXPIRED_LIST, **queue_labels(LOW)),
        Expected.exactly("postwatch_queue_handed_over_jobs", EXPIRED_LIST, **queue_labels(LOW)),
        Expected.exactly("postwatch_queue_dead_letters", sum(stored_failed.values())),
        Expected.exactly("postwatch_queue_drift_jobs", 0),
        Expected.exactly("postwatch_queue_paused", 0),
        Expected.exactly("postwatch_worker_jobs_running", LONG_JOBS),
        Expected.exactly("postwatch_worker_capacity", 12),
        *[
            Expected.exactly("postwatch_worker_jobs_finished_total", count, worker=worker, outcome=outcome)
            for (worker, outcome), count in sorted(ledger.workers.items())
        ],
    ]


def _after_confusion() -> list[Expected]:
    drift = "postwatch_queue_drift_jobs"
    return [
        Expected.exactly(drift, 2, kind="expired", **queue_labels(LOW)),
        Expected.exactly(drift, 1, kind="missing_in_postgres", **queue_labels(HIGH)),
        Expected.exactly(drift, 0, kind="missing_in_redis"),
        Expected.exactly("postwatch_queue_depth", 0, **queue_labels(HIGH)),
    ]


def _after_expiry() -> list[Expected]:
    labels = queue_labels(LOW)
    return [
        Expected.exactly("postwatch_queue_drift_jobs", EXPIRED_LIST, kind="missing_in_redis", **labels),
        Expected.exactly("postwatch_queue_redis_length", 0, **labels),
        Expected.exactly("postwatch_queue_handed_over_jobs", EXPIRED_LIST, **labels),
        Expected.exactly("postwatch_queue_depth", EXPIRED_LIST, **labels),
    ]


def _after_death() -> list[Expected]:
    return [
        Expected.exactly("postwatch_workers", 2, state="active"),
        Expected.exactly("postwatch_workers", 1, state="dead"),
    ]


def _compare(stage: Stage, scene: str, expected: list[Expected]) -> list[_Result]:
    """The first look that shows all as expected, else the last one in time."""
    end = time.monotonic() + _NOTICED_WITHIN
    seen: Scrape | None = None
    while True:
        problem = stage.problem()
        if problem:
            raise ServerError(problem)
        try:
            seen = scrape(stage.url)
        except NoMetrics as error:
            if time.monotonic() > end:
                raise ServerError(str(error)) from error
        if seen is not None:
            results = [(scene, one, seen.value(one.metric, **one.labels)) for one in expected]
            if all(one.met_by(value) for _, one, value in results) or time.monotonic() > end:
                return results
        time.sleep(0.1)


def _report(console: Console, results: list[_Result]) -> int:
    wrong = 0
    for scene, one, value in results:
        right = one.met_by(value)
        wrong += not right
        labels = ",".join(f'{name}="{text}"' for name, text in one.labels.items())
        mark = "ok   " if right else "WRONG"
        console.print(
            f"{mark} {scene:<13}{one.metric}{{{labels}}}: expected {_range(one)}, seen {_number(value)}",
            style=None if right else "bold red",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
    console.print(
        f"{len(results)} figures compared with the truth: all right."
        if not wrong
        else f"{wrong} of {len(results)} figures are wrong.",
        highlight=False,
    )
    return 1 if wrong else 0


def _range(one: Expected) -> str:
    if one.low == one.high:
        return _number(one.low)
    return f"{_number(one.low)} to {_number(one.high)}"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.10g}"
