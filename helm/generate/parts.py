"""Values that both daemons share, and kinds of values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from chassis.settings import Settings
from helm.generate.schema import Kubernetes

Object = dict[str, Any]
_CORE = "io.k8s.api.core.v1."
_NETWORK = "io.k8s.api.networking.v1."
Affinity = Annotated[Object, Kubernetes(f"{_CORE}Affinity")]
Container = Annotated[Object, Kubernetes(f"{_CORE}Container")]
Egress = Annotated[Object, Kubernetes(f"{_NETWORK}NetworkPolicyEgressRule")]
EnvFrom = Annotated[Object, Kubernetes(f"{_CORE}EnvFromSource")]
EnvVar = Annotated[Object, Kubernetes(f"{_CORE}EnvVar")]
Peer = Annotated[Object, Kubernetes(f"{_NETWORK}NetworkPolicyPeer")]
PodSecurity = Annotated[Object, Kubernetes(f"{_CORE}PodSecurityContext")]
PullSecret = Annotated[Object, Kubernetes(f"{_CORE}LocalObjectReference")]
Resources = Annotated[Object, Kubernetes(f"{_CORE}ResourceRequirements")]
Security = Annotated[Object, Kubernetes(f"{_CORE}SecurityContext")]
Spread = Annotated[Object, Kubernetes(f"{_CORE}TopologySpreadConstraint")]
Toleration = Annotated[Object, Kubernetes(f"{_CORE}Toleration")]
Volume = Annotated[Object, Kubernetes(f"{_CORE}Volume")]
VolumeMount = Annotated[Object, Kubernetes(f"{_CORE}VolumeMount")]
Name = Annotated[str, StringConstraints(pattern="^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)?$")]
SecretName = Annotated[str, StringConstraints(pattern="^([a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?)?$")]
Key = Annotated[
    str,
    StringConstraints(
        pattern="^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
    ),
]
LabelValue = Annotated[str, StringConstraints(pattern="^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$")]
Labels = Mapping[Key, LabelValue]
Annotations = Mapping[Key, str]
Texts = Mapping[str, str]


class PartBase(Settings):
    """Keys in camel case."""

    model_config = ConfigDict(alias_generator=to_camel)


class ProbeValues(PartBase):
    """When a probe looks; where is not up to you."""

    enabled: bool = Field(True, description="Whether there is one.")
    initial_delay_seconds: int = Field(0, ge=0, description="Seconds before the first look.")
    period_seconds: int = Field(10, ge=1, description="Seconds between looks.")
    timeout_seconds: int = Field(5, ge=1, description="Seconds for an answer.")
    failure_threshold: int = Field(3, ge=1, description="Failures in a row that count.")


class ServiceValues(PartBase):
    """A Service."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = Field("ClusterIP", description="Its type.")
    annotations: Annotations = Field(default_factory=dict, description="Its annotations.")


class BudgetValues(PartBase):
    """A PodDisruptionBudget."""

    enabled: bool = Field(False, description="Whether there is one; the alerter's needs two replicas.")
    max_unavailable: int = Field(1, ge=0, description="Pods that may be taken away at a time.")


class PartValues(PartBase):
    """What both daemons have. As a sidecar the alerter has a container alone: what is of pods is the exporter's."""

    resources: Resources = Field(default_factory=dict, description="Of its container.")
    security_context: Security = Field(default_factory=dict, description="Of its container: restricted.")
    extra_env: tuple[EnvVar, ...] = Field((), description="More environment variables.")
    extra_env_from: tuple[EnvFrom, ...] = Field((), description="More of them, by the set.")
    extra_volume_mounts: tuple[VolumeMount, ...] = Field((), description="More mounts.")
    liveness_probe: ProbeValues = Field(description="Whether it lives: /healthz, which asks no database.")
    readiness_probe: ProbeValues = Field(description="Whether it is ready: /readyz.")
    service: ServiceValues = Field(description="Its Service.")
    annotations: Annotations = Field(default_factory=dict, description="Of its Deployment or StatefulSet.")
    pod_annotations: Annotations = Field(default_factory=dict, description="Of its pods.")
    pod_labels: Labels = Field(default_factory=dict, description="Of its pods.")
    pod_security_context: PodSecurity = Field(default_factory=dict, description="Of its pods: restricted.")
    init_containers: tuple[Container, ...] = Field((), description="Run before it.")
    extra_containers: tuple[Container, ...] = Field((), description="Run beside it.")
    extra_volumes: tuple[Volume, ...] = Field((), description="More volumes.")
    node_selector: Labels = Field(default_factory=dict, description="Labels of the nodes for its pods.")
    affinity: Affinity = Field(default_factory=dict, description="Of its pods.")
    tolerations: tuple[Toleration, ...] = Field((), description="Of its pods.")
    topology_spread_constraints: tuple[Spread, ...] = Field(
        (), description="Of its pods; by default an alerter's replicas prefer nodes of their own."
    )
    priority_class_name: str = Field("", description="Of its pods.")
    termination_grace_period_seconds: int = Field(15, ge=0, description="It ends within 10 seconds.")
    pod_disruption_budget: BudgetValues = Field(description="Its PodDisruptionBudget.")
