"""A client of a Redis that stands alone, has Sentinels or is a Cluster, by the scheme of its URL.

`redis://` and `rediss://` as redis-py reads them, `unix://`, and with the same for TLS
`redis+sentinel://[user:password@]host:26379,host2:26379/SERVICE[/DB]` and
`redis+cluster://[user:password@]host:6379,host2:6379` (`rediss+sentinel`, `rediss+cluster`).
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import redis
from redis import exceptions
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.retry import Retry
from redis.sentinel import Sentinel

Client = Any  # redis.Redis and RedisCluster share the commands that we use, but no base class

DEFAULT_PORT = 6379
SENTINEL_PORT = 26379


def connect(url: str, timeout: float) -> Client:
    """A client for `url`; answers are bytes. Raises ValueError for a URL that is none."""
    common: dict[str, Any] = {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "socket_keepalive": True,
        "retry": Retry(NoBackoff(), 0),  # the sampler's own interval is the retry
        "redis_connect_func": _greet,
    }
    scheme, _, _ = url.partition("://")
    base, plus, kind = scheme.partition("+")
    if not plus:
        return redis.Redis.from_url(url, **common)
    parts = urlsplit(f"{base}://{url.partition('://')[2]}")
    credentials, _, hosts = parts.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    if user:
        common["username"] = unquote(user)
    if password:
        common["password"] = unquote(password)
    if base == "rediss":
        common["ssl"] = True
    common |= dict(parse_qsl(parts.query))
    if kind == "cluster":
        nodes = [_cluster_node(host, port) for host, port in _addresses(hosts, DEFAULT_PORT)]
        common |= {"retry": Retry(NoBackoff(), 1), "redis_connect_func": _introduce}
        return RedisCluster(startup_nodes=nodes, **common)
    if kind == "sentinel":
        service, _, database = parts.path.strip("/").partition("/")
        if not service:
            raise ValueError("a Sentinel URL names its service: redis+sentinel://host:26379/SERVICE")
        tls = {key: value for key, value in common.items() if key.startswith("ssl")}
        watchers: Any = _sentinel(
            _addresses(hosts, SENTINEL_PORT),
            sentinel_kwargs={"socket_timeout": timeout, "socket_connect_timeout": timeout, **tls},
        )
        return watchers.master_for(service, db=int(database or 0), **common)
    raise ValueError(f"unknown scheme {scheme!r}; allowed: redis, rediss, unix, redis+sentinel, redis+cluster")


# redis-py leaves these constructors untyped.
_cluster_node: Any = ClusterNode
_sentinel: Any = Sentinel


def _addresses(hosts: str, default: int) -> list[tuple[str, int]]:
    pairs = (urlsplit(f"//{host}") for host in hosts.split(",") if host)
    return [(pair.hostname or "", pair.port or default) for pair in pairs]


def _greet(connection: Any) -> None:
    connection.on_connect()
    _introduce(connection)


def _introduce(connection: Any) -> None:
    """Be known to operators by a name, where the user may set one: reading must be right enough."""
    connection.send_command("CLIENT", "SETNAME", "postwatch")
    with suppress(exceptions.ResponseError):
        connection.read_response()


def pools(client: Client) -> list[Any]:
    """Its pools of connections: one, or one for each node of a cluster that was met."""
    clients = [client]
    if isinstance(client, RedisCluster):
        clients = [node.redis_connection for node in client.nodes_manager.nodes_cache.values()]
    return [each.connection_pool for each in clients if each is not None]
