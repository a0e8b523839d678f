"""Dockerfile, compose and systemd units: schema, paths, ports and names agree with code and chart."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose

from alerter.settings import AlerterSettings, read
from chassis.settings import load, secrets_in
from exporter.settings import ExporterSettings
from tests.support.documents import REPOSITORY, blocks

DEPLOY = REPOSITORY / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (REPOSITORY / "Dockerfile").read_text()
STAGES = {
    match[1]: match[2] for match in re.finditer(r"^FROM \S+ AS (\w+)\n(.*?)(?=^FROM|\Z)", DOCKERFILE, re.M | re.S)
}
VALUES = yaml.safe_load((REPOSITORY / "helm" / "postwatch" / "values.yaml").read_text())
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))


# The image


def test_what_the_image_is_built_from_is_there_and_not_ignored() -> None:
    ignored = (REPOSITORY / ".dockerignore").read_text().split()
    kept = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    copied = [word for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.M) for word in line.split()[:-1]]
    assert copied
    for source in copied:
        assert (REPOSITORY / source).exists(), source
        assert source in kept, f"{source} is not let through .dockerignore"
    assert kept == set(copied)


def test_the_image_runs_as_the_charts_user_without_rights() -> None:
    final = STAGES["postwatch"]
    security = VALUES["exporter"]["podSecurityContext"]
    assert f"USER {security['runAsUser']}:{security['runAsGroup']}\n" in final
    assert DOCKERFILE.rstrip().endswith('CMD ["postwatch-exporter", "run", "--config", "/etc/postwatch/exporter.yml"]')
    assert "RUN" not in re.sub(r"#.*", "", final), "the last stage needs no shell"
    for line in re.findall(r"^(?:CMD|HEALTHCHECK.*\n\s+CMD|ENTRYPOINT) (.+)$", DOCKERFILE, re.M):
        assert line.startswith("["), "a command that needs a shell"
    assert not re.search(r"^(ENV|ARG).*(PASSWORD|SECRET|TOKEN)", DOCKERFILE, re.M | re.I)


def test_the_image_says_what_it_is() -> None:
    labels = dict(re.findall(r'org\.opencontainers\.image\.(\w+(?:\.\w+)?)="([^"]*)"', STAGES["postwatch"]))
    assert {"title", "description", "version", "revision", "licenses", "base.name"} <= set(labels)
    assert labels["version"] == "${VERSION}", "the version stands in pyproject.toml alone"
    assert labels["licenses"] == "Apache-2.0"


def test_ports_are_those_of_the_code_and_the_health_check_asks_one_of_them() -> None:
    ports = {str(model().web.listen.port) for model in (ExporterSettings, AlerterSettings)}
    assert set(re.findall(r"\d+", re.findall(r"^EXPOSE (.+)$", DOCKERFILE, re.M)[0])) == ports
    (asked,) = re.findall(r"POSTWATCH_HEALTH_URL=(\S+)", DOCKERFILE)
    assert asked == f"http://127.0.0.1:{ExporterSettings().web.listen.port}/healthz"


# Compose


def test_compose_is_what_the_specification_says() -> None:
    # Its variables filled in and its merges done, as an engine has them before it looks.
    plain = re.sub(r"\$\{\w+:-(\w+)\}", r"\1", (DEPLOY / "compose.yaml").read_text())
    text = json.dumps({key: value for key, value in yaml.safe_load(plain).items() if not key.startswith("x-")})
    read = PyCompose.from_json(text)
    read.validate()
    assert set(read.services or {}) == set(SERVICES)
    for right, wrong in (('"read_only"', '"readonly"'), ('"2s"', '"2 secs"')):
        assert right in text
        with pytest.raises(ValueError, match=r"extension key|duration"):
            PyCompose.from_json(text.replace(right, wrong, 1))


def test_every_file_that_compose_mounts_is_there() -> None:
    mounted = [volume.split(":") for service in SERVICES.values() for volume in service.get("volumes", [])]
    for source, target, *_ in mounted:
        if source.startswith("."):
            assert (DEPLOY / source).exists(), source
            assert target.startswith("/")
        else:
            assert source in COMPOSE["volumes"]
    for secret in COMPOSE["secrets"].values():
        assert (DEPLOY / secret["file"]).is_file()


def test_what_compose_builds_are_stages_of_the_dockerfile() -> None:
    built = {service["build"]["target"] for service in SERVICES.values() if "build" in service}
    assert built == {"demo", "postwatch"}
    assert built <= set(STAGES)


def test_the_servers_of_others_are_pinned_and_asked_the_way_that_their_clients_go() -> None:
    for name, service in SERVICES.items():
        if "build" not in service:
            assert re.fullmatch(r"[\w/]+:v?\d+\.\d+(\.\d+)?", service["image"]), name
    # While it makes its database, the image's PostgreSQL answers at its socket alone.
    assert "--host=127.0.0.1" in SERVICES["postgres"]["healthcheck"]["test"]


def test_compose_publishes_on_loopback_alone() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(published) == 5
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_our_containers_are_hardened() -> None:
    for name in ("exporter", "alerter", "platform"):
        service = SERVICES[name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in service["security_opt"]


def test_prometheus_keeps_ninety_days_and_grafana_asks_for_no_password() -> None:
    assert "--storage.tsdb.retention.time=90d" in SERVICES["prometheus"]["command"]
    grafana = SERVICES["grafana"]["environment"]
    assert (grafana["GF_AUTH_ANONYMOUS_ENABLED"], grafana["GF_AUTH_ANONYMOUS_ORG_ROLE"]) == ("true", "Viewer")
    home = Path(grafana["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    provided = yaml.safe_load((DEPLOY / "grafana/provisioning/dashboards/postwatch.yml").read_text())
    assert provided["providers"][0]["options"]["path"] == str(home.parent)
    assert (DEPLOY / "grafana" / "dashboards" / home.name).is_file()
    assert f"./grafana/dashboards:{home.parent}:ro" in SERVICES["grafana"]["volumes"]


@pytest.mark.parametrize(("daemon", "model"), [("exporter", ExporterSettings), ("alerter", AlerterSettings)])
def test_the_configurations_hold_and_name_secrets_that_are_given(daemon: str, model: Any) -> None:
    settings: Any = load(DEPLOY / "compose" / f"{daemon}.yml", model, {})
    service = SERVICES[daemon]
    files = {str(secret.path) for _, secret in secrets_in(settings) if secret.path}
    assert files == {f"/run/secrets/{name}" for name in service["secrets"]}
    assert f"127.0.0.1:{settings.web.listen.port}:{settings.web.listen.port}" in service["ports"]
    assert f"./compose/{daemon}.yml:{service['command'][3]}:ro" in service["volumes"]
    if daemon == "alerter":
        read(DEPLOY / "compose" / "alerter.yml", {})
        assert service["environment"]["POSTWATCH_HEALTH_URL"] == f"http://127.0.0.1:{settings.web.listen.port}/healthz"


def test_prometheus_and_alertmanager_differ_from_the_shipped_ones_by_addresses_alone() -> None:
    shipped, here = (
        yaml.safe_load(path.read_text())
        for path in (DEPLOY / "prometheus/prometheus.yml", DEPLOY / "compose/prometheus.yml")
    )
    names = {"9797": "exporter", "9798": "alerter", "9093": "alertmanager", "9090": "prometheus"}
    text = re.sub(
        r"127\.0\.0\.1:(\d+)(?!\d)",
        lambda match: f"{names.get(match[1], '127.0.0.1')}:{match[1]}",
        yaml.safe_dump(shipped),
    )
    for job in here["scrape_configs"]:
        job.pop("authorization", None)
    assert yaml.safe_load(text.replace("http://127.0.0.1:3000", "http://127.0.0.1:3000")) == here
    assert set(names.values()) <= set(SERVICES)
    routes, ours = (
        yaml.safe_load(path.read_text())["route"]
        for path in (DEPLOY / "prometheus/alertmanager.yml", DEPLOY / "compose/alertmanager.yml")
    )
    routes["routes"] = [route for route in routes["routes"] if route["receiver"] != "direct"]
    assert ours == routes


@pytest.mark.parametrize(
    "command",
    [
        ["promtool", "check", "config", "--syntax-only", "prometheus.yml"],
        ["amtool", "check-config", "alertmanager.yml"],
    ],
)
def test_the_servers_take_their_configurations(command: list[str]) -> None:
    done = subprocess.run(command, cwd=DEPLOY / "compose", text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr


# systemd


@pytest.mark.parametrize("unit", UNITS, ids=[unit.stem for unit in UNITS])
def test_a_unit_holds_and_is_hardened(unit: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    program = root / "opt/postwatch/bin" / unit.stem
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/true\n")
    program.chmod(0o755)
    text = unit.read_text().replace("/opt/postwatch/bin", str(program.parent))
    copy = tmp_path / unit.name
    copy.write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", copy], text=True, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    assert unit.name not in done.stderr, done.stderr
    told = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", copy], text=True, capture_output=True
    )
    assert told.returncode == 0, told.stdout[-2000:]


@pytest.mark.parametrize(("daemon", "model"), [("exporter", ExporterSettings), ("alerter", AlerterSettings)])
def test_a_units_configuration_names_the_credentials_that_it_loads(daemon: str, model: Any) -> None:
    text = (DEPLOY / "systemd" / f"postwatch-{daemon}.service").read_text()
    settings: Any = load(DEPLOY / "systemd" / f"{daemon}.yml", model, {"CREDENTIALS_DIRECTORY": "/run/credentials/x"})
    given = {Path(secret.path).name for _, secret in secrets_in(settings) if secret.path}
    assert given == set(re.findall(r"^LoadCredential=([\w-]+):/etc/postwatch/credentials/\1$", text, re.M))
    assert f"ExecStart=/opt/postwatch/bin/postwatch-{daemon} run --config /etc/postwatch/{daemon}.yml\n" in text
    for line in ("DynamicUser=yes", "ProtectSystem=strict", "NoNewPrivileges=yes", "CapabilityBoundingSet="):
        assert f"\n{line}\n" in text


def test_the_readme_puts_every_credential_there_that_a_unit_loads() -> None:
    readme = DEPLOY / "systemd" / "README.md"
    loaded = {name for unit in UNITS for name in re.findall(r"^LoadCredential=([\w-]+):", unit.read_text(), re.M)}
    assert set(re.findall(r">/etc/postwatch/credentials/([\w-]+)", readme.read_text())) == loaded
    for block in blocks(readme, "sh"):
        subprocess.run(["sh", "-n"], input=block.text, text=True, check=True)
        for name in re.findall(r"deploy/systemd/([\w.]+)", block.text):
            assert (readme.parent / name).is_file(), name


def test_units_keep_their_state_where_the_configuration_says() -> None:
    alerter: Any = load(DEPLOY / "systemd" / "alerter.yml", AlerterSettings, {"CREDENTIALS_DIRECTORY": os.sep})
    assert alerter.storage.reveal() == "sqlite:////var/lib/postwatch/alerter.db"
    assert all("\nStateDirectory=postwatch\n" in unit.read_text() for unit in UNITS)
