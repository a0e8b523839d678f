"""Every command in a runbook does something, as it stands but for addresses, where the demo runs."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.deploy.living import Living
from tests.deploy.rules import FOLDER, RUNBOOKS
from tests.support import alerter, exporter
from tests.support.documents import blocks
from tests.support.wait import eventually

pytestmark = [pytest.mark.xdist_group("living"), pytest.mark.timeout(300)]

# The alerter's own page has its own test.
PAGES = sorted(set(RUNBOOKS.glob("*.md")) - {RUNBOOKS / "alerter-says.md", RUNBOOKS / "README.md"})
COMMANDS = sorted({line for path in PAGES for block in blocks(path, "sh") for line in block.text.splitlines() if line})
OURS = {"postwatch-exporter": exporter.command, "postwatch-alerter": alerter.command}
# What tells of the trouble that there is by its exit code too: an address is listed.
TELLING = "postwatch-exporter reputation"
# What an answer says of it: patterns by a part of the command.
SAYS = {
    "/api/v1/health/workers": '"unhealthy_workers":[1-3]',
    "/api/v1/targets": '"job":"postwatch-exporter"',
    "/api/v2/alerts": "Watchdog",
    ":8080/health": "out of order",
    "--state dead": "dead",
    "reputation 127.0.0.2": "listed",
}


@pytest.fixture(scope="module")
def place(demo: Living, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the runbooks name, once the trouble is known to who is asked for it."""
    eventually(lambda: demo.prometheus.query('postwatch_workers{state="dead"} > 0'), within=60)
    eventually(lambda: demo.prometheus.query("postwatch_alerter_dead_letters > 0"), within=60)
    folder = tmp_path_factory.mktemp("files")
    shutil.copy(demo.stage.config, folder / "postwatch.yml")
    shutil.copy(demo.alarms.alerter.config, folder / "alerter.yml")
    for name in ("prometheus.yml", "alertmanager.yml"):
        shutil.copy(FOLDER / name, folder)
    shutil.copytree(FOLDER / "rules", folder / "rules")
    return folder


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_a_runbook_works(command: str, demo: Living, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = re.sub(r"(?<=127\.0\.0\.1:)\d+", lambda match: str(demo.ports[match[0]]), command)
    monkeypatch.chdir(place)
    monkeypatch.setenv("MAIL_REDIS_URL", demo.stage.store.url)
    name, *words = shlex.split(here)
    if name in OURS:
        done = OURS[name](*words)
    else:
        done = subprocess.run(["sh", "-c", here], text=True, capture_output=True, timeout=60)
    assert done.returncode == int(command.startswith(TELLING)), done.stdout + done.stderr
    assert done.stdout.strip(), done.stderr
    assert not re.match(r"ERR |\(error\)|404|.*Not Found", done.stdout), done.stdout  # with exit code 0 all the same
    for about, expected in SAYS.items():
        assert about not in command or re.search(expected, done.stdout), done.stdout
