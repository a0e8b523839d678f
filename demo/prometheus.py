"""Prometheus and Alertmanager, Debian's or whoever's is found on PATH, as servers of this machine."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from demo.process import ServerError, answers_well
from demo.server import Server

# Debian's name first, then the one that the project itself gives its program.
PROMETHEUS = ("prometheus",)
ALERTMANAGER = ("prometheus-alertmanager", "alertmanager")
PACKAGES = "prometheus prometheus-alertmanager"


def program(names: Sequence[str]) -> str | None:
    """The path of the first of these programs that is installed."""
    return next((found for name in names if (found := shutil.which(name))), None)


class _OfConfig(Server):
    """What both share: one configuration file, and a page that says when they are ready."""

    names: Sequence[str] = ()

    def __init__(
        self,
        config: str,
        folder: Path | None = None,
        *,
        options: Sequence[str] = (),
        port: int | None = None,
        keep: bool = False,
    ) -> None:
        """`config` is a file's content; paths in it are relative to `folder`."""
        super().__init__(folder, port=port, keep=keep)
        self.config = config
        self.options = list(options)

    @property
    def address(self) -> str:
        """As a target of a scrape is written."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    @property
    def file(self) -> Path:
        """The configuration; what is written there is read at the next start."""
        return self.folder / f"{self.kind.lower()}.yml"

    def prepare(self) -> None:
        self.file.write_text(self.config)

    def program(self) -> str:
        """Raises ServerError if it is not installed."""
        found = program(self.names)
        if found is None:
            raise ServerError(f"{self.names[0]} is missing: install the packages {PACKAGES}")
        return found

    def answers(self) -> bool:
        return answers_well(f"{self.url}/-/ready")


class Prometheus(_OfConfig):
    """It keeps its data, 90 days of them, in its folder."""

    kind = "Prometheus"
    names = PROMETHEUS

    def command(self) -> list[str]:
        fixed = {
            "config.file": self.file,
            "storage.tsdb.path": self.folder / "data",
            "storage.tsdb.retention.time": "90d",
            "web.listen-address": self.address,
            "web.external-url": self.url,  # in links; else it would be the machine's name
            "log.level": "warn",
        }
        return [self.program(), *(f"--{name}={value}" for name, value in fixed.items()), *self.options]


class Alertmanager(_OfConfig):
    """One by itself, or, with the `gossip` ports of others as `peers`, one of a cluster."""

    kind = "Alertmanager"
    names = ALERTMANAGER

    def __init__(
        self,
        config: str,
        folder: Path | None = None,
        *,
        gossip: int | None = None,
        peers: Sequence[int] = (),
        options: Sequence[str] = (),
        port: int | None = None,
        keep: bool = False,
    ) -> None:
        """`gossip` is the port of this machine at which others of the cluster find it; without it there is none."""
        super().__init__(config, folder, options=options, port=port, keep=keep)
        self.gossip = gossip
        self.peers = list(peers)

    def command(self) -> list[str]:
        fixed = {
            "config.file": self.file,
            "storage.path": self.folder / "data",
            "web.listen-address": self.address,
            "web.external-url": self.url,  # in links; else it would be the machine's name
            "cluster.listen-address": f"127.0.0.1:{self.gossip}" if self.gossip else "",
            "log.level": "warn",
        }
        others = [f"--cluster.peer=127.0.0.1:{port}" for port in self.peers]
        return [self.program(), *(f"--{name}={value}" for name, value in fixed.items()), *others, *self.options]
