"""One version for package, chart and image; a bill of materials of what is released."""

import json
import re
import subprocess
import tomllib

import pytest
import yaml
from packaging.utils import canonicalize_name

from tests.support.documents import REPOSITORY

VERSION: str = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]


def test_the_version_stands_in_one_place() -> None:
    chart = yaml.safe_load((REPOSITORY / "helm" / "postwatch" / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (VERSION, VERSION), "run `make chart`"
    told = subprocess.run(["make", "--dry-run", "image"], cwd=REPOSITORY, text=True, capture_output=True, check=True)
    assert f"--build-arg VERSION={VERSION}" in told.stdout
    assert f"--tag postwatch:{VERSION}" in told.stdout
    assert re.search(r"^ARG VERSION$", (REPOSITORY / "Dockerfile").read_text(), re.M), "the image is told it"


def test_what_is_not_released_yet_stands_first_in_the_changelog() -> None:
    titles = re.findall(r"^## \[(.+?)\]", (REPOSITORY / "CHANGELOG.md").read_text(), re.M)
    assert titles[0] == "Unreleased"


@pytest.mark.soak  # it makes two environments
@pytest.mark.timeout(600)
def test_the_bill_of_materials_names_all_that_the_image_has() -> None:
    subprocess.run(["make", "sbom"], cwd=REPOSITORY, text=True, capture_output=True, check=True)
    bill = json.loads((REPOSITORY / "dist" / f"postwatch-{VERSION}.cdx.json").read_text())
    assert bill["metadata"]["component"]["name"] == "postwatch"
    named = {canonicalize_name(each["name"]): each for each in bill["components"]}
    text = (REPOSITORY / "requirements" / "runtime.txt").read_text()
    wanted = {canonicalize_name(name) for name, marker in re.findall(r"^([\w.-]+)==\S+( ;)?", text, re.M) if not marker}
    assert wanted <= set(named)
    assert [name for name, each in named.items() if not each.get("licenses") and name != "postwatch"] == []
