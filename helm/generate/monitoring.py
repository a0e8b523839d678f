"""Values for a Prometheus Operator and for Grafana."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from helm.generate.parts import Annotations, Labels, Name, PartBase, Texts

Time = Annotated[str, StringConstraints(pattern=r"^[0-9]+(ms|s|m|h)$")]
Link = Annotated[str, StringConstraints(pattern=r"^(https?://[^ ]+)?$")]
Label = Annotated[str, StringConstraints(pattern="^[a-zA-Z_][a-zA-Z0-9_]*$")]


class KeyOf(PartBase):
    """A key of a Secret or a ConfigMap in the monitor's namespace."""

    name: Annotated[str, StringConstraints(min_length=1)] = Field(description="Its name.")
    key: Annotated[str, StringConstraints(min_length=1)] = Field(description="The key.")


class Relabeling(PartBase):
    """As Prometheus has it."""

    source_labels: tuple[Label, ...] = Field((), description="Labels whose values are looked at.")
    separator: str = Field(";", description="Stands between them.")
    regex: str = Field("(.*)", description="What they have to match.")
    modulus: int = Field(0, ge=0, description="For `hashmod`.")
    target_label: Label = Field("", description="Label that is set.")
    replacement: str = Field("$1", description="To what.")
    action: Literal["replace", "keep", "drop", "hashmod", "labelmap", "labeldrop", "labelkeep", "lowercase",
                    "uppercase", "keepequal", "dropequal"] = Field("replace", description="What is done.")  # fmt: skip


class Authority(PartBase):
    """Certificates that are trusted."""

    secret: KeyOf | None = Field(None, description="In a Secret.")
    config_map: KeyOf | None = Field(None, description="In a ConfigMap.")


class TlsValues(PartBase):
    """How Prometheus speaks TLS to it, if its configuration has `web.tls`."""

    ca: Authority | None = Field(None, description="Certificates that are trusted.")
    cert: Authority | None = Field(None, description="The client's certificate.")
    key_secret: KeyOf | None = Field(None, description="Its key.")
    server_name: str | None = Field(None, description="Name that the server's certificate has to be for.")
    insecure_skip_verify: bool | None = Field(None, description="Whether any certificate will do.")


class BasicAuthValues(PartBase):
    """User and password."""

    username: KeyOf = Field(description="The user.")
    password: KeyOf = Field(description="The password.")


class Credentials(PartBase):
    """A token."""

    credentials: KeyOf = Field(description="Where it is.")


class EndpointValues(PartBase):
    """How Prometheus shows who it is."""

    authorization: Credentials | None = Field(None, description="By a token; the alerter's own is known.")
    basic_auth: BasicAuthValues | None = Field(None, description="By user and password.")
    tls_config: TlsValues | None = Field(None, description="TLS, if the configuration has `web.tls`.")


class MonitorValues(PartBase):
    """What tells a Prometheus Operator to scrape. The jobs have the names that our rules know."""

    enabled: bool = Field(False, description="Whether they are made.")
    namespace: Name = Field("", description="In another namespace than the pods.")
    additional_labels: Labels = Field(default_factory=dict, description="Labels by which your Prometheus selects.")
    annotations: Annotations = Field(default_factory=dict, description="Their annotations.")
    interval: Time = Field("5s", description="Time between scrapes.")
    scrape_timeout: Time = Field("4s", description="Time limit of one; less than the interval.")
    relabelings: tuple[Relabeling, ...] = Field((), description="Of targets.")
    metric_relabelings: tuple[Relabeling, ...] = Field((), description="Of series.")
    exporter: EndpointValues = Field(description="How Prometheus shows the exporter who it is.")
    alerter: EndpointValues = Field(description="How Prometheus shows the alerter who it is.")


class RuleOverride(PartBase):
    """What differs from the shipped alert. What is not given stays."""

    enabled: bool = Field(True, description="`false` leaves it out.")
    expr: str | None = Field(None, min_length=1, description="Its expression.")
    for_: Time | None = Field(None, alias="for", description="How long it has to hold.")
    keep_firing_for: Time | None = Field(
        None, alias="keep_firing_for", description="How long it goes on behind its end."
    )
    labels: Texts = Field(default_factory=dict, description="Labels that are added or replaced.")
    annotations: Texts = Field(default_factory=dict, description="Annotations that are added or replaced.")


class RuleValues(PartBase):
    """Rules and alerts."""

    enabled: bool = Field(False, description="Whether it is made.")
    namespace: Name = Field("", description="In another namespace than the pods.")
    additional_labels: Labels = Field(default_factory=dict, description="Labels by which your Prometheus selects.")
    annotations: Annotations = Field(default_factory=dict, description="Its annotations.")
    runbooks: Link = Field("", description="Where docs/runbooks is served; by default Prometheus' external label.")
    dashboards: Link = Field("", description="Where Grafana is; by default Prometheus' external label.")
    rules: Mapping[str, RuleOverride | None] = Field(
        default_factory=dict,
        description="What differs, by an alert's name, or by `NAME/SEVERITY` where two have one name.",
    )


class DashboardValues(PartBase):
    """Dashboards."""

    enabled: bool = Field(False, description="Whether they are made.")
    namespace: Name = Field("", description="In another namespace than the pods.")
    labels: Labels = Field(default_factory=dict, description="Labels that Grafana's sidecar looks for.")
    annotations: Annotations = Field(default_factory=dict, description="Annotations, e.g. the folder.")
