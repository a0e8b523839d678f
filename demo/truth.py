"""What each metric must say at each point of `--check`, from what the workload wrote down."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from demo.ledger import Tally
from demo.neighbours import HOOKS, IMPORTS
from demo.outside import BLOCKLIST, LISTED_CODE, SENDERS, WARNLIST
from demo.platform import Platform
from demo.queues import ANALYTICS, HIGH, LOW, NORMAL, QUEUES, WARMUP, Queue
from demo.workload import (
    CANCELLED,
    EXPIRED_LIST,
    EXPIRY,
    HOOKS_SENT,
    IMPORTS_SENT,
    LONG_JOBS,
    SCHEDULED,
    WARMUP_TARGET,
)

TARGETS = {
    HIGH.key: 60.0,
    NORMAL.key: 300.0,
    LOW.key: 1800.0,
    ANALYTICS.key: 3600.0,
    WARMUP.key: WARMUP_TARGET,
}


@dataclass(frozen=True)
class Expected:
    """What a metric must say: a number from `low` to `high`; None: there must be no such series."""

    metric: str
    labels: dict[str, str]
    low: float | None
    high: float | None

    @classmethod
    def exactly(cls, metric: str, value: float, **labels: str) -> "Expected":
        return cls(metric, labels, value, value)

    def met_by(self, seen: float | None) -> bool:
        if self.low is None or self.high is None or seen is None:
            return self.low is None and seen is None
        return self.low <= seen <= self.high


def queue_labels(queue: Queue) -> dict[str, str]:
    return {"queue": queue.name, "priority": queue.level}


def truth_of(queue: Queue, tally: Tally, target: float) -> list[Expected]:
    """What the books of one queue mean for its counters and histograms."""
    labels = queue_labels(queue)
    exactly: Callable[..., Expected] = Expected.exactly
    ended = len(tally.durations)
    found = [
        exactly("postwatch_queue_jobs_enqueued_total", tally.enqueued, **labels),
        exactly("postwatch_queue_job_retries_total", tally.retries, **labels),
        exactly(
            "postwatch_queue_jobs_within_target_total",
            sum(total <= target for total in tally.totals),
            **labels,
        ),
        exactly("postwatch_queue_job_duration_seconds_count", ended, **labels),
        exactly("postwatch_queue_job_wait_seconds_count", ended, **labels),
        _sum("postwatch_queue_job_duration_seconds_sum", sum(tally.durations), sum(tally.durations), labels),
        # A retry overwrites the run time, so a reader may only know the last attempt's.
        _sum("postwatch_queue_job_wait_seconds_sum", sum(tally.waits_of_last_attempt), sum(tally.waits), labels),
    ]
    for outcome in ("completed", "failed", "cancelled", "expired"):
        value = tally.finished[outcome]
        found.append(exactly("postwatch_queue_jobs_finished_total", value, outcome=outcome, **labels))
    for error, count in sorted(tally.errors.items()):
        found.append(exactly("postwatch_queue_job_errors_total", count, error=error, **labels))
    return found


def _sum(metric: str, low: float, high: float, labels: dict[str, str]) -> Expected:
    """Sums of times, give or take what rounding to microseconds and addition lose."""
    return Expected(metric, labels, low * 0.999 - 0.01, high * 1.001 + 0.01)


def before_work() -> list[Expected]:
    return [
        Expected.exactly("postwatch_workers", 3, state="active"),
        Expected.exactly("postwatch_workers", 0, state="dead"),
        Expected.exactly("postwatch_workers_expected", 3),
        Expected.exactly("postwatch_workers_healthy", 3),
        Expected.exactly("postwatch_queue_jobs_enqueued_total", 0),
        Expected.exactly("postwatch_queue_jobs_finished_total", 0),
        *[Expected.exactly("postwatch_queue_depth", 0, **queue_labels(queue)) for queue in QUEUES],
    ]


def after_work(platform: Platform) -> list[Expected]:
    ledger = platform.ledger
    expected = [one for queue in QUEUES for one in truth_of(queue, ledger.queues[queue.key], TARGETS[queue.key])]
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
            Expected.exactly("postwatch_queue_jobs", count, state=state, **labels) for state, count in states.items()
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


def after_confusion() -> list[Expected]:
    drift = "postwatch_queue_drift_jobs"
    return [
        Expected.exactly(drift, 2, kind="expired", **queue_labels(LOW)),
        Expected.exactly(drift, 1, kind="missing_in_postgres", **queue_labels(HIGH)),
        Expected.exactly(drift, 0, kind="missing_in_redis"),
        Expected.exactly("postwatch_queue_depth", 0, **queue_labels(HIGH)),
    ]


def before_expiry() -> list[Expected]:
    now = time.time()
    metric = "postwatch_queue_next_expiry_timestamp_seconds"
    return [Expected(metric, queue_labels(LOW), now, now + EXPIRY + 0.5)]


def after_expiry() -> list[Expected]:
    labels = queue_labels(LOW)
    return [
        Expected.exactly("postwatch_queue_drift_jobs", EXPIRED_LIST, kind="missing_in_redis", **labels),
        Expected.exactly("postwatch_queue_redis_length", 0, **labels),
        Expected.exactly("postwatch_queue_handed_over_jobs", EXPIRED_LIST, **labels),
        Expected.exactly("postwatch_queue_depth", EXPIRED_LIST, **labels),
    ]


def after_death(platform: Platform, dead: str) -> list[Expected]:
    with platform.connect() as db:
        row = db.execute("select count(*) from jobs where status = 'running' and worker_id = %s", [dead]).fetchone()
    return [
        Expected.exactly("postwatch_workers", 2, state="active"),
        Expected.exactly("postwatch_workers", 1, state="dead"),
        Expected.exactly("postwatch_queue_stuck_jobs", row[0] if row else 0, **queue_labels(NORMAL)),
    ]


def after_revival(platform: Platform) -> list[Expected]:
    lost = platform.ledger.queues[NORMAL.key]
    labels = queue_labels(NORMAL)
    return [
        Expected.exactly("postwatch_workers", 3, state="active"),
        Expected.exactly("postwatch_workers", 0, state="dead"),
        Expected.exactly("postwatch_worker_restarts_total", 1),
        Expected.exactly("postwatch_queue_stuck_jobs", 0, **labels),
        Expected.exactly("postwatch_queue_job_retries_total", lost.retries, **labels),
        Expected.exactly("postwatch_queue_jobs", LONG_JOBS, state="active", **labels),
    ]


def after_use_of_neighbours() -> list[Expected]:
    hooks = {"source": "hooks", "queue": HOOKS, "priority": "normal"}
    imports = {"source": "flows", "queue": IMPORTS, "priority": "normal"}
    exactly = Expected.exactly
    return [
        exactly("postwatch_queue_jobs_enqueued_total", HOOKS_SENT, **hooks),
        exactly("postwatch_queue_depth", HOOKS_SENT - 2, **hooks),
        exactly("postwatch_queue_jobs", 1, state="active", **hooks),
        exactly("postwatch_queue_jobs_finished_total", 1, outcome="completed", **hooks),
        exactly("postwatch_queue_jobs_enqueued_total", IMPORTS_SENT, **imports),
        exactly("postwatch_queue_depth", IMPORTS_SENT - 3, **imports),
        exactly("postwatch_queue_jobs", 1, state="active", **imports),
        exactly("postwatch_queue_jobs_finished_total", 1, outcome="completed", **imports),
        exactly("postwatch_queue_jobs_finished_total", 1, outcome="failed", **imports),
        exactly("postwatch_queue_job_errors_total", 1, error="TypeError", **imports),
        # The stores themselves, on the side.
        exactly("postwatch_postgres_up", 1, database="oltp"),
        exactly("postwatch_postgres_connections_limit", 100, database="oltp"),
        exactly("postwatch_redis_up", 1, redis="cache"),
        Expected("postwatch_host_memory_usage_ratio", {}, 0.001, 1),
    ]


def services(**states: str) -> list[Expected]:
    """States of services by their names; the others' are `healthy`."""
    wanted = dict.fromkeys(("api", "smtp", "database", "cache"), "healthy") | states
    return [
        Expected.exactly("postwatch_service_state", float(state == actual), target=target, state=state)
        for target, actual in wanted.items()
        for state in ("healthy", "degraded", "down")
    ]


def listings(first: int) -> list[Expected]:
    """Whether the first address stands on the blocklist; the other one and the other list know of nothing."""
    listed = "postwatch_dnsbl_listed"
    return [
        Expected.exactly(listed, first, ip=SENDERS[0], blocklist=BLOCKLIST),
        Expected.exactly(listed, 0, ip=SENDERS[0], blocklist=WARNLIST),
        Expected.exactly(listed, 0, ip=SENDERS[1]),
        Expected.exactly("postwatch_ip_reputation_score", 100, ip=SENDERS[1]),
        *[
            Expected.exactly("postwatch_dnsbl_blocklist_usable", 1, blocklist=zone, family="ipv4")
            for zone in (BLOCKLIST, WARNLIST)
        ],
    ]


def after_trouble_outside(platform: Platform) -> list[Expected]:
    sent = sum(platform.ledger.queues[queue.key].finished["completed"] for queue in (HIGH, NORMAL, LOW))
    return [
        Expected.exactly("postwatch_ip_sent_today", sent, ip=SENDERS[0]),
        *services(api="degraded", smtp="degraded"),
        *listings(1),
        Expected.exactly("postwatch_dnsbl_listing_info", 1, ip=SENDERS[0], code=LISTED_CODE),
        Expected("postwatch_ip_reputation_score", {"ip": SENDERS[0]}, 39, 40),
    ]


def after_api_broke() -> list[Expected]:
    return [*services(api="down", smtp="degraded"), Expected.exactly("postwatch_service_up", 0, target="api")]


def after_outside_is_well() -> list[Expected]:
    return [*services(), *listings(0), Expected.exactly("postwatch_ip_reputation_score", 100, ip=SENDERS[0])]
