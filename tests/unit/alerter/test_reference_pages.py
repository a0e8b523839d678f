"""The alerter's reference pages and its runbook say what the code says."""

import re

from alerter.catalogue import CATALOGUE, LABELS
from alerter.docs.__main__ import main
from alerter.docs.metrics import REASONS
from alerter.duties import itself
from alerter.model import Reason
from alerter.routing.policy import DEADMAN
from alerter.settings import AlerterSettings, Reconcile
from tests.deploy.rules import rules
from tests.support.documents import REPOSITORY, has_all_settings

METRICS = (REPOSITORY / "docs" / "alerter-metrics.md").read_text()
CONFIGURATION = (REPOSITORY / "docs" / "alerter-configuration.md").read_text()
RUNBOOK = (REPOSITORY / "docs" / "runbooks" / "alerter-says.md").read_text()


def test_the_pages_are_as_the_code_would_have_them() -> None:
    assert main(["--check"]) == 0, "run `make docs`"


def test_every_metric_has_its_place_and_no_other_has_one() -> None:
    names = [metric.name for metric in CATALOGUE]
    assert re.findall(r"^### (\w+)$", METRICS, re.M) == names
    for page in (METRICS, CONFIGURATION, RUNBOOK):
        named = set(re.findall(r"\b(?:postwatch|process)_[a-z_]+", page))
        assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in named} <= {*names, *named & set(names)}


def test_no_metric_goes_without_words_and_every_label_is_explained() -> None:
    for metric in CATALOGUE:
        assert all(said.strip() for said in (metric.help, metric.unit, metric.query)), metric.name
        assert metric.help.endswith(".")
    assert {label for metric in CATALOGUE for label in metric.labels} == set(LABELS)


def test_every_setting_has_its_place_and_is_explained() -> None:
    has_all_settings(CONFIGURATION, AlerterSettings)


def test_every_reason_of_a_failure_is_explained_and_has_its_part_of_the_runbook() -> None:
    assert set(REASONS) == set(Reason)
    assert re.findall(r"^## (\S+)$", RUNBOOK, re.M) == [reason.value for reason in Reason]
    for part in re.split(r"^## ", RUNBOOK, flags=re.M)[1:-1]:
        assert re.search(r"^1\. ", part, re.M), part.splitlines()[0]


def test_every_alert_of_its_own_has_its_part_of_the_runbook() -> None:
    own = {itself.DEAD_LETTERS, itself.FAILING, itself.TOO_LARGE, itself.TRUNCATED, DEADMAN}
    assert set(re.findall(r"^### (\w+)$", RUNBOOK, re.M)) == own


def test_nothing_is_reconciled_while_an_alert_says_that_it_cannot_be_seen() -> None:
    (unless,) = Reconcile().unless
    blind = {rule.name for rule in rules() if rule.alert and unless.matches({"alertname": rule.name})}
    assert unless.matches({"alertname": DEADMAN})  # without Prometheus an alert is gone from Alertmanager as well
    assert blind == {
        "PostwatchExporterDown", "PostwatchExporterAbsent", "PostwatchSamplerFailing", "PostwatchSamplerStale",
    }  # fmt: skip
