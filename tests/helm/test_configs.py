"""The configuration files that the chart makes are taken by the daemons themselves."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from alerter.__main__ import main as alerter
from exporter.__main__ import main as exporter
from tests.helm.chart import CI, LONG, config, of_kind, render
from tests.support.documents import REPOSITORY

pytestmark = pytest.mark.xdist_group("chart")  # they share what is rendered

MAINS: dict[str, Callable[[list[str]], int]] = {"exporter": exporter, "alerter": alerter}
BIN = Path(sys.executable).parent


def made() -> dict[str, tuple[str, str]]:
    """Every configuration file that ci/ renders to, once: its text and daemon, by who renders it first."""
    found: dict[str, tuple[str, str]] = {}
    for path in CI:
        for each in of_kind(render(path, release=LONG), "ConfigMap"):
            for name in MAINS:
                text = (each.get("data") or {}).get(f"{name}.yml")
                if text and (text, name) not in found.values():
                    found[f"{path.name} {name}"] = (text, name)
    return found


def test_check_says_that_they_are_right(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = made()
    assert len({name for _, name in files.values()}) == len(MAINS)
    for who, (text, name) in files.items():
        file = tmp_path / f"{name}.yml"
        file.write_text(text)
        assert MAINS[name](["check", "--config", str(file)]) == 0, f"{who}: {capsys.readouterr().err}"
        assert "valid" in capsys.readouterr().out


@pytest.mark.parametrize("daemon", MAINS)
def test_the_containers_commands_are_those_that_are_installed(daemon: str, tmp_path: Path) -> None:
    rendered = render(next(path for path in CI if path.name.startswith("alerter-sidecar")))
    (deployment,) = of_kind(rendered, "Deployment")
    (container,) = [each for each in deployment["spec"]["template"]["spec"]["containers"] if each["name"] == daemon]
    file = tmp_path / f"{daemon}.yml"
    file.write_text(config(rendered, daemon))
    command = [*container["command"], "check", *container["args"][1:]]
    assert container["args"][0] == "run"
    assert command[-1] == f"/etc/postwatch/{daemon}/{daemon}.yml"
    done = subprocess.run([BIN / command[0], *command[1:-1], file], cwd=REPOSITORY, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
