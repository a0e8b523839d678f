"""What the chart's values may be. Descriptions become the table in its README, in the order that stands here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from alerter.settings import AlerterSettings
from exporter.settings import ExporterSettings
from helm.generate.monitoring import DashboardValues, MonitorValues, RuleValues
from helm.generate.parts import Annotations, Egress, Labels, Name, PartBase, PartValues, Peer, PullSecret, SecretName


class ImageValues(PartBase):
    """The image; one for both daemons."""

    registry: str = Field("", description="Registry in front of the repository; `global.imageRegistry` goes before it.")
    repository: Annotated[str, StringConstraints(min_length=1)] = Field("postwatch", description="Its name.")
    tag: str = Field("", description="Its tag; by default the chart's appVersion.")
    digest: Annotated[str, StringConstraints(pattern="^(sha256:[0-9a-f]{64})?$")] = Field(
        "", description="Its digest, instead of a tag."
    )
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field("IfNotPresent", description="When it is pulled.")


class ServiceAccountValues(PartBase):
    """Pods get no token of it in any case: neither daemon asks the API of Kubernetes anything."""

    create: bool = Field(True, description="Whether one is made.")
    name: Name = Field("", description="Its name; by default the release's, or `default` if none is made.")
    annotations: Annotations = Field(default_factory=dict, description="Its annotations.")


class MountedSecret(PartBase):
    """A Secret whose keys become files."""

    existing_secret: SecretName = Field("", description="Name of the Secret; it is yours, the chart makes none.")


MountName = Annotated[str, StringConstraints(pattern="^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$")]


class ExporterValues(PartValues):
    """The exporter. There is one, always: two would double every sum."""

    enabled: bool = Field(True, description="Whether it runs.")
    config: ExporterSettings = Field(description="Its configuration file, key by key: docs/configuration.md.")


class WebhookToken(PartBase):
    """What Alertmanager has to show. Without a Secret of yours one is made, once, and kept over upgrades."""

    existing_secret: SecretName = Field("", description="A Secret of yours that holds it.")
    key: Annotated[str, StringConstraints(pattern="^[-._a-zA-Z0-9]+$")] = Field(
        "token", description="Its key in there."
    )


class AlerterValues(PartValues):
    """The alerter. It runs as soon as it has receivers."""

    enabled: bool = Field(True, description="Whether it runs, once `alerter.config.receivers` names somebody.")
    mode: Literal["sidecar", "standalone"] = Field(
        "sidecar",
        description="`sidecar`: in the exporter's pod; `standalone`: on its own, also if the exporter is off.",
    )
    replicas: int | None = Field(
        None, ge=1, le=10, description="Of a standalone one: by default 1 on SQLite, 2 on PostgreSQL."
    )
    config: AlerterSettings = Field(description="Its configuration file, key by key.")
    webhook_token: WebhookToken = Field(description="What Alertmanager has to show to be let in.")


class PersistenceValues(PartBase):
    """The volume at /var/lib/postwatch: the alerter's SQLite, and the exporter's memory of listings."""

    enabled: bool = Field(True, description="Whether it outlives the pod; it is asked for only if something needs it.")
    existing_claim: Name = Field("", description="A claim of yours instead of the chart's.")
    storage_class: str = Field("", description="Its class; by default the cluster's, `-` for none.")
    access_modes: tuple[Literal["ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany"], ...] = Field(
        ("ReadWriteOnce",), min_length=1, description="How it is mounted."
    )
    size: Annotated[str, StringConstraints(pattern="^[1-9][0-9]*([KMGTPE]i?)?$")] = Field(
        "1Gi", description="Its size."
    )
    annotations: Annotations = Field(
        default_factory=dict, description="Its annotations; by default it outlives the release."
    )


class EgressValues(PartBase):
    """Where the pods may connect to. Ports are taken from the configuration."""

    to: tuple[Peer, ...] = Field((), description="Peers for those ports; none: anywhere.")
    dns: tuple[Peer, ...] = Field((), description="Name servers; none: any, on port 53.")
    extra_ports: tuple[Annotated[int, Field(ge=1, le=65535)], ...] = Field(
        (),
        description="More TCP ports: of URLs in Secrets, if they are not the usual ones, and of pods behind a Service.",
    )
    extra: tuple[Egress, ...] = Field((), description="More rules, as Kubernetes has them.")


class IngressValues(PartBase):
    """Who may connect to the pods."""

    from_: tuple[Peer, ...] = Field((), alias="from", description="Peers; none: all who can reach the pods.")


class NetworkPolicyValues(PartBase):
    """A NetworkPolicy for each pod."""

    enabled: bool = Field(False, description="Whether there is one.")
    ingress: IngressValues = Field(description="Who may connect to the pods.")
    egress: EgressValues = Field(description="Where the pods may connect to.")


class TestValues(PartBase):
    """`helm test`."""

    __test__ = False

    enabled: bool = Field(True, description="Whether there is a pod for `helm test`.")


class ChartValues(PartBase):
    """All values."""

    name_override: Name = Field("", description="In place of the chart's name.")
    fullname_override: Name = Field("", description="In place of the release's and the chart's name.")
    namespace_override: Name = Field("", description="In place of the release's namespace.")
    common_labels: Labels = Field(default_factory=dict, description="Labels of everything.")
    common_annotations: Annotations = Field(default_factory=dict, description="Annotations of everything.")
    image: ImageValues = Field(description="The image; one for both daemons.")
    image_pull_secrets: tuple[PullSecret, ...] = Field(
        (), description="Secrets to pull it with; those of `global.imagePullSecrets` too."
    )
    service_account: ServiceAccountValues = Field(description="The pods' service account.")
    secrets: Mapping[MountName, MountedSecret | None] = Field(
        description="Secrets, by the folder below /etc/postwatch/secrets where their keys are files; each daemon gets "
        "those that its configuration names."
    )
    exporter: ExporterValues = Field(description="The exporter.")
    alerter: AlerterValues = Field(description="The alerter.")
    persistence: PersistenceValues = Field(description="The volume at /var/lib/postwatch.")
    service_monitor: MonitorValues = Field(description="ServiceMonitors for a Prometheus Operator.")
    pod_monitor: MonitorValues = Field(description="PodMonitors, instead of ServiceMonitors.")
    prometheus_rule: RuleValues = Field(description="Our rules and alerts as a PrometheusRule.")
    dashboards: DashboardValues = Field(description="Our dashboards as ConfigMaps for Grafana's sidecar.")
    network_policy: NetworkPolicyValues = Field(description="A NetworkPolicy for each pod.")
    helm_test: TestValues = Field(description="`helm test`.")
    extra_manifests: tuple[str | dict[str, Any], ...] = Field(
        (), description="Manifests of yours, as objects or as texts; templates in them are filled in."
    )
