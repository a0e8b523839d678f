"""The host's figures: processors, memory, file systems, disks and network."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import psutil

from chassis.exposition import Reading
from chassis.log import Repeats, get_logger
from exporter.host import cgroup
from exporter.model import Remark
from exporter.parts import Level, Line, Part, PartContext, Table
from exporter.queues.base import Work
from exporter.sampling.sampler import Run, Sampler

log = get_logger(__name__)

FIRST_STRETCH = 0.25  # seconds over which the first look measures processors
MOST_DEVICES = 50
NEARLY_FULL = 0.9  # from which the table warns
CGROUPS, OWN_CGROUP, BLOCK = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup"), Path("/sys/block")
_NO_DISK = re.compile(r"(loop|ram|zram|fd|sr)\d+")
_NO_INTERFACE = re.compile(r"veth")


class Load(NamedTuple):
    """Processor time up to a moment: seconds in use, and seconds that there were, or the moment and its processors."""

    used: float
    available: float


def usage(before: Load, now: Load) -> float | None:
    """Ratio of use between two readings; None if no time has passed."""
    available = now.available - before.available
    return min(1.0, max(0.0, (now.used - before.used) / available)) if available > 0 else None


@dataclass(frozen=True)
class Figures:
    """What one look told, for the table."""

    processor: float | None = None
    memory: float | None = None
    disks: tuple[tuple[str, float], ...] = ()


class Host:
    """The one host."""

    name = "host"

    def __init__(self, interval: float, timeout: float, mounts: Sequence[str], context: PartContext) -> None:
        self._interval, self._timeout = interval, timeout
        self._context = context
        self._mounts = Mounts(mounts)
        self._disks, self._interfaces = Devices(), Devices()
        self._load: tuple[float, bool, Load] | None = None
        self._figures: Figures | None = None

    def samplers(self) -> list[Sampler]:
        """As `Part.samplers`."""
        context = self._context
        return [Work("host", "", self._interval, self._timeout, context.stale_after, "", context.labels, self.sample)]

    def start(self) -> None:
        """As `Part.start`."""

    def stop(self, timeout: float) -> None:
        """As `Part.stop`."""

    def continue_from(self, before: Part) -> None:
        """As `Part.continue_from`: the counters are the kernel's."""
        if isinstance(before, Host):
            self._load = before._load

    def settings(self) -> Iterator[Reading]:
        """As `Part.settings`."""
        yield from ()

    def check(self, run: Run) -> list[Remark]:
        """As `Part.check`."""
        missing = self._mounts.look(run)[1]
        remedy = "check `host.mounts`; in a container, the file system has to be mounted there"
        return [Remark(self.name, f"{mount}: {why}", remedy) for mount, why in missing.items()]

    def sample(self, run: Run) -> None:
        """Look once."""
        folders = cgroup.levels(CGROUPS, OWN_CGROUP.read_text(encoding="utf-8"))
        labels = self._context.labels
        processor, memory = self._processor(run, folders), _memory(folders)
        full, missing = self._mounts.look(run)
        self._mounts.say(missing)
        readings = [
            Reading(f"postwatch_host_{name}_usage_ratio", labels, ratio)
            for name, ratio in (("cpu", processor), ("memory", memory))
            if ratio is not None
        ]
        for mount, ratio in full.items():
            readings.append(Reading("postwatch_host_disk_usage_ratio", {**labels, "mount": mount}, ratio))
        readings += self._traffic(labels)
        self._figures = Figures(processor, memory, tuple(full.items()))
        run.publish(f"{self.name}: figures", readings)

    def _processor(self, run: Run, folders: list[Path]) -> float | None:
        now = run.clock.monotonic()
        if self._load is None:
            self._load = (now, *_load(now, folders))
        since, limited, before = self._load
        if now - since < FIRST_STRETCH:
            threading.Event().wait(min(FIRST_STRETCH - (now - since), run.left / 2))
            now = run.clock.monotonic()
        self._load = (now, *_load(now, folders))
        return usage(before, self._load[2]) if limited == self._load[1] else None

    def _traffic(self, labels: dict[str, str]) -> Iterator[Reading]:
        disks = psutil.disk_io_counters(perdisk=True, nowrap=False) or {}
        for device in self._disks.choose(name for name in disks if is_disk(name, BLOCK)):
            mine = {**labels, "device": device}
            yield Reading("postwatch_host_disk_read_bytes_total", mine, disks[device].read_bytes)
            yield Reading("postwatch_host_disk_written_bytes_total", mine, disks[device].write_bytes)
        network = psutil.net_io_counters(pernic=True, nowrap=False)
        for device in self._interfaces.choose(name for name in network if not _NO_INTERFACE.match(name)):
            mine = {**labels, "device": device}
            yield Reading("postwatch_host_network_receive_bytes_total", mine, network[device].bytes_recv)
            yield Reading("postwatch_host_network_transmit_bytes_total", mine, network[device].bytes_sent)

    def table(self) -> Table:
        """As `Part.table`."""
        seen = self._figures
        if seen is None:
            return Table("Host", ("what", "#in use"), (Line(("all", "–"), "unknown", Level.UNKNOWN),))
        parts = [("processors", seen.processor), ("memory", seen.memory), *seen.disks]
        return Table("Host", ("what", "#in use"), tuple(_line(*part) for part in parts)).worst_first()


class Devices:
    """Names that may have series: the first ones, for as long as they are there."""

    def __init__(self) -> None:
        self._known: dict[str, None] = {}

    def choose(self, present: Iterable[str]) -> list[str]:
        """Those among `present`."""
        names = list(present)
        self._known = {name: None for name in self._known if name in names}
        for name in names:
            if len(self._known) < MOST_DEVICES:
                self._known.setdefault(name)
        return list(self._known)


class Mounts:
    """File systems and how full they are. Each is asked in a thread of its own: a network's may never answer."""

    def __init__(self, mounts: Sequence[str]) -> None:
        self._mounts = tuple(dict.fromkeys(mounts))
        self._repeats = Repeats(log)
        self._threads: dict[str, threading.Thread] = {}
        self._answers: dict[str, float | str] = {}

    def look(self, run: Run) -> tuple[dict[str, float], dict[str, str]]:
        """Ratios by mount, and why there is none by mount; within the run's time."""
        for mount in self._mounts:
            running = self._threads.get(mount)
            if running is not None and running.is_alive():
                continue  # one that hangs is not asked again before it answers
            self._answers[mount] = "no answer in time"
            self._threads[mount] = threading.Thread(target=self._ask, args=(mount,), name=f"mount {mount}", daemon=True)
            self._threads[mount].start()
        for mount in self._mounts:
            self._threads[mount].join(run.left / 2)
        answers = {mount: self._answers[mount] for mount in self._mounts}
        ratios = {mount: answer for mount, answer in answers.items() if isinstance(answer, float)}
        return ratios, {mount: answer for mount, answer in answers.items() if isinstance(answer, str)}

    def _ask(self, mount: str) -> None:
        try:
            found = psutil.disk_usage(mount)
            # As df has it: what is kept for root counts neither as used nor as free.
            size = found.used + found.free
            self._answers[mount] = found.used / size if size else 0.0
        except OSError as error:
            self._answers[mount] = error.strerror or type(error).__name__

    def say(self, missing: dict[str, str]) -> None:
        """Log once which cannot be told."""
        for mount in self._mounts:
            if mount in missing:
                self._repeats.failed(mount, "mount_unknown", reason=missing[mount], mount=mount)
            else:
                self._repeats.recovered(mount, "mount_known", mount=mount)


def is_disk(name: str, block: Path) -> bool:
    """Whether a device is a whole disk. `block`: /sys/block, where a `/` in a name is a `!`."""
    return not _NO_DISK.fullmatch(name) and (block / name.replace("/", "!")).exists()


def _load(now: float, folders: list[Path]) -> tuple[bool, Load]:
    """Whether a container's limit holds, and the load."""
    limited = cgroup.processor(folders)
    if limited is not None:
        return True, Load(limited.used, now * limited.processors)
    times = psutil.cpu_times()
    # What guests used is part of user and nice already; waiting for a disk is no use of a processor.
    total = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
    idle = times.idle + getattr(times, "iowait", 0.0)
    return False, Load(total - idle, total)


def _memory(folders: list[Path]) -> float:
    limited = cgroup.memory(folders)
    if limited is not None:
        return limited.ratio
    machine = psutil.virtual_memory()
    return 1 - machine.available / machine.total


def _line(what: str, ratio: float | None) -> Line:
    if ratio is None:
        return Line((what, "–"), "unknown", Level.UNKNOWN)
    full = ratio >= NEARLY_FULL
    return Line((what, f"{ratio:.0%}"), "nearly full" if full else "good", Level.WARNING if full else Level.GOOD)
