"""Redis as more than one process: Sentinel and Cluster."""

import contextlib
from types import TracebackType
from typing import Self

import redis

from demo.process import free_port
from tests.support.servers import RedisServer
from tests.support.wait import eventually


class _SentinelProcess(RedisServer):
    kind = "Redis-Sentinel"

    def __init__(self, master: RedisServer, name: str, quorum: int) -> None:
        super().__init__()
        self.package = "redis-sentinel"
        self._lines = [
            f"sentinel monitor {name} 127.0.0.1 {master.port} {quorum}",
            f"sentinel down-after-milliseconds {name} 500",
            f"sentinel failover-timeout {name} 3000",
        ]
        if master.password:
            self._lines.append(f"sentinel auth-pass {name} {master.password}")

    def command(self) -> list[str]:
        config = self.folder / "sentinel.conf"
        if not config.exists():  # Sentinel keeps what it learned in this file
            lines = [f"port {self.port}", "bind 127.0.0.1", f"dir {self.folder}", *self._lines]
            config.write_text("\n".join(lines) + "\n")
        return ["redis-server", str(config), "--sentinel"]


class _Group:
    """Servers that start in order and stop in reverse order."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()

    def begin(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        with self._stack as stack:
            self.begin()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()


class Sentinel(_Group):
    """A master, its replicas and the Sentinels that watch them, known as `name`."""

    def __init__(
        self,
        *,
        replicas: int = 1,
        sentinels: int = 3,
        password: str | None = None,
        name: str = "mymaster",
    ) -> None:
        super().__init__()
        self.name = name
        self.password = password
        self._replicas = replicas
        self._sentinels = sentinels
        self.master: RedisServer
        self.replicas: list[RedisServer] = []
        self.sentinels: list[RedisServer] = []

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Of the Sentinels."""
        return [("127.0.0.1", sentinel.port) for sentinel in self.sentinels]

    def begin(self) -> None:
        settings = {"repl-diskless-sync-delay": "0"}
        if self.password:
            settings["masterauth"] = self.password
        self.master = self._stack.enter_context(RedisServer(password=self.password, settings=settings))
        for _ in range(self._replicas):
            follows = settings | {"replicaof": f"127.0.0.1 {self.master.port}"}
            self.replicas.append(self._stack.enter_context(RedisServer(password=self.password, settings=follows)))
        quorum = self._sentinels // 2 + 1
        for _ in range(self._sentinels):
            self.sentinels.append(self._stack.enter_context(_SentinelProcess(self.master, self.name, quorum)))
        eventually(self._complete, within=20)

    def _complete(self) -> bool:
        for sentinel in self.sentinels:
            with sentinel.client() as client:
                state = client.sentinel_master(self.name)
            if state["num-slaves"] < self._replicas or state["num-other-sentinels"] < self._sentinels - 1:
                return False
        with self.master.client() as client:
            return bool(client.info("replication")["connected_slaves"] == self._replicas)

    def master_port(self) -> int:
        """As the Sentinels see it now."""
        with self.sentinels[0].client() as client:
            return int(client.sentinel_get_master_addr_by_name(self.name)[1])

    def failover(self) -> None:
        """Kills the master; returns when another one is known and writable."""
        old = next(one for one in (self.master, *self.replicas) if one.port == self.master_port())
        old.kill()

        def moved() -> bool:
            new = next(one for one in (self.master, *self.replicas) if one.port == self.master_port())
            if new is old:
                return False
            with new.client() as client:
                return bool(client.info("replication")["role"] == "master")

        eventually(moved, within=30)


class Cluster(_Group):
    """Redis Cluster: masters that share the slots, without replicas."""

    def __init__(self, nodes: int = 3) -> None:
        super().__init__()
        self._count = nodes
        self.nodes: list[RedisServer] = []

    @property
    def addresses(self) -> list[tuple[str, int]]:
        return [("127.0.0.1", node.port) for node in self.nodes]

    @property
    def url(self) -> str:
        """Of one node, from which a cluster client finds the others."""
        return self.nodes[0].url

    def client(self) -> "redis.RedisCluster":
        return redis.RedisCluster.from_url(self.url, decode_responses=True)

    def begin(self) -> None:
        buses = []
        for number in range(self._count):
            buses.append(free_port())
            node = RedisServer(
                settings={
                    "cluster-enabled": "yes",
                    "cluster-port": str(buses[number]),
                    "cluster-config-file": "nodes.conf",
                    "cluster-node-timeout": "2000",
                }
            )
            self.nodes.append(self._stack.enter_context(node))
        share = -(-16384 // self._count)
        for number, node in enumerate(self.nodes):
            with node.client() as client:
                client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
                last = min(share * (number + 1), 16384) - 1
                client.execute_command("CLUSTER", "ADDSLOTSRANGE", share * number, last)
                for other in range(number):
                    client.execute_command("CLUSTER", "MEET", "127.0.0.1", self.nodes[other].port, buses[other])
        eventually(self._complete, within=20)

    def _complete(self) -> bool:
        for node in self.nodes:
            with node.client() as client:
                state = client.execute_command("CLUSTER INFO")
                if state["cluster_state"] != "ok" or int(state["cluster_known_nodes"]) != self._count:
                    return False
        return True
