"""What the chart's containers would run is run here: their command lines and user, on a root that is read-only."""

from __future__ import annotations

import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from demo.process import free_port
from tests.deploy.at_work import AS_ROOT, answer, depth, put_jobs, tell
from tests.helm.chart import Manifest, containers, of_kind, pods, render
from tests.support.databases import Database
from tests.support.documents import REPOSITORY
from tests.support.servers import RedisServer
from tests.support.wait import eventually

USER = 65532
CONFINE = Path(__file__).parent / "confine.sh"
NAMESPACES = subprocess.run([*AS_ROOT, "unshare", "--mount", "true"], capture_output=True).returncode == 0


def command(root: Path, container: Manifest) -> list[str | Path]:
    """A container's command line as the image would run it; where no namespace may be made, as its user alone."""
    line = [*container["command"], *container["args"]]
    kept = [sys.base_prefix, str(REPOSITORY)]
    environment = ["env", "--ignore-environment", f"PATH={Path(sys.executable).parent}:/usr/bin:/bin"]
    assert NAMESPACES, "this machine lets nobody make a mount namespace, root neither"
    return [*AS_ROOT, "unshare", "--mount", "--", CONFINE, root, *kept, "--", *environment, *line]


@contextmanager
def running(root: Path, container: Manifest) -> Iterator[psutil.Process]:
    """The container's process; it has to end by itself when it is told to."""
    log = root / f"{container['name']}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command(root, container), stdout=output, stderr=subprocess.STDOUT)
    try:
        yield psutil.Process(process.pid)
        assert process.poll() is None, log.read_text()
        process.terminate()
        assert process.wait(15) == 0, log.read_text()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def laid_out(root: Path, rendered: list[Manifest], secrets: dict[str, str]) -> None:
    """The files that the pod's volumes hold."""
    etc = root / "etc" / "postwatch"
    for each in of_kind(rendered, "ConfigMap"):
        for name, text in each["data"].items():
            (etc / name.removesuffix(".yml")).mkdir(parents=True)
            (etc / name.removesuffix(".yml") / name).write_text(text)
    for path, value in secrets.items():
        (etc / path).parent.mkdir(parents=True, exist_ok=True)
        (etc / path).write_text(value)


@pytest.fixture
def values() -> dict[str, Any]:
    """As a first user has them, with an alerter, and ports that are free here."""
    hook = {
        "name": "bus",
        "kind": "webhook",
        "url_file": "/etc/postwatch/secrets/bus/url",
        "secret_file": "/etc/postwatch/secrets/bus/key",
    }
    return {
        "secrets": {"bus": {"existingSecret": "bus"}},
        "exporter": {"config": {"web": {"listen": f":{free_port()}"}}},
        "alerter": {
            "config": {"web": {"listen": f":{free_port()}"}, "receivers": [hook], "default": {"receivers": ["bus"]}}
        },
    }


def test_the_pod_works_as_a_user_without_rights_on_a_root_that_cannot_be_written(
    values: dict[str, Any], database: Database, redis_server: RedisServer, tmp_path: Path
) -> None:
    put_jobs(database, 7)
    rendered = render(values, folder=tmp_path)
    laid_out(tmp_path, rendered, {
        "secrets/postgres/url": database.reader_url,
        "secrets/redis/url": redis_server.url,
        "secrets/bus/url": "http://127.0.0.1:9/none",
        "secrets/bus/key": "a key",
        "webhook/token": "a token",
    })  # fmt: skip
    (pod,) = [pod for name, pod in pods(rendered) if name.startswith("Deployment")]
    of = {container["name"]: container for container in containers(pod)}
    at = {name: f"http://127.0.0.1:{container['ports'][0]['containerPort']}" for name, container in of.items()}
    with ExitStack() as stack:
        processes = {name: stack.enter_context(running(tmp_path, container)) for name, container in of.items()}
        for url in at.values():
            eventually(lambda url=url: answer(f"{url}/readyz"), within=60)  # type: ignore[misc]  # bound now
        eventually(lambda: depth(answer(f"{at['exporter']}/metrics")) == 7, within=30)
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(f"{at['alerter']}/webhook", data=b"{}", timeout=5)
        tell(at["alerter"], "a token")
        feed = answer(f"{at['alerter']}/api/v1/alerts", headers={"Authorization": "Bearer a token"})
        assert "Backlog" in feed
        for name, process in processes.items():
            confined(process, name)
        helm_test(rendered, list(at.values()))


def confined(process: psutil.Process, name: str) -> None:
    """The process has no rights, and nothing to write but what the chart gives it."""
    inner = [
        each for each in (process, *process.children(recursive=True)) if f"postwatch-{name}" in " ".join(each.cmdline())
    ][-1]
    status = dict(line.split(":", 1) for line in Path(f"/proc/{inner.pid}/status").read_text().splitlines())
    assert set(status["Uid"].split()) == set(status["Gid"].split()) == {str(USER)}
    assert status["Groups"].split() == []
    assert {int(status[key], 16) for key in ("CapEff", "CapPrm", "CapBnd", "CapInh")} == {0}
    assert status["NoNewPrivs"].strip() == "1"
    mounts = [line.split() for line in Path(f"/proc/{inner.pid}/mountinfo").read_text().splitlines()]
    options = {fields[4]: fields[5].split(",") for fields in mounts}
    assert "ro" in options["/"]
    assert "ro" in options["/etc"]
    assert "rw" in options["/tmp"]


def helm_test(rendered: list[Manifest], urls: list[str]) -> None:
    """The pod of `helm test` has its own program, which asks each daemon."""
    (pod,) = [pod for name, pod in pods(rendered) if name.startswith("Pod")]
    (container,) = containers(pod)
    program, *asked = container["args"]
    assert [url.rpartition("/")[2] for url in asked] == ["healthz", "readyz", "healthz", "readyz"]
    done = subprocess.run(
        [sys.executable, "-c", program, *[f"{url}/healthz" for url in urls]], text=True, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("200 alive") == 2
    assert subprocess.run([sys.executable, "-c", program, f"{urls[0]}/nothing"], capture_output=True).returncode == 1
