"""The machine, or the container, that it runs on."""

from __future__ import annotations

import os

from pydantic import Field

from chassis.settings import Settings
from exporter.host.part import Host
from exporter.host.reference import guide
from exporter.options import Interval, Timeout
from exporter.parts import Part, PartContext


class HostOptions(Settings):
    """The host's own figures."""

    enabled: bool | None = Field(
        None, description="Whether the host is watched; if not given: yes, except in Kubernetes."
    )
    interval: Interval = Field(15.0, description="Time between looks.")
    timeout: Timeout | None = Field(None, description="Time limit of one look; `defaults.timeout` if not given.")
    mounts: tuple[str, ...] = Field(("/",), max_length=100, description="Mounted file systems to be watched.")


class Section(Settings):
    """The part of the configuration on the host."""

    host: HostOptions | None = Field(
        None, description="The machine or container that it runs on; not watched if the section is not given."
    )


def build(section: Section, context: PartContext) -> list[Part]:
    """What is to be watched: the host, or nothing."""
    options = section.host
    if options is None:
        return []
    # There a node's figures are told by others, and each pod would tell them again.
    enabled = "KUBERNETES_SERVICE_HOST" not in os.environ if options.enabled is None else options.enabled
    if not enabled:
        return []
    return [Host(options.interval, options.timeout or context.timeout, options.mounts, context)]


__all__ = ["HostOptions", "Section", "build", "guide"]
