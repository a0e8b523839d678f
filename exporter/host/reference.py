"""This section's chapters of docs/configuration.md and docs/metrics.md."""

from __future__ import annotations

from exporter.queues.guide import Guide

CONFIGURATION = """\
## The host

```yaml
host: {enabled: true, interval: 15s, mounts: [/]}
```

Without the section the host is not watched. With it, it is, except in Kubernetes (where `KUBERNETES_SERVICE_HOST` is
set): there the nodes' figures are told by others. `enabled: true` watches it there too.\
"""
METRICS = """\
## The host

Figures are the machine's. In a container with limits (cgroup v2: `cpu.max`, `memory.max`), processors and memory are
the container's, and the ratio is to its limit: the tightest one, if several hold. Memory is then what is in use
less the file cache that has not been used lately, which the kernel takes back before anyone runs out. A limit
that a service manager sets outside of a container is not looked at.

Disks are whole devices, neither partitions nor loop, RAM or CD-ROM devices; the layers that LVM or RAID put over them
(`dm-0`, `md0`) are devices of their own, so do not add these up with the disks below. Network interfaces are all but
one end of each container's pair (`veth…`). At most 50 of each, those that came first. A mount that does not answer is
absent and keeps nothing else from being told.\
"""


def guide() -> Guide:
    """Both chapters."""
    return Guide(configuration=CONFIGURATION, metrics=METRICS)
