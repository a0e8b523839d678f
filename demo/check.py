"""`postwatch-demo --check`: one quick loop, then the exporter's figures against what the workload knows."""

import time
from collections.abc import Callable

from rich.console import Console

from demo.platform import WORKERS, Platform
from demo.process import ServerError
from demo.queues import ANALYTICS, HIGH, LOW, NORMAL
from demo.scrape import NoMetrics, Scrape, scrape
from demo.stage import Pace, Stage
from demo.truth import (
    Expected,
    after_api_broke,
    after_confusion,
    after_death,
    after_expiry,
    after_outside_is_well,
    after_revival,
    after_trouble_outside,
    after_use_of_neighbours,
    after_work,
    before_expiry,
    before_work,
)
from demo.workload import (
    CANCELLED,
    EXPIRED_LIST,
    EXPIRY,
    LONG_JOBS,
    WARMUP_TARGET,
    cancel_some,
    confuse_redis,
    first_jobs,
    lasting_jobs,
    use_neighbours,
)

CHECK_PACE = Pace(interval="1s", slow="1s", budget="100%", dead_after="4s", warmup_target=f"{WARMUP_TARGET:.0f}s")
_NOTICED_WITHIN = 10.0  # seconds: what metrics.md promises for depth, and enough for two looks at drift

_TOLD_WITHIN = 60.0  # seconds: from trouble to a page
_LISTED, _API_DOWN = "An address is on a critical blocklist", "A service is down"
# Who has to be told of what, when an address is listed and the API is down.
_TELLINGS = (
    ("PagerDuty, on call", _LISTED),
    ("PagerDuty, on call", _API_DOWN),
    ("Slack, #ops-alerts", _LISTED),
    ("Slack, #ops-alerts", _API_DOWN),
)

_Result = tuple[str, Expected, float | None]
_Message = tuple[str, str, str]  # whom, of what, and the words that arrived; none: nothing did


def check(stage: Stage, console: Console) -> int:
    """0 if every figure is right, else 1; prints all of them."""
    results: list[_Result] = []
    messages: list[_Message] = []
    # A retry shows in its row alone, so it has to last longer than the exporter needs to look twice.
    with Platform(stage.postgres, stage.store, stage.outside, seed=1, retry_after=(1.8, 2.2)) as platform:
        scenes: list[tuple[str, Callable[[], object], Callable[[], list[Expected]]]] = [
            ("before", lambda: None, before_work),
            ("work", lambda: _work(platform), lambda: after_work(platform)),
            ("confusion", lambda: confuse_redis(platform), after_confusion),
            ("expiry-ahead", lambda: platform.let_expire(LOW, EXPIRY), before_expiry),
            # Both take their time to be noticed, so they happen at once.
            ("losses", lambda: _lose_list_and_worker(platform), lambda: _after_losses(platform)),
            ("revival", lambda: _revive(platform), lambda: after_revival(platform)),
            ("neighbours", lambda: use_neighbours(platform), after_use_of_neighbours),
            ("outside", lambda: _trouble_outside(platform), lambda: after_trouble_outside(platform)),
            ("api-down", platform.break_api, after_api_broke),
            ("well-again", platform.outside_as_ever, after_outside_is_well),
        ]
        for name, act, expected in scenes:
            console.print(f"Scene {name} …", highlight=False)
            act()
            if platform.problem:
                raise ServerError(platform.problem)
            results += _compare(stage, name, expected())
            if name == "api-down":
                messages = _messages(stage)
    return _report(console, results, messages)


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
            raise ServerError(platform.problem or f"the workload itself is at fault: {what} not within {within:.0f} s")
        time.sleep(0.05)


def _lose_list_and_worker(platform: Platform) -> None:
    platform.kill_worker(_busiest(platform))
    with platform.store() as store:
        _until("the list expires", platform, lambda: not store.exists(LOW.key))


def _after_losses(platform: Platform) -> list[Expected]:
    return [*after_expiry(), *after_death(platform, _dead(platform))]


def _busiest(platform: Platform) -> str:
    """The worker that runs most of the long jobs."""
    with platform.connect() as db:
        row = db.execute(
            "select worker_id from jobs where status = 'running' group by 1 order by count(*) desc, 1 limit 1"
        ).fetchone()
    return str(row[0]) if row else WORKERS[0]


def _dead(platform: Platform) -> str:
    return next(worker for worker in WORKERS if not platform.lives(worker))


def _revive(platform: Platform) -> None:
    platform.revive_worker(_dead(platform))
    _until(
        "the lost jobs are given back",
        platform,
        lambda: "WorkerLost" in platform.ledger.queues[NORMAL.key].errors,
    )


def _trouble_outside(platform: Platform) -> None:
    platform.slow_down(api=0.7, mail=1.2)
    platform.list_sender()


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


def _messages(stage: Stage) -> list[_Message]:
    """Of each that has to arrive, what arrived in time."""
    if stage.alarms is None:
        return []
    people = stage.alarms.people
    end = time.monotonic() + _TOLD_WITHIN
    while True:
        people.look()
        found = [
            (whom, what, next((line.what for line in people.lines if line.whom == whom and what in line.what), ""))
            for whom, what in _TELLINGS
        ]
        if all(words for _, _, words in found) or time.monotonic() > end:
            return found
        if problem := stage.problem():
            raise ServerError(problem)
        time.sleep(0.1)


def _report(console: Console, results: list[_Result], messages: list[_Message]) -> int:
    wrong = [0, 0]
    for scene, one, value in results:
        right = one.met_by(value)
        wrong[0] += not right
        labels = ",".join(f'{name}="{text}"' for name, text in one.labels.items())
        text = f"{one.metric}{{{labels}}}: expected {_range(one)}, seen {_number(value)}"
        _print(console, scene, text, right=right)
    for whom, what, words in messages:
        wrong[1] += not words
        _print(console, "messages", f"{whom}: {words or f'nothing that says: {what}'}", right=bool(words))
    console.print(
        f"{len(results)} figures compared with the truth: all right. {len(messages)} messages arrived."
        if not any(wrong)
        else f"{wrong[0]} of {len(results)} figures are wrong, {wrong[1]} of {len(messages)} messages are missing.",
        highlight=False,
    )
    return 1 if any(wrong) else 0


def _print(console: Console, scene: str, text: str, *, right: bool) -> None:
    console.print(
        f"{'ok   ' if right else 'WRONG'} {scene:<13}{text}",
        style=None if right else "bold red",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def _range(one: Expected) -> str:
    if one.low == one.high:
        return _number(one.low)
    return f"{_number(one.low)} to {_number(one.high)}"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.10g}"
