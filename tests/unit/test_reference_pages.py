"""docs/metrics.md and docs/configuration.md say what the code says."""

import re
from pathlib import Path

import pytest

from exporter import labels
from exporter.catalogue import CATALOGUE, LABELS
from exporter.docs.__main__ import main
from exporter.docs.metrics import REASONS
from exporter.docs.page import table
from exporter.model import Reason
from exporter.settings import ExporterSettings
from tests.support.documents import REPOSITORY, has_all_settings

METRICS = (REPOSITORY / "docs" / "metrics.md").read_text()
CONFIGURATION = (REPOSITORY / "docs" / "configuration.md").read_text()


def test_the_pages_are_as_the_code_would_have_them() -> None:
    assert main(["--check"]) == 0, "run `make docs`"


def test_a_page_out_of_date_is_told_and_written_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = ["--folder", str(tmp_path)]
    assert main([*folder, "--check"]) == 1
    assert capsys.readouterr().err.count("out of date: run `make docs`") == 2
    assert main(folder) == 0
    assert main([*folder, "--check"]) == 0
    (tmp_path / "metrics.md").write_text("by hand")
    assert main([*folder, "--check"]) == 1
    assert (tmp_path / "metrics.md").read_text() == "by hand"


def test_a_folder_that_is_none_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--folder", str(tmp_path / "nowhere")])
    assert ended.value.code == 2


def test_every_metric_has_its_place_and_no_other_has_one() -> None:
    assert re.findall(r"^### (\w+)$", METRICS, re.M) == [metric.name for metric in CATALOGUE]
    own, _, _ = METRICS.partition("## Recording rules")
    named = set(re.findall(r"\b(?:postwatch|process)_[a-z_]+", own))
    assert {name for name in named if not known(name)} == set()


def known(name: str) -> bool:
    names = {metric.name for metric in CATALOGUE}
    return name in names or re.sub(r"_(bucket|sum|count)$", "", name) in names


def test_every_setting_has_its_place() -> None:
    has_all_settings(CONFIGURATION, ExporterSettings)


def test_no_metric_and_no_setting_goes_without_words() -> None:
    for metric in CATALOGUE:
        for said in (metric.help, metric.unit, metric.source, metric.fresh, metric.query):
            assert said.strip(), metric.name
        assert metric.help.endswith("."), metric.name
        assert "\n" not in metric.help


def test_every_label_is_explained_and_taken() -> None:
    used = {label for metric in CATALOGUE for label in metric.labels}
    assert used == set(LABELS)
    assert used <= labels.USED
    assert not used & labels.BANNED


def test_every_reason_of_a_failure_is_explained() -> None:
    assert set(REASONS) == set(Reason)


def test_no_place_of_a_template_is_left_open() -> None:
    for page in (METRICS, CONFIGURATION):
        assert page.count("<!--") == 1  # that it is generated


def test_a_cell_cannot_break_its_table() -> None:
    assert table(("a",), [("x | y\nz",)]) == "| a |\n| --- |\n| x \\| y z |\n"
