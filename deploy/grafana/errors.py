"""Error Analysis."""

from deploy.grafana.boards import PRIORITY, QUEUE, SOURCE, Board, Section
from deploy.grafana.colours import BLUE, GREEN, NONE_IS_BETTER, RED, YELLOW, words
from deploy.grafana.panels import Line, Look, bars, lines, tile
from deploy.grafana.promql import (
    DEPTH,
    KEYS,
    NAME,
    RATE,
    ended,
    ended_a_minute,
    ended_within,
    or_none,
    per_queue,
    ratio,
)
from deploy.grafana.promql import QUEUE as CHOSEN
from deploy.grafana.promql import SOURCE as OF_SOURCE
from deploy.grafana.tables import Column, Label, rows, to

FAILED = ended_within("1h", "failed")
DETAIL = to("postwatch-queue", ("source", "Source"), ("queue", "Queue"), ("priority", "Priority"))
ERROR_RATE = ratio(ended("5m", '="failed"'), ended("5m"))

FAILING = words((0, "Healthy", GREEN), (1, "Failing", RED), (2, "Paging", RED), (3, "Paging", RED))


def _threshold(level: str) -> str:
    return per_queue("postwatch_queue_failure_threshold", more=f',level="{level}"')


# 1: more failed within an hour than `critical` allows. 2: a larger part than `page` allows.
STATUS = (
    f"({FAILED} > bool {_threshold('critical')})\n  + 2 * (({ERROR_RATE}) > bool {_threshold('page')} or 0 * {FAILED})"
)


def counted(metric: str, window: str, by: str) -> str:
    return f"round(sum by ({by}) (increase(postwatch_queue_{metric}{{{CHOSEN}}}[{window}])))"


def a_minute(metric: str, by: str) -> str:
    return f"60 * sum by ({by}) (rate(postwatch_queue_{metric}{{{CHOSEN}}}[{RATE}]))"


TILES = (
    tile(
        "Failed, last hour",
        "Jobs that failed for good within the last hour, in all chosen queues.",
        f"sum({FAILED})",
        "locale",
        width=4,
    ),
    tile(
        "Worst queue fails",
        "Part of its jobs that ended in the last 5 minutes that failed.",
        f"max({ERROR_RATE})",
        "percentunit",
        decimals=1,
        nothing="None ended",
        width=4,
    ),
    tile(
        "Failed attempts, 1 h",
        "Attempts that failed within the last hour, those included that were tried again.",
        f"sum({counted('job_errors_total', '1h', KEYS)})",
        "locale",
        nothing="Not known",
        width=4,
    ),
    tile(
        "Timeouts, last hour",
        "Attempts that were ended by their time limit within the last hour.",
        f"sum({counted('job_timeouts_total', '1h', KEYS)})",
        "locale",
        nothing="Not known",
        width=4,
    ),
    tile(
        "Stuck jobs",
        "Active jobs past their queue's time limit, or whose worker has no heartbeat any more.",
        f"sum({per_queue('postwatch_queue_stuck_jobs')})",
        "locale",
        colours=NONE_IS_BETTER,
        nothing="Not known",
        width=4,
    ),
    tile(
        "Dead letters",
        "Jobs in the dead-letter queues of the chosen sources.",
        f"sum(postwatch_queue_dead_letters{{{OF_SOURCE}}})",
        "locale",
        colours=NONE_IS_BETTER,
        nothing="Not known",
        width=4,
    ),
)

BOARD = Board(
    uid="postwatch-errors",
    title="Error Analysis",
    question="What fails, since when, and with which error?",
    variables=(SOURCE, QUEUE, PRIORITY),
    alerts="QueueFailure.+|HighFailureRate|QueueStuckJobs|SloSuccessBurn",
    sections=(
        Section(
            "",
            (
                *TILES,
                rows(
                    "Queues, most failures first",
                    "Failing is a queue with more jobs failed within the last hour than its critical threshold allows"
                    " (10, unless configured), paging one with a larger part failed of the last 5 minutes than its"
                    " paging threshold allows (5 %). A click on a queue's name opens it.",
                    [
                        Column("Status", STATUS, "none", 82, FAILING),
                        Label("queue", "Queue", link=DETAIL),
                        Label("priority", "Priority", 75),
                        Label("source", "Source", 64),
                        Column("Failed, 1 h", FAILED, "locale", 90),
                        Column("Failing now", ERROR_RATE, "percentunit", 95, decimals=1),
                        Column("Retries, 1 h", counted("job_retries_total", "1h", KEYS), "locale", 100),
                        Column("Timeouts, 1 h", counted("job_timeouts_total", "1h", KEYS), "locale", 113),
                    ],
                    [("Status", True), ("Failed, 1 h", True)],
                    width=15,
                    height=11,
                ),
                bars(
                    "Most frequent errors, last hour",
                    "Failed attempts within the last hour by class of error, the ten most frequent.",
                    "locale",
                    Line(
                        or_none(
                            f"sort_desc(topk(10, {counted('job_errors_total', '1h', 'error')} > 0))",
                            DEPTH,
                            error="none failed",
                        ),
                        "{{error}}",
                    ),
                    width=9,
                    height=11,
                    decimals=0,
                ),
            ),
        ),
        Section(
            "Since when",
            (
                lines(
                    "Failed attempts by class of error",
                    "Attempts that failed a minute, by class of error.",
                    "attempts/min",
                    Line(a_minute("job_errors_total", "error"), "{{error}}"),
                    stacked=True,
                    nothing="Not known",
                ),
                lines(
                    "Failure rate by queue",
                    "Part of the jobs that ended that failed for good. Absent where none ended.",
                    "percentunit",
                    Line(ratio(ended(RATE, '="failed"'), ended(RATE)), NAME),
                    most=1,
                    nothing="No job ended",
                ),
                lines(
                    "How jobs end",
                    "Jobs a minute by outcome.",
                    "jobs/min",
                    Line(ended_a_minute(by="outcome"), "{{outcome}}"),
                    looks=(
                        Look("/^completed$/", GREEN), Look("/^failed$/", RED), Look("/^expired$/", YELLOW),
                        Look("/^cancelled$/", BLUE),
                    ),
                    stacked=True,
                ),
                lines(
                    "Retries by queue",
                    "Attempts a minute that failed and are tried again.",
                    "attempts/min",
                    Line(a_minute("job_retries_total", KEYS), NAME),
                ),
                lines(
                    "Timeouts by queue",
                    "Attempts a minute that were ended by their time limit.",
                    "attempts/min",
                    Line(a_minute("job_timeouts_total", KEYS), NAME),
                ),
                lines(
                    "Failed jobs kept, and dead letters",
                    "Failed rows still stored, by source, and jobs in dead-letter queues.",
                    "short",
                    Line(f'sum by (source) (postwatch_queue_jobs{{{CHOSEN},state="failed"}})', "{{source}}: failed"),
                    Line(f"sum by (source) (postwatch_queue_dead_letters{{{OF_SOURCE}}})", "{{source}}: dead letters"),
                ),
            ),
        ),
    ),
)  # fmt: skip
