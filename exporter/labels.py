"""Constant labels that a user may set, and the names that are taken."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator

# Of targets and rules: they would collide with what Prometheus and the shipped rules set.
BANNED = frozenset(
    [
        "service",
        "severity",
        "alertname",
        "job",
        "instance",
        "namespace",
        "pod",
        "container",
        "endpoint",
        "env",
        "region",
        "cluster",
        "zone",
        "type",
    ]
)
# Of our own metrics; a test compares this with the catalogue.
USED = frozenset(
    [
        "sampler",
        "source",
        "queue",
        "priority",
        "state",
        "outcome",
        "error",
        "level",
        "kind",
        "worker",
        "target",
        "phase",
        "reason",
        "code",
        "ip",
        "blocklist",
        "category",
        "tier",
        "family",
        "result",
        "provider",
        "database",
        "redis",
        "pool",
        "command",
        "table",
        "mount",
        "device",
        "version",
        "python",
        "le",
        "quantile",
    ]
)


def _allowed(labels: Mapping[str, str]) -> Mapping[str, str]:
    for name in labels:
        if not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", name) or name.startswith("__"):
            raise ValueError(f"{name!r} is no name of a label; allowed: letters, digits and _, not first __")
        if name in BANNED:
            raise ValueError(f"{name!r} collides with a label of targets or rules; choose another name")
        if name in USED:
            raise ValueError(f"{name!r} is a label of our own metrics; choose another name")
    return dict(labels)


Labels = Annotated[Mapping[str, str], AfterValidator(_allowed)]
