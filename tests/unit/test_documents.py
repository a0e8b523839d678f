"""What the documents say of this repository is so; tests/acceptance/test_readme.py does what they tell."""

import re
import subprocess
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from tests.support.documents import DOCUMENTS, REPOSITORY, Block, blocks, prose

MARKS = {None, "install", "run", "serve", "postwatch.yml"}
BLOCKS = [block for document in DOCUMENTS for block in blocks(document)]
LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")
TARGETS = set(re.findall(r"^([a-z]+):.*## ", (REPOSITORY / "Makefile").read_text(), re.M))


def anchors(document: Path) -> set[str]:
    """The names that headings can be linked by, as forges make them."""
    headings = re.findall(r"^#+ (.+)$", prose(document), re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_fence_is_closed_and_seen(document: Path) -> None:
    assert len(re.findall(r"^\s*```", document.read_text(), re.M)) == 2 * len(blocks(document))


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_a_block_is_well_formed(block: Block) -> None:
    assert block.mark in MARKS
    match block.language:
        case "sh":
            subprocess.run(["sh", "-n"], input=block.text, text=True, check=True)
        case "yaml":
            assert isinstance(yaml.safe_load(block.text), dict)
        case _:
            assert block.language in {"", "sql", "promql"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere_and_pictures_are_described(document: Path) -> None:
    for link in LINK.finditer(prose(document)):
        path, _, anchor = link["target"].partition("#")
        if "://" in path:
            continue
        target = document.parent / path if path else document
        assert target.exists(), link["target"]
        assert not anchor or anchor in anchors(target), link["target"]
        assert link["text"].strip(), f"{link['target']} has no words"


def test_every_make_target_that_is_named_exists_and_the_other_way_round() -> None:
    named = {
        target
        for document in DOCUMENTS
        for target in re.findall(r"\bmake ([a-z]+)\b(?=`| ARGS| PYTHON|$)", document.read_text(), re.M)
    }
    assert named <= TARGETS
    assert TARGETS - {"help", "clean"} <= named


@pytest.mark.parametrize("picture", sorted((REPOSITORY / "docs").rglob("*.svg")), ids=lambda path: path.name)
def test_a_picture_says_in_words_what_it_shows(picture: Path) -> None:
    root = ElementTree.parse(picture).getroot()
    words = {child.tag.rpartition("}")[2]: (child.text or "").strip() for child in root}
    assert words["title"]
    assert words["desc"]


def test_the_changelog_knows_this_version_or_what_is_to_be_released() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    headings = re.findall(r"^## \[(.+?)\]", (REPOSITORY / "CHANGELOG.md").read_text(), re.M)
    assert headings[0] in {"Unreleased", project["version"]}


def test_the_readme_names_the_versions_of_python_that_the_package_takes() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == ">=3.11,<3.14"
    for document in ("README.md", "CONTRIBUTING.md"):
        assert "Python 3.11 to 3.13" in (REPOSITORY / document).read_text()


def test_the_licence_is_whole() -> None:
    text = (REPOSITORY / "LICENSE").read_text()
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
