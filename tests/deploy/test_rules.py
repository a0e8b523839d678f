"""The rules of deploy/prometheus: well-formed, tested, documented, and made of metrics that there are."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.deploy.promql import KNOWN, read
from tests.deploy.rules import FOLDER, RULES, RUNBOOKS, UNIT_TESTS, Rule, rules, written

ALL = rules()
ALERTS = [rule for rule in ALL if rule.alert]
GUIDE = {"HighQueueDepth", "HighFailureRate", "NoActiveWorkers", "WorkerUnhealthy", "DatabaseConnectionPoolExhausted"}
# Each file's prefix; the guide's names are what they are, and so is the usual name of the dead man's switch.
PREFIXES = {
    "anomaly": "QueueAnomaly",
    "forecast": "Queue",
    "itself": "Postwatch",
    "queues": "Queue",
    "reputation": "Reputation",
    "services": "Service",
    "slo-alerts": "Slo",
}
SYMPTOMS = {"symptom-high-queue-depth", "symptom-high-failure-rate", "symptom-worker-unhealthy", "symptom-database"}
REASONS = "alerter-says"  # by the alerter's own words: tests/unit/alerter/test_reference_pages.py
START = "README"
PAGES = sorted(path for path in RUNBOOKS.glob("*.md") if path.stem not in {REASONS, START})


def promtool(*arguments: str | Path) -> None:
    done = subprocess.run(["promtool", *arguments], text=True, capture_output=True, cwd=FOLDER)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_takes_the_configuration_and_the_rules() -> None:
    promtool("check", "config", "prometheus.yml")
    assert len(ALL) == sum(len(group["rules"]) for path in RULES for group in written(path)["groups"])


@pytest.mark.parametrize("path", UNIT_TESTS, ids=lambda path: path.stem)
def test_the_rules_do_what_their_unit_tests_say(path: Path) -> None:
    promtool("test", "rules", path)


def test_every_alert_has_a_firing_a_quiet_and_a_missing_data_case() -> None:
    cases = set()
    for path in UNIT_TESTS:
        for case in written(path)["tests"]:
            match = re.fullmatch(r"(\w+) (fires|stays quiet|without data) \((\w+)\)(?: .+)?", case["name"])
            assert match, case["name"]
            alert, what, severity = match.groups()
            (asked,) = case["alert_rule_test"]
            assert asked["alertname"] == alert
            fired = [one["exp_labels"]["severity"] for one in asked["exp_alerts"]]
            assert what == "without data" or (severity in fired) == (what == "fires"), case["name"]
            cases.add(f"{alert} ({severity}) {what}")
    wanted = {f"{rule} {what}" for rule in ALERTS for what in ("fires", "stays quiet", "without data")}
    wanted.remove("Watchdog (info) stays quiet")  # it never is
    assert wanted == cases


@pytest.mark.parametrize("rule", ALL, ids=str)
def test_a_rule_reads_only_what_there_is(rule: Rule) -> None:
    found = read(rule.expr)
    assert found <= KNOWN, found - KNOWN
    assert found or rule.name == "Watchdog"


@pytest.mark.parametrize("rule", ALERTS, ids=str)
def test_an_alert_says_what_a_person_and_a_route_need(rule: Rule) -> None:

    name, body = rule.name, rule.body
    assert re.fullmatch(r"([A-Z][a-z]+)+", name)
    assert set(body["labels"]) == {"severity", "service"}
    assert body["labels"]["severity"] in {"critical", "warning", "info"}
    notes = body["annotations"]
    assert set(notes) == {"summary", "description", "runbook_url", "dashboard_url"}
    assert "{{" not in notes["summary"]
    assert notes["runbook_url"] == f"{{{{ $externalLabels.runbooks }}}}/{name}.md"
    assert notes["dashboard_url"].startswith("{{ $externalLabels.dashboards }}/d/postwatch-")
    if body["labels"]["severity"] == "critical":
        assert body.get("for", "0s") in {"0s", "10s", "30s", "5m"}


def test_alerts_are_named_alike_and_the_guides_names_are_kept() -> None:
    assert {rule.name for rule in ALERTS} >= GUIDE
    for path in RULES:
        found = [rule["alert"] for group in written(path)["groups"] for rule in group["rules"] if "alert" in rule]
        ours = set(found) - GUIDE - {"Watchdog", "AlertmanagerNotificationsFailing"}
        assert all(name.startswith(PREFIXES[path.stem]) for name in ours), (path, ours)


def test_the_links_have_one_place_and_leave_prometheus_as_no_labels() -> None:
    configured = written(FOLDER / "prometheus.yml")
    assert set(configured["global"]["external_labels"]) == {"runbooks", "dashboards"}
    assert configured["alerting"]["alert_relabel_configs"] == [{"regex": "runbooks|dashboards", "action": "labeldrop"}]
    assert not [path for path in RULES if "://" in path.read_text()]


def test_postwatch_is_scraped_and_its_rules_are_evaluated_every_five_seconds() -> None:
    jobs = {job["job_name"]: job for job in written(FOLDER / "prometheus.yml")["scrape_configs"]}
    assert {name: job.get("scrape_interval") for name, job in jobs.items()} == {
        "postwatch-exporter": "5s", "postwatch-alerter": "5s", "alertmanager": None, "prometheus": None,
    }  # fmt: skip
    for name in ("queues", "workers", "services", "stores", "reputation", "itself", "compatibility"):
        groups = written(FOLDER / "rules" / f"{name}.yml")["groups"]
        assert {group["interval"] for group in groups} == {"5s"}


# Runbooks


def test_every_alert_has_a_runbook_and_every_runbook_an_alert_or_a_symptom() -> None:
    found = {path.stem for path in RUNBOOKS.glob("*.md")}
    assert found == {rule.name for rule in ALERTS} | SYMPTOMS | {REASONS, START}


def test_the_first_page_leads_to_each_symptom_and_names_files_and_names_as_they_are_installed() -> None:
    text = (RUNBOOKS / "README.md").read_text()
    assert set(re.findall(r"\]\(([\w-]+)\.md\)", text)) >= {*SYMPTOMS, REASONS}
    deploy, chart = FOLDER.parent, FOLDER.parents[1] / "helm" / "postwatch" / "templates"
    for path, place in (
        ("/etc/postwatch/exporter.yml", deploy / "systemd" / "postwatch-exporter.service"),
        ("/opt/postwatch/bin/postwatch-exporter", deploy / "systemd" / "postwatch-exporter.service"),
        ("/etc/postwatch/credentials", deploy / "systemd" / "postwatch-exporter.service"),
        ("/etc/postwatch/exporter.yml", deploy / "compose.yaml"),
        ("--container exporter -- ", chart / "NOTES.txt"),
        ("/etc/postwatch/exporter/exporter.yml", chart / "NOTES.txt"),
    ):
        assert path in text
        assert path in place.read_text(), place


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_runbook_says_what_it_has_to(path: Path) -> None:
    text = path.read_text()
    assert re.findall(r"^## (.+)$", text, re.M) == ["Meaning", "Impact", "Diagnosis", "Mitigation"]
    diagnosis = text.partition("## Diagnosis")[2].partition("## Mitigation")[0]
    assert "```" in diagnosis
    assert "(README.md#where-the-commands-are-run)" in diagnosis
    assert all(part.strip() for part in re.split(r"^## .+$", text, flags=re.M)[1:])
