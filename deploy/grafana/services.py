"""Infrastructure and Services."""

from deploy.grafana.boards import Board, Section, Variable
from deploy.grafana.colours import GREEN, NONE_IS_BETTER, NONE_IS_WELL, RED, SERVICE_STATE, YELLOW, steps
from deploy.grafana.panels import Line, Look, lines, states, tile
from deploy.grafana.promql import JOB, RATE, count_of, or_none, quantile, ratio
from deploy.grafana.tables import Column, Label, firing_table, rows

TARGET = Variable("target", "Service", 'postwatch_service_up{job=~"$job"}')
CHOSEN = f'{JOB},target=~"$target"'
KEYS = "target"
NAME = "{{target}}"


def in_state(name: str) -> str:
    return f'max by ({KEYS}) (postwatch_service_state{{{CHOSEN},state="{name}"}})'


def a_minute(metric: str, by: str) -> str:
    return f"60 * sum by ({by}) (rate(postwatch_service_{metric}{{{CHOSEN}}}[{RATE}]))"


# 2 down, 1 degraded, 0 healthy; absent before the first probe.
STATE = (
    f"2 * {in_state('down')} + {in_state('degraded')}\n  and max by ({KEYS}) (postwatch_service_state{{{CHOSEN}}}) == 1"
)
P95 = (
    "histogram_quantile(0.95, sum by (le, target)"
    f" (rate(postwatch_service_response_seconds_bucket{{{CHOSEN}}}[5m]))) >= 0"
)
PROBES = f"sum by ({KEYS}) (increase(postwatch_service_probes_total{{{CHOSEN}}}[1h]))"
FAILURES = f"sum by ({KEYS}) (increase(postwatch_service_failures_total{{{CHOSEN}}}[1h]))"
EXPIRY = f"(min by ({KEYS}) (postwatch_service_certificate_expiry_timestamp_seconds{{{CHOSEN}}}) - time()) / 86400"
# Which part of an hour of probes got what it expected.
ANSWERED = f"1 - {ratio(FAILURES, PROBES)}"
TILES = (
    tile("Down", "Services whose probes fail.", count_of(f"{in_state('down')} == 1", in_state("down")), "none",
        colours=NONE_IS_WELL, width=4),
    tile("Degraded", "Services that are slow, fail some probes, or have a backlog.",
        count_of(f"{in_state('degraded')} == 1", in_state("degraded")), "none", colours=NONE_IS_BETTER, width=4),
    tile("Healthy", "Services that answer as expected and in time.",
        count_of(f"{in_state('healthy')} == 1", in_state("healthy")), "none", colours=steps(RED, (1, GREEN)), width=4),
    tile("Answered, last hour", "Part of the probes of the last hour that got what they expected; the worst service.",
        f"min({ANSWERED})", "percentunit", colours=steps(RED, (0.99, YELLOW), (0.999, GREEN)), decimals=2, width=4),
    tile("Slowest service", "What 95 % of its probes of the last 5 minutes stayed within.",
        f"max({P95})", "s", width=4),
    tile("Next certificate ends in", "Of the services that show one. Red below 3 days, which pages.",
        f"min({EXPIRY})", "suffix: days", colours=steps(RED, (3, YELLOW), (14, GREEN)), decimals=0,
        nothing="None shown", width=4),
)  # fmt: skip

BOARD = Board(
    uid="postwatch-services",
    title="Infrastructure and Services",
    question="Which service is down or degraded, since when, and why?",
    variables=(TARGET,),
    alerts="Service.+|SloApiBurn",
    sections=(
        Section(
            "",
            (
                *TILES,
                rows(
                    "Services, worst first",
                    "Degraded is a service past its latency or error threshold, or past the backlog of its queues."
                    " Response times are of the last 5 minutes; a certificate is shown with the days that are left.",
                    [
                        Column("State", STATE, "none", 95, SERVICE_STATE),
                        Label("target", "Service"),
                        Column("95 % within", P95, "s", 105),
                        Column("Answered, 1 h", ANSWERED, "percentunit", 125,
                            colours=steps(RED, (0.99, YELLOW), (0.999, GREEN)), decimals=1),
                        Column("Failed, 1 h", f"round({FAILURES})", "locale", 95),
                        Column("Certificate", EXPIRY, "suffix: days", 95,
                            colours=steps(RED, (3, YELLOW), (14, GREEN)), decimals=0),
                    ],
                    [("State", True), ("Failed, 1 h", True)],
                    width=12,
                    height=8,
                ),
                firing_table(
                    "Infrastructure alerts",
                    "All alerts of Postwatch that fire now, critical ones first.",
                    width=12,
                    height=8,
                ),
                states(
                    "State of services over time",
                    "Healthy, degraded or down, by service.",
                    Line(STATE, NAME),
                    SERVICE_STATE,
                    height=6,
                ),
            ),
        ),
        Section(
            "Why",
            (
                lines(
                    "Response time",
                    "What 95 % of the probes stayed within, by service.",
                    "s",
                    Line(quantile(0.95, "postwatch_service_response_seconds", CHOSEN, "target"), NAME),
                ),
                lines(
                    "Where the last probe's time went",
                    "Resolving, connecting, TLS, first byte and transfer, of all chosen services: choose one above.",
                    "s",
                    Line(f"sum by (phase) (postwatch_service_phase_seconds{{{CHOSEN}}})", "{{phase}}"),
                    stacked=True,
                ),
                lines(
                    "Failed probes by reason",
                    "Probes a minute that failed, by service and reason.",
                    "probes/min",
                    Line(
                        or_none(
                            f"{a_minute('failures_total', 'target, reason')} > 0",
                            f"rate(postwatch_service_failures_total{{{CHOSEN}}}[{RATE}])",
                            target="every service",
                            reason="no failure",
                        ),
                        "{{target}}: {{reason}}",
                    ),
                ),
                lines(
                    "HTTP answers by status",
                    "Answers a minute to probes over HTTP, by service and status code.",
                    "answers/min",
                    Line(
                        a_minute("http_responses_total", "target, code"),
                        "{{target}}: {{code}}",
                    ),
                    looks=(Look("/: 2..$/", GREEN), Look("/: 5..$/", RED)),
                    nothing="No HTTP service",
                ),
            ),
        ),
    ),
)  # fmt: skip
