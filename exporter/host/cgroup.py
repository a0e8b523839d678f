"""Limits of a container, from cgroup v2 (kernel documentation, admin-guide/cgroup-v2). Functions of a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MICROSECONDS = 1e6


@dataclass(frozen=True)
class Memory:
    """Memory of a container. Bytes."""

    used: int  # without file cache that the kernel takes back first
    limit: int

    @property
    def ratio(self) -> float:
        """Used part of the limit."""
        return self.used / self.limit if self.limit else 1.0


@dataclass(frozen=True)
class Processor:
    """Processor time of a container: seconds used so far, and how many processors it may use at a time."""

    used: float
    processors: float


def levels(root: Path, own: str) -> list[Path]:
    """Folders of the cgroups that hold for a process in a container, its own first; empty outside of one.

    `root` is where cgroup v2 is mounted, `own` the process' line of /proc/self/cgroup, e.g. `0::/`. The first of all
    cgroups has no limits; where the mount has, its root is a container's.
    """
    if not any((root / name).is_file() for name in ("memory.max", "cpu.max")):
        return []
    path = next((line[3:] for line in own.splitlines() if line.startswith("0::")), "/")
    folder = root.joinpath(*(part for part in path.split("/") if part not in ("", "..")))
    # A path that leads out of the namespace names nothing here.
    found = [folder, *folder.parents] if folder.is_dir() else [root]
    return [each for each in found if each == root or root in each.parents]


def memory(folders: list[Path]) -> Memory | None:
    """Memory where the limit is tightest; None without a limit."""
    limited = []
    for folder in folders:
        limit, current = _number(folder / "memory.max"), _number(folder / "memory.current")
        if limit is not None and current is not None:
            idle = _fields(folder / "memory.stat").get("inactive_file", 0)
            limited.append(Memory(max(0, current - idle), limit))
    return max(limited, key=lambda found: found.ratio, default=None)


def processor(folders: list[Path]) -> Processor | None:
    """Processor time where the limit is tightest; None without a limit."""
    limited = []
    for folder in folders:
        quota, _, period = _text(folder / "cpu.max").partition(" ")
        usage = _fields(folder / "cpu.stat").get("usage_usec")
        if quota.isdigit() and usage is not None:
            length = int(period) if period.isdigit() and int(period) else 100_000
            limited.append(Processor(usage / MICROSECONDS, int(quota) / length))
    return min(limited, key=lambda found: found.processors, default=None)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def _number(path: Path) -> int | None:
    """A number, or None where there is none, or `max`."""
    text = _text(path)
    return int(text) if text.isdigit() else None


def _fields(path: Path) -> dict[str, int]:
    pairs = (line.split() for line in _text(path).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}
