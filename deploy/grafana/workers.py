"""Worker Performance."""

from deploy.grafana.boards import SOURCE, Board, Section, Variable
from deploy.grafana.colours import BLUE, GREEN, GREY, NONE_IS_BETTER, NONE_IS_WELL, PLAIN, RED, YELLOW, steps
from deploy.grafana.panels import Line, Look, bars, lines, tile
from deploy.grafana.promql import RATE, ratio
from deploy.grafana.promql import SOURCE as OF_SOURCE
from deploy.grafana.tables import Column, Label, rows

WORKER = Variable(
    "worker", "Worker", 'postwatch_worker_last_heartbeat_timestamp_seconds{job=~"$job",source=~"$source"}'
)
CHOSEN = f'{OF_SOURCE},worker=~"$worker"'
KEYS = "source, worker"
NAME = "{{worker}}"


def gauge(metric: str) -> str:
    return f"max by ({KEYS}) (postwatch_worker_{metric}{{{CHOSEN}}})"


def finished(window: str, more: str = "") -> str:
    return f"sum by ({KEYS}) (rate(postwatch_worker_jobs_finished_total{{{CHOSEN}{more}}}[{window}]))"


UTILIZATION = ratio(gauge("jobs_running"), gauge("capacity"))
SILENCE = f"time() - {gauge('last_heartbeat_timestamp_seconds')}"
UPTIME = f"time() - {gauge('start_timestamp_seconds')}"
ERRORS = ratio(finished("5m", ',outcome="failed"'), finished("5m"))
AVERAGE = ratio(f"sum by ({KEYS}) (rate(postwatch_worker_job_seconds_total{{{CHOSEN}}}[5m]))", finished("5m"))


def state(name: str) -> str:
    return f'sum(postwatch_workers{{{OF_SOURCE},state="{name}"}})'


TILES = (
    tile("Active", "Workers that take jobs.", state("active"), "none", colours=steps(RED, (1, GREEN)),
        nothing="Not known"),
    tile("Dead", "Workers without a heartbeat for too long. What they ran is stuck.", state("dead"), "none",
        colours=NONE_IS_WELL, nothing="Not known"),
    tile("Paused", "Workers that take no new jobs until they are resumed.", state("paused"), "none",
        colours=NONE_IS_BETTER, nothing="Not known"),
    tile("Draining", "Workers that finish what they have and then end.", state("draining"), "none",
        nothing="Not known"),
    tile(
        "Healthy",
        "Part of the workers with a fresh heartbeat and few failed jobs. 95 % is promised.",
        ratio(f"sum(postwatch_workers_healthy{{{OF_SOURCE}}})", f"sum(postwatch_workers{{{OF_SOURCE}}})"),
        "percentunit",
        colours=steps(RED, (0.95, GREEN)),
        nothing="Not known",
    ),
    tile(
        "Room in use",
        "Jobs running for each that all workers together can run at a time. At 100 % more workers would help.",
        f"sum(postwatch_worker_jobs_running{{{CHOSEN}}}) / sum(postwatch_worker_capacity{{{CHOSEN}}})",
        "percentunit",
        colours=steps(GREEN, (0.9, YELLOW)),
        decimals=0,
        nothing="Not known",
        trend=True,
    ),
    tile(
        "Jobs a minute",
        "Jobs that the workers ended a minute, over the last 5 minutes.",
        f"60 * sum(rate(postwatch_worker_jobs_finished_total{{{CHOSEN}}}[5m]))",
        "short",
        nothing="Not known",
    ),
    tile(
        "Restarts, 1 h",
        "Restarts of workers within the last hour.",
        f"round(sum(increase(postwatch_worker_restarts_total{{{CHOSEN}}}[1h])))",
        "none",
        colours=steps(GREEN, (1, YELLOW)),
        nothing="Not known",
    ),
)  # fmt: skip

BOARD = Board(
    uid="postwatch-workers",
    title="Worker Performance",
    question="Are there enough workers, and which of them is sick?",
    variables=(SOURCE, WORKER),
    alerts="NoActiveWorkers|WorkerUnhealthy|SloWorkersBurn|QueueStuckJobs",
    sections=(
        Section(
            "",
            (
                *TILES,
                rows(
                    "Workers, most silent first",
                    "Without a heartbeat for 60 s, red, a worker counts as dead, and with 5 % of errors it is not"
                    " healthy, unless configured otherwise. Errors and the average are of the jobs that ended in the"
                    " last 5 minutes.",
                    [
                        Label("worker", "Worker"),
                        Label("source", "Source", 90),
                        Column("Last heartbeat", SILENCE, "s", 130, decimals=0,
                            colours=steps(GREY, (30, YELLOW), (60, RED))),
                        Column("Running", gauge("jobs_running"), "none", 90),
                        Column("Capacity", gauge("capacity"), "none", 90),
                        Column("In use", UTILIZATION, "percentunit", 90,
                            colours=steps(GREEN, (0.9, YELLOW)), decimals=0),
                        Column("Jobs a minute", f"60 * {finished('5m')}", "short", 120, decimals=1),
                        Column("Errors", ERRORS, "percentunit", 90, decimals=1, colours=steps(GREEN, (0.05, RED))),
                        Column("Average job", AVERAGE, "s", 110, decimals=2),
                        Column("Uptime", UPTIME, "s", 120, decimals=0),
                        Column("Restarts, 1 h",
                            f"round(sum by ({KEYS}) (increase(postwatch_worker_restarts_total{{{CHOSEN}}}[1h])))",
                            "none", 110, colours=PLAIN),
                    ],
                    [("Last heartbeat", True), ("Errors", True)],
                    height=8,
                ),
            ),
        ),
        Section(
            "Worker by worker",
            (
                lines(
                    "Worker utilization",
                    "Jobs that a worker runs, for each that it can run at a time.",
                    "percentunit",
                    Line(UTILIZATION, NAME),
                    most=1,
                ),
                lines(
                    "Task rate by worker",
                    "Jobs that a worker ends a minute.",
                    "jobs/min",
                    Line(f"60 * {finished(RATE)}", NAME),
                ),
                lines(
                    "Error rate by worker",
                    "Part of the jobs that a worker ended that failed.",
                    "percentunit",
                    Line(ratio(finished(RATE, ',outcome="failed"'), finished(RATE)), NAME),
                    most=1,
                    nothing="No job ended",
                ),
                lines("Uptime by worker", "How long each worker has been running.", "s", Line(UPTIME, NAME)),
                bars(
                    "Task distribution",
                    "Jobs that each worker ended in the time shown. Bars of unlike length: work is spread unevenly.",
                    "locale",
                    Line(
                        f"sort_desc(round(sum by ({KEYS})"
                        f" (increase(postwatch_worker_jobs_finished_total{{{CHOSEN}}}[$__range]))))",
                        NAME,
                    ),
                    decimals=0,
                ),
                lines(
                    "Workers by state",
                    "Active, paused, draining and dead workers over time, and how many are expected.",
                    "none",
                    Line(f"sum by (state) (postwatch_workers{{{OF_SOURCE}}})", "{{state}}"),
                    Line(f"sum(postwatch_workers_expected{{{OF_SOURCE}}})", "expected"),
                    looks=(
                        Look("/^active$/", GREEN), Look("/^dead$/", RED), Look("/^paused$/", YELLOW),
                        Look("/^draining$/", BLUE),
                        Look("/^expected$/", "text", dashed=True),
                    ),
                ),
            ),
        ),
    ),
)  # fmt: skip
