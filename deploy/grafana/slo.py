"""SLO: what is promised, and how fast the room for errors is used up."""

from __future__ import annotations

from dataclasses import dataclass

from deploy.grafana.boards import Board, Section
from deploy.grafana.colours import GREEN, RED, YELLOW, steps
from deploy.grafana.panels import Line, Look, Panel, lines, tile
from deploy.grafana.promql import JOB, NAME, RATE
from deploy.grafana.tables import Column, Label, rows

# At this pace the room for errors of 30 days is gone in two days, or in five: both page.
FAST, SLOW = 14.4, 6


@dataclass(frozen=True)
class Objective:
    """A promise: `errors` is the stem of the recording rules of what was not good, `promised` the good part."""

    name: str
    says: str
    errors: str
    promised: float
    subject: tuple[str, ...]

    def bad(self, window: str) -> str:
        return f"{self.errors}:ratio_rate{window}{{{JOB}}}"

    def burn(self, window: str) -> str:
        """How many times as fast as it may the room for errors is used up, by objective and subject."""
        labels = ", ".join(f'"{label}"' for label in self.subject)
        pace = f"{self.bad(window)} / {1 - self.promised:.3g}"
        return f'label_replace(label_join({pace}, "subject", " ", {labels}), "objective", "{self.name}", "", "")'

    def tile(self) -> Panel:
        room = 1 - self.promised
        return tile(
            self.name,
            f"{self.says} Promised: {self.promised:.4g}. Shown is the worst over the last day.".replace(
                f"{self.promised:.4g}", f"{100 * self.promised:.4g} %"
            ),
            f"1 - max({self.bad('1d')})",
            "percentunit",
            colours=steps(RED, (self.promised, YELLOW), (self.promised + room / 4, GREEN)),
            decimals=2,
            nothing="None yet",
            width=4,
        )


QUEUE = ("source", "queue", "priority")
OBJECTIVES = (
    Objective("Jobs succeed", "Completed jobs of those that ended; time in which jobs wait and none ends counts as"
        " failed.", "queue:slo_success_errors", 0.99, QUEUE),
    Objective("Jobs are in time", "Jobs completed within their queue's target.", "queue:slo_target_errors", 0.99,
        QUEUE),
    Objective("Jobs run under 30 s", "Jobs that ran for less than 30 s: p99.", "source:slo_latency_errors", 0.99,
        ("source",)),
    Objective("API answers", "Probes of HTTP services that got the answer that is expected, 2xx unless configured.",
        "target:slo_api_errors", 0.999, ("target",)),
    Objective("Workers are healthy", "Healthy workers of those that are there or expected.",
        "source:slo_workers_errors", 0.95, ("source",)),
    Objective("Postwatch is there", "Scrapes of exporter and alerter that were answered.",
        "daemon:slo_postwatch_errors", 0.999, ("job",)),
)  # fmt: skip


def burn(window: str, by: str = "objective, subject") -> str:
    """Of all objectives together; of two causes of one subject the worse."""
    return f"max by ({by}) (\n  " + "\n  or\n  ".join(one.burn(window) for one in OBJECTIVES) + "\n)"


PACE = steps(GREEN, (1, YELLOW), (SLOW, RED))


def pace(title: str, window: str) -> Column:
    return Column(title, burn(window), "suffix:×", 78, colours=PACE, decimals=1)


def kept(objective: Objective, legend: str) -> Panel:
    """An objective over time, in the words of its tile."""
    return lines(
        f"{objective.name}, by the hour",
        f"{objective.says} Each point is of the hour before it; dashed is what is promised.",
        "percentunit",
        Line(f"1 - max by ({', '.join(objective.subject)}) ({objective.bad('1h')})", legend),
        Line(f"vector({objective.promised})", "promised"),
        looks=(Look("/^promised$/", RED, dashed=True),),
        least=None,
        most=1,
        width=12,
        height=8,
        nothing="None yet",
    )


BOARD = Board(
    uid="postwatch-slo",
    title="SLO",
    question="Do we keep what we promise, and how fast is the room for errors used up?",
    variables=(),
    alerts="Slo.+",
    since="now-24h",
    refresh="30s",
    sections=(
        Section(
            "",
            (
                *(one.tile() for one in OBJECTIVES),
                rows(
                    "Burning fastest",
                    "How many times as fast as allowed the room for errors is used up, over each window. Above 14.4 in"
                    " an hour or 6 in six hours it pages; at 1 the room lasts just as long as it should. Left is the"
                    " part of the room for 3 days that is not used up.",
                    [
                        Label("objective", "Promise", 165),
                        Label("subject", "Of"),
                        pace("5 min", "5m"),
                        pace("1 h", "1h"),
                        pace("6 h", "6h"),
                        pace("1 d", "1d"),
                        pace("3 d", "3d"),
                        Column("Left of 3 d", f"clamp_min(1 - {burn('3d')}, 0)", "percentunit", 100,
                            colours=steps(RED, (0.001, YELLOW), (0.5, GREEN)), decimals=0),
                    ],
                    [("1 h", True), ("6 h", True)],
                    width=16,
                    height=11,
                ),
                lines(
                    "Pace of the last hour",
                    "How many times as fast as allowed the room for errors of each promise was used up within the hour"
                    " before; the worst of its subjects. Dashed: 14.4, from where on it pages.",
                    "suffix:×",
                    Line(burn("1h", "objective"), "{{objective}}"),
                    Line(f"vector({FAST})", "pages"),
                    looks=(Look("/^pages$/", RED, dashed=True),),
                    width=8,
                    height=11,
                ),
            ),
        ),
        Section(
            "Promise by promise",
            (
                kept(OBJECTIVES[0], NAME),
                kept(OBJECTIVES[1], NAME),
                lines(
                    "99 % of jobs run within",
                    "How long jobs run at most, but for one in a hundred; promised are 30 s.",
                    "s",
                    Line(
                        "histogram_quantile(0.99, sum by (le, source)"
                        f" (rate(postwatch_queue_job_duration_seconds_bucket{{{JOB}}}[{RATE}]))) >= 0",
                        "{{source}}",
                    ),
                    Line("vector(30)", "promised"),
                    looks=(Look("/^promised$/", RED, dashed=True),),
                ),
                kept(OBJECTIVES[3], "{{target}}"),
                kept(OBJECTIVES[4], "{{source}}"),
                kept(OBJECTIVES[5], "{{job}}"),
            ),
        ),
    ),
)  # fmt: skip
