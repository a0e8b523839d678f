"""The machine, or the container, that the exporter runs on."""

from exporter.catalogue.metric import COUNTER, GAUGE, declare

_LOOK = "each look (`host.interval`, 15 s)"
_SYSTEM = "the operating system"

HOST = (
    declare("Host", (), "host_cpu_usage_ratio", GAUGE, "ratio", f"{_SYSTEM}, or cgroup v2", _LOOK,
        "Part of the processors in use since the last look; in a container with a limit, part of that.",
        "postwatch_host_cpu_usage_ratio > 0.9"),
    declare("Host", (), "host_memory_usage_ratio", GAUGE, "ratio", f"{_SYSTEM}, or cgroup v2", _LOOK,
        "Part of the memory that is not available; in a container with a limit, part of that, less idle file cache.",
        "postwatch_host_memory_usage_ratio > 0.9"),
    declare("Host", ("mount",), "host_disk_usage_ratio", GAUGE, "ratio", _SYSTEM, _LOOK,
        "Part of a file system in use, of what ordinary users may use.", "postwatch_host_disk_usage_ratio > 0.9"),
    declare("Host", ("device",), "host_disk_read_bytes_total", COUNTER, "bytes", _SYSTEM, _LOOK,
        "Bytes read from a disk.", "rate(postwatch_host_disk_read_bytes_total[5m])"),
    declare("Host", ("device",), "host_disk_written_bytes_total", COUNTER, "bytes", _SYSTEM, _LOOK,
        "Bytes written to a disk.", "rate(postwatch_host_disk_written_bytes_total[5m])"),
    declare("Host", ("device",), "host_network_receive_bytes_total", COUNTER, "bytes", _SYSTEM, _LOOK,
        "Bytes received by a network interface.", "rate(postwatch_host_network_receive_bytes_total[5m])"),
    declare("Host", ("device",), "host_network_transmit_bytes_total", COUNTER, "bytes", _SYSTEM, _LOOK,
        "Bytes sent by a network interface.", "rate(postwatch_host_network_transmit_bytes_total[5m])"),
)  # fmt: skip
