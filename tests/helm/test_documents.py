"""docs/kubernetes.md: its values are taken by the chart, and its commands name what is there."""

import re
from pathlib import Path

import pytest
import yaml

from tests.helm.chart import CHART, of_kind, one, render
from tests.support.documents import REPOSITORY, Block, blocks

DOCUMENT = REPOSITORY / "docs" / "kubernetes.md"
README = CHART / "README.md"


@pytest.mark.parametrize("block", blocks(DOCUMENT, "yaml"), ids=str)
def test_its_values_are_taken(block: Block, tmp_path: Path) -> None:
    assert render(yaml.safe_load(block.text), folder=tmp_path)


def test_its_switches_are_values(tmp_path: Path) -> None:
    text = "\n".join(block.text for path in (DOCUMENT, README) for block in blocks(path, "sh")) + DOCUMENT.read_text()
    switches = sorted(set(re.findall(r"--set ([\w.]+=[^\s`]+)", text)))
    assert len(switches) >= 6
    for switch in switches:
        render(None, "--set", switch, folder=tmp_path)


def test_what_it_shows_of_a_rendered_chart_is_there() -> None:
    text = "".join(block.text for block in blocks(README, "sh"))
    for shown in re.findall(r"--show-only (\S+)", text):
        assert (CHART / shown).is_file()


def test_what_it_deletes_by_hand_has_the_names_that_the_chart_gives() -> None:
    text = DOCUMENT.read_text()
    deleted = re.findall(r"^kubectl -n mail delete (\S+)(?: ([\w/-]+))?", text, re.M)
    assert deleted == [("statefulset", "postwatch-alerter"), ("secret/postwatch-webhook", "pvc/postwatch-data")]
    sidecar, alone = (render(CHART / "ci" / f"alerter-{name}-values.yaml") for name in ("sidecar", "standalone"))
    assert one(sidecar, "Secret")["metadata"]["name"] == "postwatch-webhook"
    assert one(sidecar, "PersistentVolumeClaim")["metadata"]["name"] == "postwatch-data"
    (stateful,) = of_kind(alone, "StatefulSet")
    (claim,) = stateful["spec"]["volumeClaimTemplates"]
    assert f"{claim['metadata']['name']}-{stateful['metadata']['name']}-0" == "data-postwatch-alerter-0"
    assert "pvc/data-postwatch-alerter-0" in text
    assert "delete pod postwatch-alerter-0" in text
