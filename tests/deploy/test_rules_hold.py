"""What holds for every alert, by its own firing case: a missed scrape does not end it, and it keeps a team's label."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.rules import FOLDER, UNIT_TESTS, written

# They tell of scrapes themselves, or fire always.
OF_SCRAPES = {
    "PostwatchExporterDown", "PostwatchExporterAbsent", "PostwatchAlerterDown", "PostwatchAlerterAbsent", "Watchdog",
    "SloPostwatchBurn",
}  # fmt: skip
# Of all queues together, or by the guide's names, which have its labels; and what the alerter and Alertmanager tell.
OF_NOBODY = {
    *OF_SCRAPES, "HighQueueDepth", "HighFailureRate", "DatabaseConnectionPoolExhausted",
    "PostwatchNotificationsFailing", "PostwatchNotificationsLost", "AlertmanagerNotificationsFailing",
}  # fmt: skip
FIRING = re.compile(r"(\w+) fires \((\w+)\)(?: .+)?")
TEAM = 'team="delivery"'


def length(values: str) -> int:
    """How many samples, missing ones included, promtool makes of this: `1+2x3` is four, `_x3` are three."""
    times = [(token.startswith("_"), re.fullmatch(r".+x(\d+)", token)) for token in values.split()]
    return sum(1 if found is None else int(found[1]) + (not gap) for gap, found in times)


def seconds(duration: str) -> int:
    """Of Prometheus' kind, such as `1h30m`."""
    return sum(
        int(n) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[unit] for n, unit in re.findall(r"(\d+)(\w)", duration)
    )


def asked(alert: str, severity: str, more: str, at: int) -> dict[str, Any]:
    """Whether it fires then."""
    matchers = f'alertname="{alert}",severity="{severity}",alertstate="firing"{more}'
    return {
        "expr": f"count(ALERTS{{{matchers}}}) > bool 0",
        "eval_time": f"{at}s",
        "exp_samples": [{"labels": "{}", "value": 1}],
    }


def changed(case: dict[str, Any]) -> dict[str, Any] | None:
    """The firing case of an alert with a team's label, whose scrape is missed at the end; None for another case."""
    match = FIRING.fullmatch(case["name"])
    if match is None or match[1] == "Watchdog":
        return None
    alert, severity = match.groups()
    series = case.get("input_series", [])
    end = max((length(one["values"]) for one in series), default=0) * seconds(case["interval"])
    expected = []
    if alert not in OF_NOBODY:
        expected.append(asked(alert, severity, f",{TEAM}", seconds(case["alert_rule_test"][0]["eval_time"])))
    if alert not in OF_SCRAPES:
        expected.append(asked(alert, severity, "", end))
    return {
        **{key: value for key, value in case.items() if key != "alert_rule_test"},
        "input_series": [
            {"series": one["series"].replace("}", f",{TEAM}}}"), "values": f"{one['values']} stale"} for one in series
        ],
        "promql_expr_test": expected,
    }


@pytest.mark.parametrize("path", UNIT_TESTS, ids=lambda path: path.stem)
def test_an_alert_goes_on_when_a_scrape_is_missed_and_keeps_its_team(path: Path, tmp_path: Path) -> None:
    """An exporter that is restarted, or slow once, would close every incident, and open it anew after its `for`."""
    given = written(path)
    given["rule_files"] = [str(FOLDER / "rules" / Path(name).name) for name in given["rule_files"]]
    given["tests"] = [case for case in map(changed, given["tests"]) if case and case["promql_expr_test"]]
    (tmp_path / path.name).write_text(yaml.safe_dump(given))
    done = subprocess.run(["promtool", "test", "rules", tmp_path / path.name], text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_samples_are_counted_as_promtool_counts_them() -> None:
    assert [length(text) for text in ("1", "0x2", "0+4x60", "0 0 1x8", "1x2 stale", "1 _x3 2")] == [1, 3, 61, 11, 4, 5]
    assert [seconds(text) for text in ("15s", "2m", "1h30m", "75m", "1d")] == [15, 120, 5400, 4500, 86400]
