"""What several dashboards ask Prometheus in the same words."""

# The rate of a counter, as wide as the picture needs it.
RATE = "$__rate_interval"

JOB = 'job=~"$job"'
SOURCE = f'{JOB},source=~"$source"'
QUEUE = f'{SOURCE},queue=~"$queue",priority=~"$priority"'
KEYS = "source, queue, priority"
# Seconds that stand for no end at all.
NEVER = 1e9
NAME = "{{source}}/{{queue}} {{priority}}"

# Alerts that fire, but for the one that always does.
FIRING = 'alertstate="firing",alertname!="Watchdog"'
# What says to whom a daemon of ours belongs, where the same Prometheus scrapes others too.
OURS = 'job=~"postwatch-.+"'


def per_queue(metric: str, how: str = "max", more: str = "") -> str:
    """A gauge by queue; `more` are further matchers, each with a comma before it."""
    return f"{how} by ({KEYS}) ({metric}{{{QUEUE}{more}}})"


def ended(window: str, outcome: str = "", by: str = KEYS) -> str:
    """Jobs that ended a second; `outcome` is a matcher such as `="failed"`."""
    more = f",outcome{outcome}" if outcome else ""
    return f"sum by ({by}) (rate(postwatch_queue_jobs_finished_total{{{QUEUE}{more}}}[{window}]))"


def ended_a_minute(outcome: str = "", by: str = KEYS) -> str:
    """The same a minute, over the picture's interval."""
    return f"60 * {ended(RATE, outcome, by)}"


def ended_within(window: str, outcome: str) -> str:
    """Jobs by queue that ended so within the window; rounded, since increase() extrapolates."""
    return (
        f"round(sum by ({KEYS})"
        f' (increase(postwatch_queue_jobs_finished_total{{{QUEUE},outcome="{outcome}"}}[{window}])))'
    )


def or_none(failures: str, whole: str, **words: str) -> str:
    """What failed, where something did, and else a line at 0 with these labels: nothing at all means no data."""
    nothing = f"0 * sum({whole})"
    for label, word in words.items():
        nothing = f'label_replace({nothing}, "{label}", "{word}", "", "")'
    return f"{failures}\n  or on ()\n{nothing}"


def ratio(part: str, whole: str) -> str:
    """Absent where the whole is 0: nothing is not nought per cent."""
    return f"{part}\n  /\n({whole} > 0)"


def count_of(what: str, among: str) -> str:
    """How many there are: 0 if none is among what is seen, and absent if nothing is seen."""
    return f"count({what})\n  or\n0 * count({among})"


DEPTH = per_queue("postwatch_queue_depth")


def queue_status() -> str:
    """The platform's colours as a sum of bits, by the thresholds that the exporter was given.

    1: paused. 2: at least `warning` (100) wait. 4: more than `critical` (1,000) wait. 8: more than `critical` (10)
    failed within an hour. Above 3 it is critical, else 2 and 3 are a warning. colours.QUEUE_STATUS has the words.
    """
    warning = per_queue("postwatch_queue_depth_threshold", more=',level="warning"')
    critical = per_queue("postwatch_queue_depth_threshold", more=',level="critical"')
    failures = per_queue("postwatch_queue_failure_threshold", more=',level="critical"')
    return "\n  + ".join(
        (
            f"2 * ({DEPTH} >= bool {warning})",
            f"4 * ({DEPTH} > bool {critical})",
            f"(8 * ({ended_within('1h', 'failed')} > bool {failures}) or 0 * {DEPTH})",
            f"({per_queue('postwatch_queue_paused')} or 0 * {DEPTH})",
        )
    )


def waiting_since() -> str:
    """Seconds that the oldest waiting job has been ready, by queue."""
    return f"time() - {per_queue('postwatch_queue_oldest_waiting_timestamp_seconds', 'min')}"


def longest_wait() -> str:
    """Of all queues; 0 if none waits, and absent if nothing is seen."""
    return f"max({waiting_since()})\n  or\n0 * max({DEPTH})"


def drained_in() -> str:
    """Seconds until nothing waits, at the last minute's pace: 0 if none does, NEVER if as much or more comes in."""
    enqueued = f"sum by ({KEYS}) (rate(postwatch_queue_jobs_enqueued_total{{{QUEUE}}}[1m]))"
    pace = f"clamp_min({ended('1m')} - {enqueued}, 0)"
    return f"clamp_max(\n  ({DEPTH} > 0)\n    /\n  {pace},\n{NEVER:g})\n  or\n{DEPTH} == 0"


def within_target(window: str) -> str:
    """Part of the jobs that were completed within their queue's target, where it has one."""
    part = f"sum by ({KEYS}) (rate(postwatch_queue_jobs_within_target_total{{{QUEUE}}}[{window}]))"
    whole = ended(window, outcome='!="cancelled"')
    return f"{ratio(part, whole)}\n  and\n{per_queue('postwatch_queue_target_seconds')}"


def quantile(share: float, metric: str, matchers: str, *by: str) -> str:
    """A quantile of a histogram over the picture's interval; absent where nothing was observed."""
    labels = ", ".join(("le", *by))
    return f"histogram_quantile({share}, sum by ({labels}) (rate({metric}_bucket{{{matchers}}}[{RATE}]))) >= 0"


def firing(alerts: str = "") -> str:
    """Seconds since when each alert fires; `alerts` is a regular expression of their names, all without one.

    An alert of its own says that the one is missing which always fires: then no rule of ours is evaluated, and that
    none fires means nothing.
    """
    chosen = f',alertname=~"{alerts}"' if alerts else ""
    subject = ", ".join(
        f'"{label}"'
        for label in (
            "source", "queue", "priority", "worker", "target", "ip", "blocklist", "database", "pool", "sampler",
            "receiver", "instance",
        )
    )  # fmt: skip
    unseen = '0 * absent(ALERTS{alertname="Watchdog",alertstate="firing"})'
    told = {"severity": "critical", "alertname": "Watchdog is missing", "subject": "no rule is evaluated"}
    for label, word in told.items():
        unseen = f'label_replace({unseen}, "{label}", "{word}", "", "")'
    return (
        "max by (severity, alertname, subject) (\n  label_join(\n"
        f'    time() - (ALERTS_FOR_STATE{{alertname!="Watchdog"{chosen}}}'
        f" and ignoring (alertstate) ALERTS{{{FIRING}{chosen}}}),\n"
        f'    "subject", " ", {subject}\n  )\n  or\n  {unseen}\n)'
    )
