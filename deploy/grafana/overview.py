"""Task Queue Overview."""

from deploy.grafana.boards import PRIORITY, QUEUE, SOURCE, Board, Section
from deploy.grafana.colours import GREEN, NONE_IS_BETTER, NONE_IS_WELL, PAUSED, QUEUE_TROUBLE, RED, YELLOW, steps
from deploy.grafana.panels import Line, lines, states, tile
from deploy.grafana.promql import (
    DEPTH,
    JOB,
    KEYS,
    NAME,
    RATE,
    count_of,
    ended,
    ended_a_minute,
    ended_within,
    longest_wait,
    per_queue,
    queue_status,
    ratio,
    waiting_since,
)
from deploy.grafana.promql import QUEUE as CHOSEN
from deploy.grafana.promql import SOURCE as OF_SOURCE
from deploy.grafana.tables import Column, Label, firing_table, rows, to

DETAIL = to("postwatch-queue", ("source", "Source"), ("queue", "Queue"), ("priority", "Priority"))

TILES = (
    tile(
        "Critical queues",
        "Queues with more jobs waiting, or more failed within the last hour, than their critical thresholds allow.",
        count_of(f"{queue_status()} >= 4", DEPTH),
        "none",
        colours=NONE_IS_WELL,
    ),
    tile(
        "Warning queues",
        "Queues that reached their warning threshold, but neither too many waiting jobs nor too many failed within the"
        " last hour to be critical.",
        count_of(f"({queue_status()} >= 2) < 4", DEPTH),
        "none",
        colours=NONE_IS_BETTER,
    ),
    tile(
        "Jobs waiting",
        "Jobs that are ready and not started, in all chosen queues together. Yellow from 1,000 on, as the alert"
        " HighQueueDepth.",
        f"sum(postwatch_queue_depth{{{CHOSEN}}})",
        "short",
        colours=steps(GREEN, (1000, YELLOW)),
        trend=True,
    ),
    tile(
        "Oldest job waits",
        "How long the job has been ready that waits longest, in any of the chosen queues.",
        longest_wait(),
        "s",
        decimals=0,
    ),
    tile(
        "Failing now",
        "Part of the jobs that ended in the last 5 minutes that failed. Red above 5 %, which pages.",
        ratio(ended("5m", '="failed"', by=""), ended("5m", by="")),
        "percentunit",
        colours=steps(GREEN, (0.01, YELLOW), (0.05, RED)),
        decimals=1,
        nothing="None ended",
    ),
    tile(
        "Paused queues",
        "Queues of which nothing is processed because somebody paused them.",
        f"sum({per_queue('postwatch_queue_paused')})",
        "none",
        colours=NONE_IS_BETTER,
    ),
    tile(
        "Active workers",
        "Workers with a fresh heartbeat that take jobs.",
        f'sum(postwatch_workers{{{OF_SOURCE},state="active"}})',
        "none",
        colours=steps(RED, (1, GREEN)),
        nothing="Not known",
    ),
    tile(
        "Cannot be read",
        "Parts of what is watched whose last look failed: what this page shows of them is old or missing."
        " Postwatch itself has the details.",
        count_of(f"postwatch_sampler_up{{{JOB}}} == 0", f"postwatch_sampler_up{{{JOB}}}"),
        "none",
        colours=NONE_IS_WELL,
    ),
)

QUEUES = rows(
    "Queues, worst first",
    "Status is the platform's: yellow from the warning threshold on (100 waiting jobs), red above the critical one"
    " (1,000 waiting, or 10 failed within the last hour), each as configured for the queue, with what it is critical"
    " for. A click on a queue's name opens it.",
    [
        Column("Status", queue_status(), "none", 140, QUEUE_TROUBLE),
        Label("queue", "Queue", link=DETAIL),
        Label("priority", "Priority", 90),
        Label("source", "Source", 110),
        Column("Waiting", DEPTH, "locale", 100),
        Column("Active", per_queue("postwatch_queue_jobs", more=',state="active"'), "locale", 90),
        Column("Completed, 1 h", ended_within("1h", "completed"), "locale", 130),
        Column("Failed, 1 h", ended_within("1h", "failed"), "locale", 110),
        Column("Oldest waits", waiting_since(), "s", 110, decimals=0),
        Column("Target", per_queue("postwatch_queue_target_seconds"), "s", 90, decimals=0),
    ],
    [("Status", True), ("Waiting", True), ("Failed, 1 h", True)],
    height=10,
)

ALERTS = firing_table(
    "Firing alerts",
    "All alerts of Postwatch that fire now, critical ones first, with what they are about and since how long.",
    height=6,
)

BOARD = Board(
    uid="postwatch-overview",
    title="Task Queue Overview",
    question="Is every queue keeping up, and which is worst if not?",
    variables=(SOURCE, QUEUE, PRIORITY),
    refresh="5s",
    sections=(
        Section("", (*TILES, QUEUES, ALERTS)),
        Section(
            "How it came to this",
            (
                lines(
                    "Queue depth over time",
                    "Jobs that are ready and not started, by queue.",
                    "short",
                    Line(DEPTH, NAME),
                ),
                states(
                    "Pauses",
                    "When each queue was paused.",
                    Line(per_queue("postwatch_queue_paused"), NAME),
                    PAUSED,
                    width=12,
                    height=8,
                ),
                lines(
                    "Task submission rate",
                    "Jobs created a minute, by queue.",
                    "jobs/min",
                    Line(f"60 * sum by ({KEYS}) (rate(postwatch_queue_jobs_enqueued_total{{{CHOSEN}}}[{RATE}]))", NAME),
                ),
                lines(
                    "Task completion rate",
                    "Jobs completed a minute, by queue. Below the submission rate for long, a backlog grows.",
                    "jobs/min",
                    Line(ended_a_minute('="completed"'), NAME),
                ),
                lines(
                    "Failure rate",
                    "Part of the jobs that ended that failed for good, by queue. Absent where none ended.",
                    "percentunit",
                    Line(ratio(ended(RATE, '="failed"'), ended(RATE)), NAME),
                    most=1,
                    nothing="No job ended",
                ),
                lines(
                    "Average processing time",
                    "How long the jobs that ended had run, on average, by queue.",
                    "s",
                    Line(
                        ratio(
                            f"sum by ({KEYS}) (rate(postwatch_queue_job_duration_seconds_sum{{{CHOSEN}}}[{RATE}]))",
                            f"sum by ({KEYS}) (rate(postwatch_queue_job_duration_seconds_count{{{CHOSEN}}}[{RATE}]))",
                        ),
                        NAME,
                    ),
                    nothing="No job ended",
                ),
                lines(
                    "Retry rate",
                    "Attempts a minute that failed and are tried again, by queue.",
                    "attempts/min",
                    Line(f"60 * sum by ({KEYS}) (rate(postwatch_queue_job_retries_total{{{CHOSEN}}}[{RATE}]))", NAME),
                ),
                lines(
                    "Timeout rate",
                    "Attempts a minute that were ended by their time limit, by queue.",
                    "attempts/min",
                    Line(f"60 * sum by ({KEYS}) (rate(postwatch_queue_job_timeouts_total{{{CHOSEN}}}[{RATE}]))", NAME),
                ),
            ),
        ),
    ),
)
