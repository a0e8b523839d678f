"""The units of deploy/systemd, started by a systemd: hardened as they are, each daemon does its work."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import yaml

from demo.process import free_port
from demo.providers import PagerDuty, Slack
from tests.deploy.at_work import AS_ROOT, answer, depth, put_jobs, tell
from tests.support.databases import Database
from tests.support.documents import REPOSITORY
from tests.support.servers import RedisServer
from tests.support.wait import eventually

UNITS = REPOSITORY / "deploy" / "systemd"
BOOT = Path(__file__).parent / "boot.sh"
DYNAMIC = range(61184, 65520)  # users that systemd makes up


def laid_out(root: Path, configured: dict[str, dict[str, object]], credentials: dict[str, str]) -> None:
    """What an administrator has put there, as the README says."""
    etc = root / "etc" / "postwatch"
    (etc / "credentials").mkdir(parents=True, mode=0o700)
    wanted = root / "units" / "multi-user.target.wants"
    wanted.mkdir(parents=True)
    for daemon, settings in configured.items():
        (etc / f"{daemon}.yml").write_text(yaml.safe_dump(settings))
        unit = f"postwatch-{daemon}.service"
        shutil.copy(UNITS / unit, root / "units" / unit)
        (wanted / unit).symlink_to(f"../{unit}")
        more = root / "units" / f"{unit}.d"
        more.mkdir()
        (more / "log.conf").write_text(f"[Service]\nStandardOutput=append:/mnt/log/{daemon}.log\n")
    for name, value in credentials.items():
        (etc / "credentials" / name).write_text(value)
        (etc / "credentials" / name).chmod(0o600)


@contextmanager
def booted(root: Path) -> Iterator[psutil.Process]:
    """A systemd with these units; it and all that it started are gone at the end."""
    hybrid = Path("/sys/fs/cgroup/unified")
    group = (hybrid if hybrid.is_dir() else hybrid.parent) / f"postwatch-{os.getpid()}"
    places: list[str | Path] = [root, sys.base_prefix, sysconfig.get_paths()["purelib"], REPOSITORY]
    line = (
        'mkdir "$0" && echo $$ >"$0/cgroup.procs" && exec unshare --mount --pid --fork --ipc --uts --kill-child -- "$@"'
    )
    with (root / "systemd.log").open("wb") as log:
        process = subprocess.Popen([*AS_ROOT, "sh", "-c", line, group, BOOT, *places], stdout=log, stderr=log)
    try:
        yield psutil.Process(process.pid)
    finally:
        process.kill()
        process.wait()
        eventually(lambda: not _left(group), within=15)


def _left(group: Path) -> bool:
    """Whether something of a control group is still there; empty ones are removed."""
    for folder in sorted(group.rglob("*/"), reverse=True):
        subprocess.run([*AS_ROOT, "rmdir", folder], capture_output=True)
    return subprocess.run([*AS_ROOT, "rmdir", group], capture_output=True).returncode != 0 and group.exists()


def daemon(boot: psutil.Process, name: str) -> psutil.Process:
    found = [each for each in boot.children(recursive=True) if f"-m {name} run" in " ".join(each.cmdline())]
    assert found, f"no process of {name}"
    return found[0]


def confined(process: psutil.Process) -> None:
    """What the unit takes from it is gone."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{process.pid}/status").read_text().splitlines())
    assert int(status["Uid"].split()[0]) in DYNAMIC
    assert {int(status[key], 16) for key in ("CapEff", "CapPrm", "CapBnd", "CapInh")} == {0}
    assert (status["NoNewPrivs"].strip(), status["Seccomp"].strip()) == ("1", "2")
    mounts = [line.split() for line in Path(f"/proc/{process.pid}/mountinfo").read_text().splitlines()]
    options = {fields[4]: fields[5].split(",") for fields in mounts}
    assert "ro" in options["/"]
    assert "rw" in options["/var/lib/private/postwatch"] or "rw" in options["/var/lib/postwatch"]


def well(exposition: str) -> bool:
    """Whether every sampler has looked, and could."""
    up = [line.rpartition(" ")[2] for line in exposition.splitlines() if line.startswith("postwatch_sampler_up{")]
    return len(up) > 3 and {float(each) for each in up} == {1.0}


def test_both_units_run_hardened_and_do_their_work(
    database: Database, redis_server: RedisServer, tmp_path: Path
) -> None:
    put_jobs(database, 7)
    exporter, alerter = (yaml.safe_load((UNITS / f"{name}.yml").read_text()) for name in ("exporter", "alerter"))
    exporter["web"]["listen"], alerter["web"]["listen"] = (f"127.0.0.1:{free_port()}" for _ in range(2))
    with PagerDuty() as pagerduty, Slack() as slack:
        alerter["receivers"][0]["url"], alerter["receivers"][1]["url"] = pagerduty.url, slack.url
        laid_out(tmp_path, {"exporter": exporter, "alerter": alerter}, {
            "database-url": database.reader_url, "redis-url": redis_server.url, "webhook-token": "a token",
            "pagerduty-key": pagerduty.routing_key, "slack-token": slack.token,
        })  # fmt: skip
        with booted(tmp_path) as boot:
            try:
                at = f"http://{exporter['web']['listen']}/metrics"
                eventually(lambda: depth(answer(at)) == 7, within=60)
                eventually(lambda: well(answer(at)), within=30)
                assert "postwatch_host_memory_usage_ratio" in answer(at)
                eventually(lambda: tell(f"http://{alerter['web']['listen']}", "a token"), within=60)
                eventually(lambda: pagerduty.open and slack.messages(), within=30)
                confined(daemon(boot, "exporter"))
                confined(daemon(boot, "alerter"))
            except AssertionError as error:
                logs = [path.read_text(errors="replace")[-3000:] for path in sorted(tmp_path.glob("*.log"))]
                pytest.fail("\n".join([str(error), *logs]))
