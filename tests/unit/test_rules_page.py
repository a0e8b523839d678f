"""docs/metrics.md lists what deploy/prometheus records and tells, whole and in words."""

import re

from exporter.docs.rules import MEANINGS, base, labels, shipped
from tests.support.documents import REPOSITORY

PAGE = (REPOSITORY / "docs" / "metrics.md").read_text()
RECORDS, ALERTS = PAGE.partition("## Recording rules")[2].split("## Alerts")


def test_every_recorded_name_is_there_with_its_windows() -> None:
    rows = {row[0]: row[1] for row in re.findall(r"^\| `([\w:]+)` \| ([\w, ]*) \|", RECORDS, re.M)}
    told = {f"{name}{window}" for name, windows in rows.items() for window in windows.split(", ")}
    assert told == {rule["record"] for rule in shipped() if "record" in rule}


def test_every_alert_is_there_with_each_of_its_severities() -> None:
    rows = re.findall(r"^\| \[(\w+)\]\(runbooks/\1\.md\) \| (\w+) \| ([\w ]+) \| (.+) \|$", ALERTS, re.M)
    assert sorted(rows) == sorted(
        (rule["alert"], rule["labels"]["severity"], rule.get("for", "at once"), rule["annotations"]["summary"])
        for rule in shipped()
        if "alert" in rule
    )


def test_nothing_is_explained_that_is_not_recorded() -> None:
    assert set(MEANINGS) == {base(rule["record"]) for rule in shipped() if "record" in rule}


def test_labels_are_read_from_the_rule_or_its_level() -> None:
    guide = {"record": "worker:task_rate", "expr": "60 * sum by (job, source, worker_id) (x)"}
    assert labels(guide) == ["job", "source", "worker_id"]
    slo = {"record": "queue:x:ratio_rate1h", "expr": "avg_over_time(y[1h])", "labels": {"cause": "stalled"}}
    assert labels(slo) == ["job", "source", "queue", "priority", "cause"]
