"""CONTRIBUTING.md's "Adding a queue system", followed to the letter: one file, one line."""

import difflib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.databases import Database
from tests.support.documents import REPOSITORY

KIND = REPOSITORY / "tests" / "support" / "tally.py"
CONFIGURATION = """
queues:
  - name: counted
    kind: tally
    postgres: {url}
    table: totals
    labels: {{team: delivery}}
    targets: {{"letters:high": {{target: 1m}}}}
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the packages with one more kind of queue."""
    unwanted = shutil.ignore_patterns("__pycache__")
    for package in ("chassis", "exporter"):
        shutil.copytree(REPOSITORY / package, tmp_path / package, ignore=unwanted)
    (tmp_path / "docs").mkdir()
    shutil.copy(KIND, tmp_path / "exporter" / "queues" / "tally.py")
    registry = tmp_path / "exporter" / "queues" / "__init__.py"
    before = registry.read_text()
    after = re.sub(r"^(from exporter\.queues import .*)$", r"\1, tally", before, flags=re.MULTILINE)
    registry.write_text(re.sub(r"^(KINDS = \(.*?),?\)$", r"\1, tally)", after, flags=re.MULTILINE))
    changed = difflib.ndiff(before.splitlines(), registry.read_text().splitlines())
    assert sum(line.startswith("+ ") for line in changed) == 2  # the import and the entry
    return tmp_path


def run(checkout: Path, module: str, *arguments: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], cwd=checkout, env=os.environ, text=True, capture_output=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


@pytest.mark.parametrize("database", ["empty@15"], indirect=True)
def test_its_figures_are_served_checked_and_shown(checkout: Path, database: Database) -> None:
    with database.connect() as owner:
        owner.execute("create table totals (queue text primary key, waiting int not null)")
        owner.execute("insert into totals values ('queue:letters:high', 17), ('parcels', 230)")
    file = checkout / "postwatch.yml"
    file.write_text(CONFIGURATION.format(url=database.reader_url))

    checked = run(checkout, "exporter", "check", "--connect", "--config", file)
    assert "this store tells nothing but depth" in checked
    served = run(checkout, "exporter", "sample", "--format", "prometheus", "--config", file).splitlines()
    depth = 'postwatch_queue_depth{priority="high",queue="letters",source="counted",team="delivery"} 17.0'
    assert depth in served
    assert any(line.startswith("postwatch_queue_target_seconds{") and line.endswith(" 60.0") for line in served)
    assert any(line.startswith('postwatch_sampler_up{sampler="counts",source="counted"') for line in served)
    table = run(checkout, "exporter", "sample", "--config", file)
    assert table.index("parcels") < table.index("letters:high")
    assert "warning" in table


def test_its_options_and_its_words_are_in_the_reference_pages(checkout: Path) -> None:
    run(checkout, "exporter.docs")
    configuration = (checkout / "docs" / "configuration.md").read_text()
    assert "### `queues[kind: tally]`" in configuration
    assert "| `table` | text | `tally` | The table with a line for each queue. |" in configuration
    assert "### `queues[kind: hybrid].schema.jobs`" in configuration
    assert "## Tallies" in configuration
    assert "**A tally** tells depth alone." in (checkout / "docs" / "metrics.md").read_text()


def test_a_mistake_in_its_options_is_told_like_any_other(checkout: Path) -> None:
    file = checkout / "postwatch.yml"
    file.write_text(
        CONFIGURATION.format(url="postgresql:///x").replace("table: totals", "table: no table\n    tabel: x")
    )
    done = subprocess.run(
        [sys.executable, "-m", "exporter", "check", "--config", file], cwd=checkout, text=True, capture_output=True
    )
    assert done.returncode == 2
    assert "queues[0].tabel: no such key" in done.stderr
    assert "did you mean table?" in done.stderr
    assert "queues[0].table:" in done.stderr


def test_contributing_names_this_example() -> None:
    told = (REPOSITORY / "CONTRIBUTING.md").read_text()
    assert "tests/support/tally.py" in told
    for word in ("KIND", "Options", "build", "guide", "KINDS", "exporter/queues/base.py"):
        assert word in told
