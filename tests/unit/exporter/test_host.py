"""The host's figures: a container's limits by fake trees of cgroup v2, devices, mounts that hang."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest

from chassis.clock import SystemClock
from exporter.host import cgroup
from exporter.host.part import CGROUPS, MOST_DEVICES, OWN_CGROUP, Devices, Load, Mounts, is_disk, usage
from exporter.sampling.sampler import Run

GIB = 2**30


def tree(root: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


def container(root: Path, **files: str) -> Path:
    """A container's view: its own cgroup is the root of the mount."""
    usual = {
        "memory.max": str(GIB),
        "memory.current": str(GIB // 2),
        "memory.stat": f"anon 1\ninactive_file {GIB // 4}\nactive_file 3",
        "cpu.max": "150000 100000",
        "cpu.stat": "usage_usec 2500000\nuser_usec 2000000\nsystem_usec 500000",
    }
    return tree(root, usual | {name.replace("_", ".", 1): text for name, text in files.items()})


def test_a_container_has_its_limits(tmp_path: Path) -> None:
    folders = cgroup.levels(container(tmp_path), "0::/\n")
    assert folders == [tmp_path]
    assert cgroup.memory(folders) == cgroup.Memory(GIB // 4, GIB)  # the idle cache is as good as free
    assert cgroup.processor(folders) == cgroup.Processor(2.5, 1.5)


def test_max_is_no_limit(tmp_path: Path) -> None:
    folders = cgroup.levels(container(tmp_path, memory_max="max", cpu_max="max 100000"), "0::/")
    assert (cgroup.memory(folders), cgroup.processor(folders)) == (None, None)


def test_memory_without_a_stat_counts_whole(tmp_path: Path) -> None:
    root = container(tmp_path)
    (root / "memory.stat").unlink()
    found = cgroup.memory([root])
    assert found is not None
    assert found.ratio == 0.5


def test_the_machine_s_own_root_has_no_limits(tmp_path: Path) -> None:
    """The first cgroup of all has no `memory.max`; a service below it may, and is not what is watched."""
    root = tree(tmp_path, {"cpu.stat": "usage_usec 1", "system.slice/postwatch.service/memory.max": "1000"})
    assert cgroup.levels(root, "0::/system.slice/postwatch.service") == []


def test_the_tightest_limit_of_nested_groups_holds(tmp_path: Path) -> None:
    root = container(tmp_path, memory_current=str(GIB * 9 // 10), memory_stat="inactive_file 0")
    container(root / "inner", memory_current=str(GIB // 10), memory_stat="inactive_file 0", cpu_max="50000 100000")
    folders = cgroup.levels(root, "12:cpu:/x\n0::/inner\n")
    assert folders == [root / "inner", root]
    memory, processor = cgroup.memory(folders), cgroup.processor(folders)
    assert memory is not None
    assert processor is not None
    assert memory.used == GIB * 9 // 10
    assert processor.processors == 0.5


@pytest.mark.parametrize("own", ["0::/../../elsewhere", "0::/not/here", "", "garbage"])
def test_a_path_out_of_the_namespace_means_the_root(tmp_path: Path, own: str) -> None:
    assert cgroup.levels(container(tmp_path), own) == [tmp_path]


@pytest.mark.parametrize("text", ["", "x", "-1", "1e9", "9" * 5 + " x"])
def test_what_cannot_be_read_is_no_limit(tmp_path: Path, text: str) -> None:
    folders = [container(tmp_path, memory_max=text, cpu_max=text if not text.startswith("9") else "x 1")]
    assert (cgroup.memory(folders), cgroup.processor(folders)) == (None, None)


def test_this_machine_as_it_is() -> None:
    """With limits or without: what is told agrees with psutil, or is a limit of a container's."""
    folders = cgroup.levels(CGROUPS, OWN_CGROUP.read_text())
    memory, processor = cgroup.memory(folders), cgroup.processor(folders)
    if memory is not None:
        assert 0 < memory.used <= memory.limit <= 2 * psutil.virtual_memory().total
    if processor is not None:
        assert processor.used >= 0
        assert processor.processors > 0
    assert bool(folders) == any((CGROUPS / name).exists() for name in ("memory.max", "cpu.max"))


@pytest.mark.parametrize(
    ("before", "now", "ratio"),
    [
        (Load(10, 100), Load(15, 120), 0.25),
        (Load(10, 100), Load(10, 100), None),
        (Load(10, 100), Load(31, 120), 1.0),  # the kernel rounds
        (Load(10, 100), Load(9, 120), 0.0),
    ],
)
def test_use_is_a_ratio(before: Load, now: Load, ratio: float | None) -> None:
    assert usage(before, now) == ratio


def test_disks_are_whole_devices(tmp_path: Path) -> None:
    for name in ("sda", "nvme0n1", "dm-0", "loop0", "ram1", "zram0", "sr0", "cciss!c0d0"):
        (tmp_path / name).mkdir()
    names = ["sda", "sda1", "nvme0n1", "nvme0n1p1", "dm-0", "loop0", "ram1", "zram0", "sr0", "cciss/c0d0", "gone"]
    assert [name for name in names if is_disk(name, tmp_path)] == ["sda", "nvme0n1", "dm-0", "cciss/c0d0"]


def test_the_first_devices_stay() -> None:
    devices = Devices()
    first = [f"d{number}" for number in range(MOST_DEVICES + 10)]
    kept = devices.choose(first)
    assert kept == first[:MOST_DEVICES]
    assert devices.choose(["new", *first]) == kept
    assert "new" in devices.choose(["new", *first[1:]])  # one that went has made room


def test_a_mount_that_hangs_keeps_nothing_else_from_being_told(monkeypatch: pytest.MonkeyPatch) -> None:
    hanging, asked = threading.Event(), []
    usage_of = psutil.disk_usage

    def ask(mount: str) -> object:
        asked.append(mount)
        if mount == "/stale":
            hanging.wait(60)
        return usage_of("/")

    monkeypatch.setattr(psutil, "disk_usage", ask)
    mounts = Mounts(["/stale", "/", "/stale"])
    for _ in range(2):
        ratios, missing = mounts.look(Run(SystemClock(), 0.4))
        assert set(ratios) == {"/"}
        assert missing == {"/stale": "no answer in time"}
    assert asked.count("/stale") == 1  # no thread is added while one waits
    hanging.set()
    mounts._threads["/stale"].join(10)
    assert set(mounts.look(Run(SystemClock(), 5))[0]) == {"/", "/stale"}
