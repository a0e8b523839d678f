"""What each value does."""

import re
from pathlib import Path
from typing import Any

import yaml

from tests.helm.chart import CI, Manifest, config, container, of_kind, one, pods, render
from tests.helm.given import TOLD, ci, told
from tests.support.documents import REPOSITORY, blocks


def kinds(rendered: list[Manifest]) -> set[str]:
    return {each["kind"] for each in rendered}


def test_two_secrets_are_enough() -> None:
    rendered = render()
    assert kinds(rendered) == {"ConfigMap", "Deployment", "Pod", "Service", "ServiceAccount"}
    deployment = one(rendered, "Deployment")
    assert (deployment["spec"]["replicas"], deployment["spec"]["strategy"]) == (1, {"type": "Recreate"})
    mounts = {mount["mountPath"] for mount in container(rendered, "exporter")["volumeMounts"]}
    assert mounts == {
        "/etc/postwatch/exporter",
        "/etc/postwatch/secrets/postgres",
        "/etc/postwatch/secrets/redis",
        "/tmp",
    }
    given = [
        volume["secret"]["secretName"]
        for _, pod in pods([deployment])
        for volume in pod["spec"]["volumes"]
        if "secret" in volume
    ]
    assert given == ["postwatch-postgres", "postwatch-redis"]
    assert yaml.safe_load(config(rendered, "exporter"))["web"] == {"listen": ":9797"}


def test_probes_ask_no_database() -> None:
    probes = container(render(), "exporter")
    assert probes["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "metrics", "scheme": "HTTP"}
    assert probes["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert container(ci("tls"), "exporter")["livenessProbe"]["httpGet"]["scheme"] == "HTTPS"
    assert container(ci("client-certificates"), "exporter")["livenessProbe"]["tcpSocket"] == {"port": "metrics"}


def test_only_secrets_that_are_named_are_mounted_and_for_each_daemon_its_own() -> None:
    rendered = ci("queues")
    assert {mount["name"] for mount in container(rendered, "exporter")["volumeMounts"]} == {
        "exporter-config", "secret-postgres", "secret-hooks", "tmp",
    }  # fmt: skip
    alerter = {mount["name"] for mount in container(ci("alerter-sidecar"), "alerter")["volumeMounts"]}
    assert alerter == {"alerter-config", "secret-alerting", "webhook", "data", "tmp"}
    assert "secret-alerting" not in {m["name"] for m in container(ci("alerter-sidecar"), "exporter")["volumeMounts"]}


def test_the_alerter_waits_for_receivers_and_then_shares_the_pod() -> None:
    assert "alerter" not in str(render())
    rendered = ci("alerter-sidecar")
    (pod,) = [pod for name, pod in pods(rendered) if name.startswith("Deployment")]
    assert [each["name"] for each in pod["spec"]["containers"]] == ["exporter", "alerter"]
    assert one(rendered, "Service", "-alerter")["spec"]["selector"]["app.kubernetes.io/component"] == "exporter"
    assert one(rendered, "PersistentVolumeClaim")["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


def test_alone_it_is_a_stateful_set_on_sqlite_and_two_on_postgresql() -> None:
    alone = one(ci("alerter-standalone"), "StatefulSet")["spec"]
    assert alone["replicas"] == 1
    (claim,) = alone["volumeClaimTemplates"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "5Gi"
    rendered = ci("alerter-replicated")
    assert one(rendered, "Deployment", "-alerter")["spec"]["replicas"] == 2
    assert one(rendered, "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
    assert "storage" not in yaml.safe_load(config(rendered, "alerter"))
    assert not of_kind(rendered, "PersistentVolumeClaim")
    assert kinds(ci("alerter-alone")) == {"ConfigMap", "Pod", "Service", "ServiceAccount", "StatefulSet"}


def test_the_token_is_made_unless_the_user_has_one(tmp_path: Path) -> None:
    secret = one(ci("alerter-sidecar"), "Secret")
    assert secret["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert len(secret["data"]["token"]) == 64
    again = render(told(), folder=tmp_path)
    assert one(again, "Secret")["data"] != secret["data"]
    assert not of_kind(ci("alerter-alone"), "Secret")
    assert "/etc/postwatch/webhook/bearer" in config(ci("alerter-alone"), "alerter")
    own = render(
        told(
            config={
                **TOLD["alerter"]["config"],
                "web": {"basic_auth": {"am_file": "/etc/postwatch/secrets/alerting/am"}},
            }
        ),
        folder=tmp_path,
    )
    assert not of_kind(own, "Secret")
    assert "bearer_token" not in config(own, "alerter")


def test_a_changed_configuration_starts_new_pods(tmp_path: Path) -> None:
    def checksums(values: dict[str, Any]) -> dict[str, str]:
        annotations = one(render(values, folder=tmp_path), "Deployment")["spec"]["template"]["metadata"]["annotations"]
        return {key: value for key, value in annotations.items() if key.startswith("checksum/")}

    before, after = checksums(TOLD), checksums({**TOLD, "exporter": {"config": {"defaults": {"interval": "7s"}}}})
    assert before["checksum/exporter"] != after["checksum/exporter"]
    assert before["checksum/alerter"] == after["checksum/alerter"]


def test_monitors_find_services_and_name_the_jobs_as_our_rules_do() -> None:
    rendered = ci("servicemonitor")
    for daemon, port in (("exporter", "metrics"), ("alerter", "alerts")):
        monitor = one(rendered, "ServiceMonitor", f"-{daemon}")
        assert monitor["metadata"]["labels"]["release"] == "kube-prometheus-stack"
        (endpoint,) = monitor["spec"]["endpoints"]
        assert (endpoint["port"], endpoint["interval"], endpoint["scrapeTimeout"]) == (port, "5s", "4s")
        assert endpoint["relabelings"][0] == {"targetLabel": "job", "replacement": f"postwatch-{daemon}"}
    credentials = one(rendered, "ServiceMonitor", "-alerter")["spec"]["endpoints"][0]["authorization"]["credentials"]
    assert credentials == {"name": one(rendered, "Secret")["metadata"]["name"], "key": "token"}
    pod = one(ci("podmonitor"), "PodMonitor")
    assert pod["metadata"]["namespace"] == "monitoring"
    assert pod["spec"]["namespaceSelector"] == {"matchNames": ["mail"]}
    assert one(ci("tls"), "ServiceMonitor")["spec"]["endpoints"][0]["scheme"] == "https"


def test_one_of_several_exporters_gets_a_job_of_its_own(tmp_path: Path) -> None:
    """By what docs/kubernetes.md says, in Prometheus' order; the alerter's stays as it is."""
    (given,) = [block.text for block in blocks(REPOSITORY / "docs" / "kubernetes.md", "yaml") if "regex:" in block.text]
    rendered = render({**TOLD, **yaml.safe_load(given)}, folder=tmp_path)
    jobs = set()
    for monitor in of_kind(rendered, "ServiceMonitor"):
        job = "what the Service is called"
        for rule in monitor["spec"]["endpoints"][0]["relabelings"]:
            assert rule["targetLabel"] == "job"
            if re.fullmatch(rule.get("regex", ".*"), job):
                job = rule["replacement"]
        jobs.add(job)
    assert jobs == {"postwatch-exporter-eu", "postwatch-alerter"}


def test_one_field_of_an_alert_can_be_changed() -> None:
    spec = one(ci("rules"), "PrometheusRule")["spec"]
    alerts = [rule for group in spec["groups"] for rule in group["rules"] if "alert" in rule]
    by_name = {(rule["alert"], rule["labels"]["severity"]): rule for rule in alerts}
    names = {name for name, _ in by_name}
    assert by_name["QueueStalled", by_name_severity(by_name, "QueueStalled")]["for"] == "20m"
    assert by_name["QueueBacklog", "critical"]["labels"]["team"] == "mail"
    assert "team" not in by_name["QueueBacklog", "warning"]["labels"]
    assert "QueueAnomalyTraffic" not in names
    assert {"QueueAnomalyDepth", "PostwatchExporterDown"} <= names
    assert "PostwatchAlerterAbsent" not in names, "no alerter runs, so none is missed"
    assert by_name["QueueBacklog", "critical"]["annotations"]["runbook_url"].startswith(
        "https://runbooks.example.com/postwatch/"
    )
    assert "$externalLabels" not in str(spec)


def by_name_severity(alerts: dict[tuple[str, str], Manifest], name: str) -> str:
    (severity,) = [severity for known, severity in alerts if known == name]
    return severity


def test_rules_are_the_shipped_ones_to_the_letter(tmp_path: Path) -> None:
    rendered = render({**TOLD, "prometheusRule": {"enabled": True}}, folder=tmp_path)
    shipped = [
        group
        for path in sorted((CI[0].parents[1] / "files" / "rules").glob("*.yml"))
        for group in yaml.safe_load(path.read_text())["groups"]
    ]
    assert one(rendered, "PrometheusRule")["spec"]["groups"] == shipped


def test_dashboards_are_there_for_the_sidecar() -> None:
    rendered = of_kind(ci("dashboards"), "ConfigMap")
    boards = [each for each in rendered if "grafana_dashboard" in each["metadata"]["labels"]]
    files = sorted((CI[0].parents[1] / "files" / "dashboards").glob("*.json"))
    assert [next(iter(each["data"])) for each in boards] == [path.name for path in files]
    for board, path in zip(boards, files, strict=True):
        assert board["data"][path.name] == path.read_text().strip()
        assert len(path.read_bytes()) < 1_000_000  # a ConfigMap takes no more
        assert board["metadata"]["namespace"] == "monitoring"


def test_names_namespace_and_image_follow() -> None:
    rendered = ci("names")
    assert {each["metadata"]["namespace"] for each in rendered} == {"observability"}
    assert (
        container(rendered, "exporter")["image"]
        == "registry.example.com/team/postwatch@sha256:" + "0123456789abcdef" * 4
    )
    assert [
        secret["name"] for secret in one(rendered, "Deployment")["spec"]["template"]["spec"]["imagePullSecrets"]
    ] == ["own", "everywhere"]
    assert one(rendered, "ServiceAccount")["metadata"]["name"] == "watcher"


def test_two_long_releases_do_not_share_names() -> None:
    first, second = ("a-release-of-more-than-thirty-two-characters-" + end for end in ("one", "two"))
    names = [{each["metadata"]["name"] for each in render(release=release)} for release in (first, second)]
    assert not names[0] & names[1]
