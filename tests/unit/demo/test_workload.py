"""The truth that `--check` holds the exporter's figures against."""

import random

import pytest

from demo.ledger import Ledger
from demo.queues import ANALYTICS, DIVISION, NORMAL, draw_job
from demo.truth import Expected, truth_of
from demo.workload import first_jobs


@pytest.mark.parametrize(
    ("expected", "seen", "met"),
    [
        (Expected.exactly("m", 3), 3.0, True),
        (Expected.exactly("m", 3), 4.0, False),
        (Expected.exactly("m", 0), None, False),
        (Expected("m", {}, 1, 2), 1.5, True),
        (Expected("m", {}, None, None), None, True),
        (Expected("m", {}, None, None), 0.0, False),
    ],
)
def test_expected(expected: Expected, seen: float | None, met: bool) -> None:
    assert expected.met_by(seen) is met


def test_the_books_follow_a_job_through_a_retry_to_its_end() -> None:
    ledger = Ledger()
    ledger.enqueued(NORMAL, "a", ready=100.0)
    ledger.retried(NORMAL, "TimeoutError: slow")
    assert ledger.open == 1
    ledger.ended(NORMAL, "a", "worker-1", run_at=110.0, started=111.0, ended=113.0, error=None)
    assert ledger.open == 0
    truth = {(one.metric, *one.labels.values()): one for one in truth_of(NORMAL, ledger.queues[NORMAL.key], 60)}
    queue = ("email-sending", "normal")
    assert truth["postwatch_queue_job_retries_total", *queue].low == 1
    assert truth["postwatch_queue_job_errors_total", "TimeoutError", *queue].low == 1
    assert truth["postwatch_queue_jobs_within_target_total", *queue].low == 1
    assert truth["postwatch_queue_job_duration_seconds_sum", *queue].met_by(2.0)
    wait = truth["postwatch_queue_job_wait_seconds_sum", *queue]
    assert wait.met_by(1.0)
    assert wait.met_by(11.0)
    assert not wait.met_by(12.0)


def test_a_job_that_fails_for_good_counts_its_last_error_too() -> None:
    ledger = Ledger()
    ledger.enqueued(ANALYTICS, "a", ready=100.0)
    ledger.retried(ANALYTICS, DIVISION)
    ledger.ended(ANALYTICS, "a", "worker-1", 110.0, 111.0, 113.0, DIVISION)
    tally = ledger.queues[ANALYTICS.key]
    assert tally.errors == {"ZeroDivisionError": 2}
    assert tally.finished == {"failed": 1}


def test_every_first_job_comes_to_an_end() -> None:
    for job in first_jobs():
        assert job.delay == 0
        assert job.seconds < 2
        assert job.max_attempts <= 3


def test_a_broken_queue_fails_every_attempt() -> None:
    job = draw_job(ANALYTICS, random.Random(1), broken=DIVISION)
    assert list(job.errors) == [DIVISION] * ANALYTICS.max_attempts
