"""Postwatch itself."""

from deploy.grafana.boards import Board, Section, Variable
from deploy.grafana.colours import GREEN, NONE_IS_BETTER, NONE_IS_WELL, RED, UP, WELL, YELLOW, steps, words
from deploy.grafana.panels import Line, Look, lines, states, tile
from deploy.grafana.promql import JOB, OURS, RATE, count_of, or_none
from deploy.grafana.tables import Column, Label, rows

SAMPLER = Variable("sampler", "Sampler", 'postwatch_sampler_up{job=~"$job"}')
CHOSEN = f'{JOB},sampler=~"$sampler"'
OF_SOURCES = f'{CHOSEN},source!=""'
KEYS = "sampler, source"
NAME = "{{sampler}} {{source}}"
# The alerter is a job of its own, whatever exporter is chosen; all are ours, whatever else Prometheus scrapes.
DAEMONS = f'job=~"$job|postwatch-alerter",{OURS}'
EXPORTERS = f'{JOB},job=~"postwatch-exporter(-.+)?"'


def sampler(what: str) -> str:
    return f"max by ({KEYS}) (postwatch_sampler_{what}{{{CHOSEN}}})"


def alerter(what: str, by: str = "receiver") -> str:
    return f"sum by ({by}) (postwatch_alerter_{what})"


def a_minute(metric: str, by: str) -> str:
    return f"60 * sum by ({by}) (rate(postwatch_alerter_{metric}[{RATE}]))"


AGE = f"time() - {sampler('last_success_timestamp_seconds')}"
DURATION = (
    f"histogram_quantile(0.95, sum by (le, {KEYS})"
    f" (rate(postwatch_sampler_duration_seconds_bucket{{{CHOSEN}}}[5m]))) >= 0"
)
COST = f"sum by ({KEYS}) (rate(postwatch_sampler_source_seconds_total{{{CHOSEN}}}[5m]))"
FAILURES = f"round(sum by ({KEYS}) (increase(postwatch_sampler_failures_total{{{CHOSEN}}}[1h])))"
STATE = (
    '2 * max by (receiver) (postwatch_alerter_receiver_state{state="open"})'
    ' + max by (receiver) (postwatch_alerter_receiver_state{state="throttled"})'
)

TILES = (
    tile("Exporter", "Whether Prometheus gets an answer from every exporter.", f"min(up{{{EXPORTERS}}})", "none",
        mappings=UP, nothing="Not scraped"),
    tile("Alerter", "Whether Prometheus gets an answer from every alerter.", 'min(up{job="postwatch-alerter"})',
        "none", mappings=UP, nothing="Not scraped"),
    tile("Samplers failing", "Parts of what is watched whose last look failed.",
        count_of(f"postwatch_sampler_up{{{CHOSEN}}} == 0", f"postwatch_sampler_up{{{CHOSEN}}}"), "none",
        colours=NONE_IS_WELL),
    tile("Oldest look", "How long ago the sampler last succeeded that has not for longest; those of addresses and"
        " slow counts may take their time.", f"max({AGE})", "s", decimals=0),
    tile("Configuration", "Whether the files as they are now are in use, by exporter and alerter.",
        f"min(postwatch_config_last_reload_successful{{{DAEMONS}}})", "none",
        mappings=words((0, "Refused", RED), (1, "In use", GREEN))),
    tile("To be sent", "Messages to people that wait or are under way.",
        "sum(postwatch_alerter_outbox_pending)", "locale", colours=steps(GREEN, (1, YELLOW), (100, RED)),
        nothing="No alerter"),
    tile("Given up", "Messages that reached nobody. They can be played again: postwatch-alerter retry.",
        "sum(postwatch_alerter_dead_letters)", "locale", colours=NONE_IS_WELL, nothing="No alerter"),
    tile("Watchdog seen", "How long ago the alert that always fires last came through: the whole chain works.",
        "time() - max(postwatch_alerter_deadman_last_seen_timestamp_seconds)", "s",
        colours=steps(GREEN, (120, YELLOW), (180, RED)), decimals=0, nothing="Never"),
)  # fmt: skip

BOARD = Board(
    uid="postwatch-itself",
    title="Postwatch itself",
    question="Can the other dashboards be trusted, and do alerts reach people?",
    variables=(SAMPLER,),
    alerts="Postwatch.+|AlertmanagerNotificationsFailing|SloPostwatchBurn",
    sections=(
        Section(
            "",
            (
                *TILES,
                rows(
                    "Samplers, failing first",
                    "Each kind of look at each source: whether the last one succeeded, how long ago one did, the"
                    " interval as stretched by the budget. Duration and cost, which is the part"
                    " of its time that the source spends on us, are of the last 5 minutes.",
                    [
                        Column("Last look", sampler("up"), "none", 90, WELL),
                        Label("sampler", "Sampler", 110),
                        Label("source", "Source"),
                        Column("Succeeded", f"({AGE})", "s", 100, decimals=0),
                        Column("Interval", sampler("interval_seconds"), "s", 80),
                        Column("95 % within", DURATION, "s", 100),
                        Column("Cost", COST, "percentunit", 80, decimals=2),
                        Column("Failed, 1 h", FAILURES, "locale", 90, colours=NONE_IS_BETTER),
                    ],
                    [("Last look", False), ("Failed, 1 h", True)],
                    width=15,
                    height=11,
                ),
                rows(
                    "Receivers, in trouble first",
                    "How telling people goes: open is a receiver that refuses and is tried again now and then.",
                    [
                        Column("State", STATE, "none", 100,
                            words((0, "Well", GREEN), (1, "Throttled", YELLOW), (2, "Open", RED))),
                        Label("receiver", "Receiver"),
                        Column("Waiting", alerter("outbox_pending"), "locale", 80),
                        Column("Given up", alerter("dead_letters"), "locale", 80, colours=NONE_IS_WELL),
                    ],
                    [("State", True), ("Waiting", True)],
                    width=9,
                    height=11,
                    nothing="No alerter",
                ),
            ),
        ),
        Section(
            "What is seen",
            (
                states(
                    "Samplers over time",
                    "When the last look of each sampler failed.",
                    Line(sampler("up"), NAME),
                    WELL,
                    width=12,
                    height=10,
                ),
                lines(
                    "Time that sources spend on us",
                    "Seconds per second that each source spends on our questions: what the budget bounds.",
                    "percentunit",
                    Line(
                        f"sum by (source) (rate(postwatch_sampler_source_seconds_total{{{OF_SOURCES}}}[{RATE}]))",
                        "{{source}}",
                    ),
                    height=10,
                ),
                lines(
                    "Intervals of samplers",
                    "Time between two looks, as stretched by the budget.",
                    "s",
                    Line(sampler("interval_seconds"), NAME),
                ),
                lines(
                    "Failed looks by reason",
                    "Looks a minute that failed, by sampler and reason.",
                    "looks/min",
                    Line(
                        or_none(
                            "60 * sum by (sampler, source, reason)"
                            f" (rate(postwatch_sampler_failures_total{{{CHOSEN}}}[{RATE}])) > 0",
                            f"rate(postwatch_sampler_failures_total{{{CHOSEN}}}[{RATE}])",
                            sampler="every",
                            source="sampler",
                            reason="no failure",
                        ),
                        "{{sampler}} {{source}}: {{reason}}",
                    ),
                ),
            ),
        ),
        Section(
            "Who is told",
            (
                lines(
                    "Messages by outcome",
                    "Messages a minute that are done with, by receiver and outcome.",
                    "messages/min",
                    Line(a_minute("deliveries_total", "receiver, outcome"), "{{receiver}}: {{outcome}}"),
                    looks=(Look("/: dead$/", RED),),
                    nothing="No alerter",
                ),
                lines(
                    "Time until a message is taken",
                    "From the webhook to the provider's answer: what 99 % stayed within, by receiver.",
                    "s",
                    Line(
                        "histogram_quantile(0.99, sum by (le, receiver)"
                        f" (rate(postwatch_alerter_delivery_seconds_bucket[{RATE}]))) >= 0",
                        "{{receiver}}",
                    ),
                    nothing="Nothing was sent",
                ),
                lines(
                    "Failed attempts by reason",
                    "Attempts a minute that failed, by receiver and reason.",
                    "attempts/min",
                    Line(
                        or_none(
                            f"{a_minute('delivery_failures_total', 'receiver, reason')} > 0",
                            f"rate(postwatch_alerter_delivery_failures_total[{RATE}])",
                            receiver="every receiver",
                            reason="no failure",
                        ),
                        "{{receiver}}: {{reason}}",
                    ),
                    nothing="No alerter",
                ),
                lines(
                    "Fallbacks and escalations",
                    "Messages a minute by another way since the first failed, or to others since nobody acknowledged.",
                    "messages/min",
                    Line(a_minute("fallbacks_total", "job"), "Fallbacks"),
                    Line(a_minute("escalations_total", "job"), "Escalations"),
                    nothing="No alerter",
                ),
                lines(
                    "Processors used",
                    "Of one processor, by daemon.",
                    "percentunit",
                    Line(f"sum by (job) (rate(process_cpu_seconds_total{{{DAEMONS}}}[{RATE}]))", "{{job}}"),
                ),
                lines(
                    "Memory",
                    "Resident memory, by daemon.",
                    "bytes",
                    Line(f"sum by (job) (process_resident_memory_bytes{{{DAEMONS}}})", "{{job}}"),
                ),
            ),
        ),
    ),
)  # fmt: skip
