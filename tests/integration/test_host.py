"""The host's figures, against what the system itself says of them."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from tests.support.exporter import Exporter, config


def test_the_host(tmp_path: Path) -> None:
    given = {**config(labels={"site": "a"}), "host": {"mounts": ["/", str(tmp_path / "none")], "enabled": True}}
    before = psutil.disk_io_counters(perdisk=True, nowrap=False) or {}
    sent_before = psutil.net_io_counters(pernic=True, nowrap=False)
    with Exporter(given) as exporter:
        samples = exporter.look("host", source="")
        assert 0 <= samples.value("postwatch_host_cpu_usage_ratio", site="a") <= 1
        assert 0 < samples.value("postwatch_host_memory_usage_ratio") < 1
        usage = psutil.disk_usage("/")
        disks = samples.by("mount", "postwatch_host_disk_usage_ratio")
        assert disks == {"/": pytest.approx(usage.used / (usage.used + usage.free), abs=0.05)}
        (said,) = exporter.logged("mount_unknown")
        assert said["reason"] == "No such file or directory"
        after = psutil.disk_io_counters(perdisk=True, nowrap=False) or {}
        for way in ("read", "written"):
            for device, passed in samples.by("device", f"postwatch_host_disk_{way}_bytes_total").items():
                counter = {"read": "read_bytes", "written": "write_bytes"}[way]
                assert getattr(before[device], counter) <= passed <= getattr(after[device], counter)
        network = psutil.net_io_counters(pernic=True, nowrap=False)
        for way, counter in (("receive", "bytes_recv"), ("transmit", "bytes_sent")):
            passed_by = samples.by("device", f"postwatch_host_network_{way}_bytes_total")
            assert {"lo"} <= passed_by.keys() <= network.keys()
            for device, passed in passed_by.items():
                assert getattr(sent_before[device], counter) <= passed <= getattr(network[device], counter)
        exporter.look("host", source="")
        assert len(exporter.logged("mount_unknown")) == 1


@pytest.mark.parametrize(
    ("text", "kubernetes", "watched"),
    [
        (None, False, False),
        ({}, False, True),
        ({}, True, False),
        ({"enabled": True}, True, True),
        ({"enabled": False}, False, False),
    ],
)
def test_when_the_host_is_watched(
    text: dict[str, bool] | None, kubernetes: bool, watched: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    if kubernetes:
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    given = config() if text is None else {**config(), "host": text}
    with Exporter(given) as exporter:
        assert bool(exporter.watch.parts) is watched
