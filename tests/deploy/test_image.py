"""The Dockerfile, read as an engine reads it: what reaches the build, and what the build makes of it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path, PurePosixPath

import pytest

from tests.support.documents import REPOSITORY

DOCKERFILE = (REPOSITORY / "Dockerfile").read_text()
IGNORED = [line for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
# Instructions with their continued lines as one.
INSTRUCTIONS = re.findall(r"^([A-Z]+) +(.+)$", re.sub(r"^#.*\n|\\\n", "", DOCKERFILE, flags=re.M), re.M)
PACKAGES = ("alerter", "chassis", "demo", "exporter")


def pattern(glob: str) -> re.Pattern[str]:
    """A line of .dockerignore: `*` stays within a folder, `**/` is any number of them."""
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", glob.strip("/"))
    said = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(said.get(part, re.escape(part)) for part in parts))


def sent(path: str, lines: list[str] = IGNORED) -> bool:
    """Whether a file is sent to the engine: the last line that matches it, or a folder above it, decides."""
    above = [path, *(str(each) for each in PurePosixPath(path).parents)][:-1]
    answer = True
    for line in lines:
        found = pattern(line.removeprefix("!"))
        if any(found.fullmatch(each) for each in above):
            answer = line.startswith("!")
    return answer


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The work folder of the build's stage, once everything is copied."""
    work = tmp_path_factory.mktemp("src")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY, text=True, capture_output=True, check=True,
    )  # fmt: skip
    there = [path for path in listed.stdout.splitlines() if sent(path) and (REPOSITORY / path).is_file()]
    for kind, rest in INSTRUCTIONS:
        if kind != "COPY" or rest.startswith("--from"):
            continue
        *sources, target = rest.split()
        for source in sources:
            found = [path for path in there if path == source or path.startswith(f"{source}/")]
            assert found, f"COPY {rest}: nothing of {source} is sent"
            for path in found:
                inside = path.removeprefix(f"{source}/") if path != source else Path(source).name
                place = work / target / inside
                if path == source and not target.endswith("/"):
                    place = work / target
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(REPOSITORY / path, place)
    return work


def test_lines_are_read_as_engines_read_them() -> None:
    lines = ["*", "!demo", "!requirements/runtime.txt", "**/*.pyc", "**/__pycache__"]
    told = {path: sent(path, lines) for path in [
        "demo/a/b.sql", "demo/a/b.pyc", "demo/__pycache__/x", "requirements/runtime.txt", "requirements/dev.txt", "x",
    ]}  # fmt: skip
    assert [path for path, is_sent in told.items() if is_sent] == ["demo/a/b.sql", "requirements/runtime.txt"]


def test_no_secret_and_nothing_of_git_reaches_the_engine() -> None:
    for path in (
        ".git/config",
        ".env",
        "deploy/compose/secrets/database-url",
        "demo/__pycache__/x.pyc",
        ".venv/bin/pip",
    ):
        assert not sent(path), path


@pytest.mark.timeout(120)
def test_what_is_copied_makes_the_whole_wheel(copied: Path, tmp_path: Path) -> None:
    (build,) = [rest for kind, rest in INSTRUCTIONS if kind == "RUN" and " pip wheel " in rest]
    options = re.findall(r"pip wheel (.+?) --wheel-dir", build)[0].split()
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", *options, "--wheel-dir", tmp_path, "."]
    done = subprocess.run(pip, cwd=copied, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    ours = {
        str(path.relative_to(REPOSITORY))
        for package in PACKAGES
        for path in (REPOSITORY / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == ours


def test_both_environments_are_made_of_locks_that_are_copied_before(copied: Path) -> None:
    asked = re.findall(r"pip install --require-hashes -r (\S+)", DOCKERFILE)
    assert asked == ["requirements/runtime.txt", "requirements/demo.txt"]
    assert all((copied / path).is_file() for path in asked)
    # Whatever else is installed is the wheel that was built here.
    run = "\n".join(rest for kind, rest in INSTRUCTIONS if kind == "RUN")
    others = re.findall(r"pip install (?!--require-hashes)(.+?)(?: &&|$)", run, re.M)
    assert [other.strip() for other in others] == ["--no-deps /wheels/*.whl"] * 2


def test_every_stage_stands_on_one_base_that_can_be_pinned() -> None:
    bases = [rest.split()[0] for kind, rest in INSTRUCTIONS if kind == "FROM"]
    assert bases == ["${BASE}"] * 3
    first = next(rest for kind, rest in INSTRUCTIONS if kind == "ARG")
    assert first.startswith("BASE=docker.io/library/python:3.13-slim-")
    assert 'org.opencontainers.image.base.name="${BASE}"' in DOCKERFILE


def test_make_tells_the_image_its_version_and_commit() -> None:
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=REPOSITORY, text=True, capture_output=True).stdout.strip()
    # Not as a part of the `make test` that may run this.
    alone = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    told = subprocess.run(
        ["make", "--dry-run", "image", "ENGINE=podman"],
        cwd=REPOSITORY, env=alone, text=True, capture_output=True, check=True,
    )  # fmt: skip
    assert told.stdout.startswith("podman build ")
    assert f"--build-arg REVISION={head} " in told.stdout
