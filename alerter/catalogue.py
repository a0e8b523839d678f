"""Every metric that the alerter serves, declared once: code, documentation and tests read this."""

from __future__ import annotations

from dataclasses import dataclass

from chassis.exposition import Family, Kind

COUNTER, GAUGE, HISTOGRAM = Kind.COUNTER, Kind.GAUGE, Kind.HISTOGRAM
BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 35.0, 60.0, 300.0, 3600.0, 21600.0)


# Every label, and what it says.
LABELS = {
    "code": "HTTP status that a webhook was answered with: 200, 400, 401, 413, 503",
    "status": "`firing` or `resolved`, as Alertmanager says it",
    "alert_severity": "`critical`, `warning`, `info` or `other`, by the alert's label `severity`",
    "receiver": "name of the receiver in the configuration",
    "outcome": "how a delivery ended: `accepted`, `dead`, `superseded`, `collapsed`",
    "reason": "why an attempt failed, as in the table above",
    "state": "of a receiver: `ok`, `throttled` (asked to pause) or `open` (it refuses us, or nothing gets through)",
    "version": "of Postwatch",
    "python": "version of Python",
}


@dataclass(frozen=True)
class Metric:
    """A declared metric; `query` is an example in PromQL."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    unit: str
    help: str
    query: str

    @property
    def family(self) -> Family:
        """As the exposition needs it."""
        return Family(self.name, self.kind, self.help)


def _own(labels: tuple[str, ...], name: str, kind: Kind, unit: str, help: str, query: str) -> Metric:
    return Metric(f"postwatch_alerter_{name}", kind, labels, unit, help, query)


_RECEIVER = ("receiver",)
CATALOGUE: tuple[Metric, ...] = (
    _own(("code",), "webhooks_total", COUNTER, "webhooks", "Webhooks by the status that was answered.",
        'rate(postwatch_alerter_webhooks_total{code!="200"}[5m]) > 0'),
    _own(("status", "alert_severity"), "alerts_total", COUNTER, "alerts", "Alerts in webhooks that were taken in.",
        "sum by (alert_severity) (rate(postwatch_alerter_alerts_total[5m]))"),
    _own(("receiver", "outcome"), "deliveries_total", COUNTER, "deliveries",
        "Deliveries that are done with: accepted, dead, superseded, collapsed.",
        'increase(postwatch_alerter_deliveries_total{outcome="dead"}[1h]) > 0'),
    _own(("receiver", "reason"), "delivery_failures_total", COUNTER, "attempts", "Failed attempts by reason.",
        "sum by (receiver, reason) (increase(postwatch_alerter_delivery_failures_total[10m])) > 0"),
    _own(("receiver", "alert_severity"), "delivery_seconds", HISTOGRAM, "seconds",
        "From the webhook to the provider's acceptance.",
        "histogram_quantile(0.99, sum by (le) (rate(postwatch_alerter_delivery_seconds_bucket[5m])))"),
    _own(_RECEIVER, "outbox_pending", GAUGE, "deliveries", "Deliveries that wait or are under way.",
        "postwatch_alerter_outbox_pending > 100"),
    _own(_RECEIVER, "outbox_oldest_timestamp_seconds", GAUGE, "epoch seconds",
        "When the oldest of them was queued; absent if there is none.",
        "time() - postwatch_alerter_outbox_oldest_timestamp_seconds > 60"),
    _own(_RECEIVER, "dead_letters", GAUGE, "deliveries", "Deliveries that were given up.",
        "postwatch_alerter_dead_letters > 0"),
    _own(("receiver", "state"), "receiver_state", GAUGE, "0 or 1",
        "1 for the state that the receiver is in: ok, throttled, open.",
        'postwatch_alerter_receiver_state{state="open"} == 1'),
    _own((), "fallbacks_total", COUNTER, "deliveries",
        "Deliveries to somebody else, since a receiver did not accept in time, refuses us, or gave the message up.",
        "increase(postwatch_alerter_fallbacks_total[1h]) > 0"),
    _own((), "escalations_total", COUNTER, "deliveries", "Deliveries since nobody acknowledged.",
        "increase(postwatch_alerter_escalations_total[1d])"),
    _own((), "template_failures_total", COUNTER, "messages",
        "Templates that failed, so that the built-in text was sent.",
        "increase(postwatch_alerter_template_failures_total[1h]) > 0"),
    _own((), "deadman_last_seen_timestamp_seconds", GAUGE, "epoch seconds",
        "When the watchdog last arrived; absent before the first.",
        "time() - postwatch_alerter_deadman_last_seen_timestamp_seconds > 180"),
    _own((), "reconciled_total", COUNTER, "alerts", "Alerts that were closed since no Alertmanager has them any more.",
        "increase(postwatch_alerter_reconciled_total[1d])"),
    _own((), "reconcile_last_success_timestamp_seconds", GAUGE, "epoch seconds",
        "When all Alertmanagers last answered; absent before.",
        "time() - postwatch_alerter_reconcile_last_success_timestamp_seconds > 600"),
    Metric("postwatch_config_last_reload_successful", GAUGE, (), "0 or 1",
        "1 if the configuration file as it is now is in use, 0 if it was refused.",
        "postwatch_config_last_reload_successful == 0"),
    Metric("postwatch_config_last_reload_timestamp_seconds", GAUGE, (), "epoch seconds",
        "When a configuration was last taken over.", "time() - postwatch_config_last_reload_timestamp_seconds"),
    Metric("postwatch_build_info", GAUGE, ("version", "python"), "always 1",
        "1, with the versions of Postwatch and of Python as labels.", "postwatch_build_info"),
    Metric("process_cpu_seconds_total", COUNTER, (), "seconds", "Total user and system CPU time spent in seconds.",
        "rate(process_cpu_seconds_total[5m])"),
    Metric("process_resident_memory_bytes", GAUGE, (), "bytes", "Resident memory size in bytes.",
        "process_resident_memory_bytes"),
    Metric("process_virtual_memory_bytes", GAUGE, (), "bytes", "Virtual memory size in bytes.",
        "process_virtual_memory_bytes"),
    Metric("process_start_time_seconds", GAUGE, (), "epoch seconds",
        "Start time of the process since unix epoch in seconds.", "time() - process_start_time_seconds"),
    Metric("process_open_fds", GAUGE, (), "descriptors", "Number of open file descriptors.", "process_open_fds"),
    Metric("process_max_fds", GAUGE, (), "descriptors", "Maximum number of open file descriptors.",
        "process_max_fds"),
)  # fmt: skip
