"""Queue Detail."""

from deploy.grafana.boards import PRIORITY, QUEUE, SOURCE, Board, Section, Variable
from deploy.grafana.colours import BLUE, GREEN, GREY, NONE_IS_BETTER, PAUSED, QUEUE_STATUS, RED, YELLOW, beyond, steps
from deploy.grafana.panels import Line, Look, lines, states, tile
from deploy.grafana.promql import (
    DEPTH,
    NEVER,
    RATE,
    drained_in,
    ended,
    ended_a_minute,
    ended_within,
    longest_wait,
    per_queue,
    quantile,
    queue_status,
    ratio,
    waiting_since,
    within_target,
)
from deploy.grafana.promql import QUEUE as CHOSEN

ONE_SOURCE = Variable(SOURCE.name, SOURCE.title, SOURCE.metric, one=True)
ONE_QUEUE = Variable(QUEUE.name, QUEUE.title, QUEUE.metric, one=True)


def threshold(level: str) -> Line:
    """A line where the configuration of the queue draws one, the lowest of the chosen priorities."""
    query = per_queue("postwatch_queue_depth_threshold", more=f',level="{level}"')
    return Line(f"min({query})", f"{level} threshold")


def quantiles(metric: str) -> tuple[Line, ...]:
    return tuple(
        Line(quantile(share, metric, CHOSEN), name)
        for share, name in ((0.5, "half within"), (0.95, "95 % within"), (0.99, "99 % within"))
    )


TILES = (
    tile(
        "Status",
        "By the thresholds configured for this queue, for waiting jobs and for those failed within the last hour;"
        " of several priorities the worst.",
        f"max({queue_status()})",
        "none",
        mappings=QUEUE_STATUS,
    ),
    tile("Waiting", "Jobs that are ready and not started.", f"sum({DEPTH})", "locale", trend=True),
    tile(
        "Oldest job waits",
        "How long the job has been ready that waits longest.",
        longest_wait(),
        "s",
        decimals=0,
    ),
    tile(
        "Drained in",
        "Until nothing waits, at the pace of the last minute; of several priorities the slowest. Growing while as much"
        " or more comes in than gets done.",
        f"max({drained_in()})",
        "s",
        decimals=0,
        mappings=beyond(NEVER, "Growing", YELLOW),
    ),
    tile(
        "Failing now",
        "Part of the jobs that ended in the last 5 minutes that failed.",
        ratio(ended("5m", '="failed"', by=""), ended("5m", by="")),
        "percentunit",
        decimals=1,
        nothing="None ended",
    ),
    tile(
        "Failed, last hour",
        "Jobs that failed for good within the last hour.",
        f"sum({ended_within('1h', 'failed')})",
        "locale",
    ),
    tile(
        "Within target",
        "Part of the jobs that ended in the last hour that were completed within the queue's target. 99 % is promised.",
        f"min({within_target('1h')})",
        "percentunit",
        colours=steps(RED, (0.95, YELLOW), (0.99, GREEN)),
        decimals=1,
        nothing="None ended",
    ),
    tile(
        "Stuck jobs",
        "Active jobs past the queue's time limit, or whose worker has no heartbeat any more.",
        f"sum({per_queue('postwatch_queue_stuck_jobs')})",
        "locale",
        colours=NONE_IS_BETTER,
        nothing="Not known",
    ),
)

BOARD = Board(
    uid="postwatch-queue",
    title="Queue Detail",
    question="What is going on in this queue, and when will it be drained?",
    variables=(ONE_SOURCE, ONE_QUEUE, PRIORITY),
    alerts="Queue.+|HighQueueDepth|HighFailureRate|NoActiveWorkers",
    refresh="5s",
    sections=(
        Section(
            "",
            (
                *TILES,
                lines(
                    "Waiting jobs and their thresholds",
                    "Jobs that are ready and not started, by priority, with the thresholds configured for the queue;"
                    " of several priorities the lowest.",
                    "short",
                    Line(DEPTH, "{{priority}} priority"),
                    threshold("warning"),
                    threshold("critical"),
                    looks=(
                        Look("/^warning threshold$/", YELLOW, dashed=True),
                        Look("/^critical threshold$/", RED, dashed=True),
                    ),
                    height=10,
                ),
                lines(
                    "In and out",
                    "Jobs created and jobs ended a minute. While more are created than end, the queue grows.",
                    "jobs/min",
                    Line(f"60 * sum(rate(postwatch_queue_jobs_enqueued_total{{{CHOSEN}}}[{RATE}]))", "Created"),
                    Line(ended_a_minute('="completed"', by=""), "Completed"),
                    Line(ended_a_minute('!="completed"', by="outcome"), "{{outcome}}"),
                    looks=(
                        Look("/^Created$/", BLUE),
                        Look("/^Completed$/", GREEN),
                        Look("/^failed$/", RED),
                        Look("/^cancelled$/", GREY),
                    ),
                    height=10,
                ),
            ),
        ),
        Section(
            "How long it takes",
            (
                lines(
                    "Time spent waiting",
                    "From ready to the start, of the jobs that ended. Absent while none ends.",
                    "s",
                    *quantiles("postwatch_queue_job_wait_seconds"),
                    nothing="No job ended",
                ),
                lines(
                    "Time spent running",
                    "From the last start to the end, of the jobs that ended. Absent while none ends.",
                    "s",
                    *quantiles("postwatch_queue_job_duration_seconds"),
                    nothing="No job ended",
                ),
                lines(
                    "Oldest waiting job, by its target",
                    "How long the oldest job has been ready, as part of the time that a job may take in all. Above"
                    " 100 % it has missed its target.",
                    "percentunit",
                    Line(
                        f"({waiting_since()})\n  /\n{per_queue('postwatch_queue_target_seconds')}",
                        "{{priority}} priority",
                    ),
                    Line("vector(1)", "target"),
                    looks=(Look("/^target$/", YELLOW, dashed=True),),
                ),
                lines(
                    "Completed within target",
                    "Part of the jobs that ended that were completed within the queue's target.",
                    "percentunit",
                    Line(within_target(RATE), "{{priority}} priority"),
                    most=1,
                    nothing="No job ended",
                ),
            ),
        ),
        Section(
            "What goes wrong",
            (
                lines(
                    "Failed attempts by class of error",
                    "Attempts that failed a minute, by class of error; the first 20 classes, the others as _other.",
                    "attempts/min",
                    Line(
                        f"60 * sum by (error) (rate(postwatch_queue_job_errors_total{{{CHOSEN}}}[{RATE}]))",
                        "{{error}}",
                    ),
                    stacked=True,
                    nothing="Not known",
                ),
                lines(
                    "Retries and timeouts",
                    "Attempts a minute that are tried again, and those that were ended by their time limit.",
                    "attempts/min",
                    Line(f"60 * sum(rate(postwatch_queue_job_retries_total{{{CHOSEN}}}[{RATE}]))", "Retries"),
                    Line(f"60 * sum(rate(postwatch_queue_job_timeouts_total{{{CHOSEN}}}[{RATE}]))", "Timeouts"),
                ),
                lines(
                    "Jobs by state",
                    "Jobs scheduled for later, waiting, active, and failed ones still stored.",
                    "short",
                    Line(f"sum by (state) (postwatch_queue_jobs{{{CHOSEN}}})", "{{state}}"),
                ),
                lines(
                    "Disagreement of PostgreSQL and Redis",
                    "Jobs that only one of the two knows, or whose data expired, as found by the last comparison."
                    " Handed over less in Redis is what a lost list leaves behind.",
                    "short",
                    Line(f"sum by (kind) (postwatch_queue_drift_jobs{{{CHOSEN}}})", "{{kind}}"),
                    Line(
                        f"sum(postwatch_queue_handed_over_jobs{{{CHOSEN}}})"
                        f" - sum(postwatch_queue_redis_length{{{CHOSEN}}})",
                        "handed over less in Redis",
                    ),
                    nothing="Only of hybrid queues",
                ),
                lines(
                    "Time until waiting jobs are lost",
                    "Until the first waiting job expires: the lifetime of the list or of the job's data in Redis, or"
                    " when pg-boss deletes it.",
                    "s",
                    Line(
                        f"{per_queue('postwatch_queue_next_expiry_timestamp_seconds', 'min')} - time()", "{{priority}}"
                    ),
                    nothing="Nothing expires",
                ),
                states(
                    "Pauses",
                    "When the queue was paused.",
                    Line(per_queue("postwatch_queue_paused"), "{{priority}}"),
                    PAUSED,
                    width=12,
                    height=8,
                ),
            ),
        ),
    ),
)
