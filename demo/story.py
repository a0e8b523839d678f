"""What happens on the platform: scenes that follow one another for ever."""

import contextlib
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

import psycopg
import redis

from demo.platform import Platform
from demo.queues import ANALYTICS, DIVISION, HIGH, LOW, NORMAL, WARMUP, NewJob

_Script = Callable[[Platform], Generator["Beat"]]


@dataclass(frozen=True)
class Beat:
    """A stretch of a scene: how long it lasts, what to look for, and the metric that shows it."""

    seconds: float
    look: str
    metric: str


@dataclass(frozen=True)
class Scene:
    name: str
    title: str
    script: _Script


def _campaign(platform: Platform) -> Generator[Beat]:
    make = platform.producer.draw
    platform.producer.add([*make(HIGH, 120), *make(NORMAL, 700), *make(LOW, 250)])
    yield Beat(
        30,
        "A customer launched a campaign: email-sending is over a thousand jobs deep. The oldest waits longer"
        " and longer; high priority drains first.",
        'postwatch_queue_depth{queue="email-sending"}',
    )
    yield Beat(
        70,  # as long as they need for it
        "Three workers with room for four jobs each work it off. Depth over throughput is the time to drain.",
        'rate(postwatch_queue_jobs_finished_total{queue="email-sending"}[1m])',
    )


def _analytics(platform: Platform) -> Generator[Beat]:
    platform.producer.set_broken(ANALYTICS, DIVISION)
    platform.producer.set_rate(ANALYTICS, 1.2)
    try:
        yield Beat(
            15,
            "Since the last release every daily aggregate divides by zero. First come retries: nothing has"
            " failed yet, but errors are counted by class.",
            'postwatch_queue_job_errors_total{error="ZeroDivisionError"}',
        )
        yield Beat(
            25,
            "After the last attempt the jobs fail for good and go to the dead letters.",
            'postwatch_queue_jobs_finished_total{outcome="failed"} or postwatch_queue_dead_letters',
        )
    finally:
        platform.producer.set_broken(ANALYTICS, None)
        platform.producer.set_rate(ANALYTICS, ANALYTICS.per_second)


def _expiry(platform: Platform) -> Generator[Beat]:
    platform.held.add(WARMUP.key)
    platform.producer.add(platform.producer.draw(WARMUP, 40))
    try:
        yield Beat(
            8,
            "Nobody takes from warmup:process for a while.",
            'postwatch_queue_depth{queue="warmup:process"}',
        )
        platform.producer.set_rate(WARMUP, 0)
        platform.let_expire(WARMUP, 12)
        yield Beat(
            12,
            "Somebody set EXPIRE on the list queue:warmup:process: all its jobs will be lost at once, and it"
            " can be told before.",
            "postwatch_queue_next_expiry_timestamp_seconds - time()",
        )
        yield Beat(
            22,
            "The list is gone. PostgreSQL still calls the jobs handed over, so nobody will ever run them:"
            " that is drift.",
            'postwatch_queue_drift_jobs{kind="missing_in_redis"}',
        )
    finally:
        platform.hand_over_again(WARMUP)
        platform.producer.set_rate(WARMUP, WARMUP.per_second)
        platform.held.discard(WARMUP.key)
    yield Beat(10, "The lost jobs were handed over again; the drift ends.", "postwatch_queue_drift_jobs")


def _worker_death(platform: Platform) -> Generator[Beat]:
    platform.producer.add([NewJob(NORMAL, 6.0)] * 12)
    yield Beat(5, "All three workers are busy with long jobs.", "postwatch_worker_jobs_running")
    platform.kill_worker("worker-2")
    try:
        yield Beat(
            12,
            "worker-2 was killed in the midst of its jobs. Its heartbeat stays behind.",
            'time() - postwatch_worker_last_heartbeat_timestamp_seconds{worker="worker-2"}',
        )
        yield Beat(
            20,
            "Ten seconds without a heartbeat: worker-2 is dead, and what it ran is stuck.",
            'postwatch_workers{state="dead"} or postwatch_queue_stuck_jobs',
        )
    finally:
        platform.revive_worker("worker-2")
    yield Beat(
        10,
        "A new worker-2 gave the stuck jobs back; they count as retries.",
        'postwatch_worker_restarts_total{worker="worker-2"}',
    )


def _services(platform: Platform) -> Generator[Beat]:
    platform.slow_down(api=0.8, mail=1.5)
    try:
        yield Beat(
            15,
            "The API and the mail server still answer, but late: both are degraded, which no check of `up` tells.",
            'postwatch_service_state{state="degraded"} == 1',
        )
        platform.break_api()
        yield Beat(
            20,
            "Now the API answers 503. After three failures in a row it is down, and why is counted.",
            'postwatch_service_failures_total{target="api",reason="status"}',
        )
    finally:
        platform.outside_as_ever()
    yield Beat(10, "Two good answers in a row, and they are healthy again.", "postwatch_service_state")


def _listing(platform: Platform) -> Generator[Beat]:
    platform.list_sender()
    try:
        yield Beat(
            15,
            "An address that mail is sent from got onto a blocklist.",
            "postwatch_dnsbl_listed == 1",
        )
        yield Beat(
            15,
            "Its reputation falls by the weight of that list. Its page for removal: postwatch-exporter reputation.",
            "postwatch_ip_reputation_score",
        )
    finally:
        platform.outside_as_ever()
    yield Beat(10, "Removal was granted; the score is 100 again.", "postwatch_dnsbl_listed")


SCENES: Sequence[Scene] = (
    Scene("campaign", "A campaign launch", _campaign),
    Scene("analytics", "A division by zero", _analytics),
    Scene("expiry", "A list expires", _expiry),
    Scene("worker-death", "A worker dies", _worker_death),
    Scene("services", "The API slows down", _services),
    Scene("listing", "An address gets listed", _listing),
)


def _calm(_platform: Platform) -> Generator[Beat]:
    yield Beat(8, "A quiet morning: all five queues keep up.", "postwatch_queue_depth")


class Story:
    """Plays the scenes in a loop for as long as `tick` is called."""

    def __init__(
        self,
        platform: Platform,
        scenes: Sequence[Scene] = SCENES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._platform = platform
        self._scenes = scenes
        self._next = 0
        self._script = _calm(platform)
        self.scene = Scene("calm", "As ever", _calm)
        self.beat = next(self._script)
        self._until = clock() + self.beat.seconds

    def tick(self) -> bool:
        """Goes on if it is time to; whether something new is to be told."""
        if self._clock() < self._until:
            return False
        beat = next(self._script, None)
        while beat is None:
            self.scene = self._scenes[self._next % len(self._scenes)]
            self._next += 1
            self._script = self.scene.script(self._platform)
            beat = next(self._script, None)
        self.beat = beat
        self._until = self._clock() + beat.seconds
        return True

    def close(self) -> None:
        """Ends the current scene, repairing what it broke as far as there is still something to repair."""
        with contextlib.suppress(psycopg.Error, redis.RedisError):
            self._script.close()

    @property
    def left(self) -> float:
        """Seconds until it goes on."""
        return max(0.0, self._until - self._clock())
