"""What the dashboards' own words are made of, answered by promtool: colours, and what is said when nothing is seen."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import yaml

from deploy.grafana.promql import NEVER, drained_in, firing, longest_wait, or_none, queue_status
from tests.deploy.promql import plain


def ask(folder: Path, series: list[dict[str, str]], text: str, wanted: list[dict[str, Any]]) -> None:
    """What promtool answers after an hour of samples a minute apart."""
    case = {
        "interval": "1m",
        "input_series": series,
        "promql_expr_test": [{"expr": text, "eval_time": "60m", "exp_samples": wanted}],
    }
    path = folder / "asked_test.yml"
    path.write_text(yaml.safe_dump({"rule_files": [], "tests": [case]}))
    done = subprocess.run(["promtool", "test", "rules", path], text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr


CASES = {
    # waiting, warning above, critical above, failed in an hour, paused: the bits
    "quiet": ((99, 100, 1000, 0, 0), 0),
    "yellow": ((100, 100, 1000, 0, 0), 2),
    "still yellow": ((1000, 100, 1000, 10, 0), 2),
    "red": ((1001, 100, 1000, 0, 0), 6),
    "failing": ((0, 100, 1000, 11, 0), 8),
    "paused": ((5, 100, 1000, 0, 1), 1),
    "paused, yellow": ((500, 100, 1000, 0, 1), 3),
    "of its own": ((60, 50, 500, 0, 0), 2),
    "of its own, red": ((501, 50, 500, 0, 0), 6),
}


def test_a_queues_colour_is_the_platforms_by_its_configured_thresholds(tmp_path: Path) -> None:
    series, wanted = [], []
    for queue, ((depth, warning, critical, failed, paused), bits) in CASES.items():
        labels = f'source="s",queue="{queue}",priority="normal"'
        values = {
            f'postwatch_queue_depth{{job="e",{labels}}}': depth,
            f'postwatch_queue_depth_threshold{{job="e",{labels},level="warning"}}': warning,
            f'postwatch_queue_depth_threshold{{job="e",{labels},level="critical"}}': critical,
            f'postwatch_queue_failure_threshold{{job="e",{labels},level="critical"}}': 10,
            f'postwatch_queue_paused{{job="e",{labels}}}': paused,
        }
        series += [{"series": name, "values": f"{value}x70"} for name, value in values.items()]
        gained = f"0x30 {failed}x40"
        counter = f'postwatch_queue_jobs_finished_total{{job="e",{labels},outcome="failed"}}'
        series.append({"series": counter, "values": gained})
        wanted.append({"labels": f"{{{labels}}}", "value": bits})
    ask(tmp_path, series, plain(queue_status()), wanted)


def counted(queue: str, depth: str, enqueued: int, completed: int) -> list[dict[str, str]]:
    """Series of a queue: its depth, and jobs a minute."""
    labels = f'job="e",source="s",queue="{queue}",priority="normal"'
    return [
        {"series": f"postwatch_queue_depth{{{labels}}}", "values": depth},
        {"series": f"postwatch_queue_jobs_enqueued_total{{{labels}}}", "values": f"0+{enqueued}x70"},
        {
            "series": f'postwatch_queue_jobs_finished_total{{{labels},outcome="completed"}}',
            "values": f"0+{completed}x70",
        },
    ]


def test_a_queue_that_grows_is_never_shown_as_drained(tmp_path: Path) -> None:
    series = [
        *counted("empty", "0x70", 60, 60), *counted("shrinks", "600x70", 60, 120), *counted("grows", "600x70", 120, 60),
        *counted("stands", "600x70", 0, 0),
    ]  # fmt: skip
    # The last minute has no two samples here: two do as well.
    text = plain(drained_in()).replace("[1m]", "[2m]")
    seconds = {"empty": 0, "shrinks": 600, "grows": NEVER, "stands": NEVER}
    wanted = [
        {"labels": f'{{source="s",queue="{queue}",priority="normal"}}', "value": value}
        for queue, value in seconds.items()
    ]
    ask(tmp_path, series, text, wanted)


def test_that_nothing_fails_or_waits_is_said_only_if_something_is_seen(tmp_path: Path) -> None:
    failures = 'postwatch_service_failures_total{job="e",target="api",kind="http",reason="status"}'
    text = or_none(
        "sum by (target, reason) (rate(postwatch_service_failures_total[2m])) > 0",
        "rate(postwatch_service_failures_total[2m])",
        target="every service",
        reason="no failure",
    )
    quiet = [{"series": failures, "values": "0x70"}]
    ask(tmp_path, quiet, text, [{"labels": '{target="every service",reason="no failure"}', "value": 0}])
    failing = [{"series": failures, "values": "0+60x70"}]
    ask(tmp_path, failing, text, [{"labels": '{target="api",reason="status"}', "value": 1}])
    waits = plain(longest_wait())
    ask(tmp_path, counted("empty", "0x70", 60, 60), waits, [{"labels": "{}", "value": 0}])
    for blind in (text, waits):
        ask(tmp_path, [], blind, [])


def test_that_no_alert_fires_is_said_only_if_rules_are_evaluated(tmp_path: Path) -> None:
    missing = '{alertname="Watchdog is missing",severity="critical",subject="no rule is evaluated"}'
    ask(tmp_path, [], firing(), [{"labels": missing, "value": 0}])
    watchdog = 'ALERTS{alertname="Watchdog",alertstate="firing",severity="info",service="postwatch"}'
    ask(tmp_path, [{"series": watchdog, "values": "1x70"}], firing(), [])
