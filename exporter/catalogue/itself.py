"""The exporter about itself."""

from __future__ import annotations

from chassis.exposition import Kind
from exporter.catalogue.metric import COUNTER, GAUGE, HISTOGRAM, Metric, declare

_SAMPLER = ("sampler", "source")
_STATIC = "at once"
_RUN = "each run of the sampler"
_SELF = "The exporter itself"
ITSELF = (
    declare(_SELF, ("version", "python"), "build_info", GAUGE, "always 1", "the exporter", _STATIC,
        "1, with the versions of Postwatch and of Python as labels.", "postwatch_build_info"),
    declare(_SELF, _SAMPLER, "sampler_up", GAUGE, "0 or 1", "the exporter", _RUN,
        "1 if the sampler's last run gave what it should, 0 if it failed or none has ended yet.",
        "postwatch_sampler_up == 0"),
    declare(_SELF, _SAMPLER, "sampler_last_success_timestamp_seconds", GAUGE, "epoch seconds", "the exporter", _RUN,
        "When the sampler last succeeded.", "time() - postwatch_sampler_last_success_timestamp_seconds"),
    declare(_SELF, _SAMPLER, "sampler_duration_seconds", HISTOGRAM, "seconds", "the exporter", _RUN,
        "How long the sampler's runs took.",
        "histogram_quantile(0.95, sum by (le, sampler) (rate(postwatch_sampler_duration_seconds_bucket[5m])))"),
    declare(_SELF, _SAMPLER, "sampler_runs_total", COUNTER, "runs", "the exporter", _RUN,
        "Runs of the sampler, failed ones included.", "rate(postwatch_sampler_runs_total[5m])"),
    declare(_SELF, (*_SAMPLER, "reason"), "sampler_failures_total", COUNTER, "runs", "the exporter", _RUN,
        "Failed runs of the sampler by reason.", "increase(postwatch_sampler_failures_total[10m]) > 0"),
    declare(_SELF, _SAMPLER, "sampler_interval_seconds", GAUGE, "seconds", "the exporter", _RUN,
        "Time between the sampler's runs, as stretched by the budget.", "postwatch_sampler_interval_seconds > 10"),
    declare(_SELF, _SAMPLER, "sampler_source_seconds_total", COUNTER, "seconds", "the exporter", _RUN,
        "Time that PostgreSQL or Redis spent on the sampler: what the budget bounds.",
        "sum by (source) (rate(postwatch_sampler_source_seconds_total[5m]))"),
    declare(_SELF, (), "config_last_reload_successful", GAUGE, "0 or 1", "the exporter", "at once",
        "1 if the configuration file as it is now is in use, 0 if it was refused.",
        "postwatch_config_last_reload_successful == 0"),
    declare(_SELF, (), "config_last_reload_timestamp_seconds", GAUGE, "epoch seconds", "the exporter", "at once",
        "When a configuration was last taken over.", "time() - postwatch_config_last_reload_timestamp_seconds"),
)  # fmt: skip


def _process(name: str, kind: Kind, unit: str, help: str, query: str) -> Metric:
    return Metric(f"process_{name}", kind, (), help, unit, _SELF, "the operating system", "5 s", query)


PROCESS = (
    _process("cpu_seconds_total", COUNTER, "seconds", "Total user and system CPU time spent in seconds.",
        "rate(process_cpu_seconds_total[5m])"),
    _process("resident_memory_bytes", GAUGE, "bytes", "Resident memory size in bytes.",
        "process_resident_memory_bytes"),
    _process("virtual_memory_bytes", GAUGE, "bytes", "Virtual memory size in bytes.", "process_virtual_memory_bytes"),
    _process("start_time_seconds", GAUGE, "epoch seconds", "Start time of the process since unix epoch in seconds.",
        "time() - process_start_time_seconds"),
    _process("open_fds", GAUGE, "descriptors", "Number of open file descriptors.", "process_open_fds"),
    _process("max_fds", GAUGE, "descriptors", "Maximum number of open file descriptors.", "process_max_fds"),
)  # fmt: skip
