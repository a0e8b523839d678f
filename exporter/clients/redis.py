"""A watched Redis: standalone, Sentinel or Cluster, by the scheme of its URL; pipelined, within time limits.

`redis://` and `rediss://` as redis-py reads them, `unix://`, and with the same for TLS
`redis+sentinel://[user:password@]host:26379,host2:26379/SERVICE[/DB]` and
`redis+cluster://[user:password@]host:6379,host2:6379` (`rediss+sentinel`, `rediss+cluster`).
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import redis
from redis import exceptions
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError, Sentinel

from chassis.clock import Clock
from chassis.secrets import SecretUnavailable, SecretUrl
from exporter.clients.urls import redis_problem
from exporter.model import Reason, SampleFailed
from exporter.sampling.sampler import UNANSWERED, Run

Client = Any  # redis.Redis and RedisCluster share the commands that we use, but no base class
Command = tuple[Any, ...]

DEFAULT_PORT = 6379
SENTINEL_PORT = 26379
COMMANDS_A_PIPELINE = 1_000
# Instead of an answer: nobody is there, or the cluster has nobody who would answer for the key.
NO_ANSWER = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.BusyLoadingError,
    exceptions.RedisClusterException,
    exceptions.ClusterError,
    exceptions.AskError,
    exceptions.TryAgainError,
)


class Store:
    """Access to one Redis. Thread-safe (redis-py's pool is); connects when first needed.

    Never KEYS, nothing blocking; what a list of unknown length costs is for the caller to bound.
    """

    def __init__(self, url: SecretUrl, clock: Clock, timeout: float = 3.0) -> None:
        self._url = url
        self._clock = clock
        self._timeout = timeout
        self._lock = threading.Lock()
        self._client: Client | None = None
        self.ailing = False  # the last conversation failed: who can do without should not wait for another

    def is_at(self, url: SecretUrl) -> bool:
        """Whether it was made for this address and these credentials."""
        return self._url == url

    @property
    def safe_url(self) -> str:
        """The address without its password."""
        try:
            return self._url.safe
        except SecretUnavailable as error:
            return str(error.path)

    def ask(self, run: Run, commands: Iterable[Command], *, entitled: bool = False) -> list[Any]:
        """Answers in order; an answer may be a `redis.ResponseError` (a key of another type, a missing right).

        Raises SampleFailed when there is no conversation at all, and, if `entitled`, for a missing right.
        """
        answers: list[Any] = []
        batch: list[Command] = []
        for command in commands:
            batch.append(command)
            if len(batch) == COMMANDS_A_PIPELINE:
                answers += self._round(run, batch)
                batch = []
        if batch:
            answers += self._round(run, batch)
        if entitled:
            self.demand_rights(answers)
        return answers

    def demand_rights(self, answers: Iterable[Any]) -> None:
        """Raises SampleFailed if one of the answers is that the user may not ask."""
        for answer in answers:
            if isinstance(answer, exceptions.NoPermissionError):
                raise _explain(answer, self.safe_url)

    def one(self, run: Run, *command: Any) -> Any:
        """The answer to one command; raises SampleFailed for an error answer too."""
        (answer,) = self.ask(run, [command])
        if isinstance(answer, exceptions.RedisError):
            raise _explain(answer, self.safe_url)
        return answer

    def info(self, run: Run) -> dict[str, int]:
        """Whole numbers of INFO, of a cluster's nodes added up; empty if the user may not ask for it."""
        with self._talking(run) as client:
            try:
                answer = client.info()
            except exceptions.NoPermissionError:
                return {}
        nodes = [answer] if "redis_version" in answer else list(answer.values())
        totals: dict[str, int] = {}
        for node in nodes:
            for name, value in node.items():
                if isinstance(value, int):
                    totals[name] = totals.get(name, 0) + value
        return totals

    @contextmanager
    def primaries(self, run: Run) -> Iterator[dict[str, Client]]:
        """A client of each server that has keys of its own, by its address: the one, or a cluster's primaries.

        What fails in the block becomes SampleFailed. Time spent in it is charged as Redis'.
        """
        with self._talking(run) as client:
            if isinstance(client, RedisCluster):
                nodes: Any = client  # untyped there
                yield {node.name: nodes.get_redis_connection(node) for node in nodes.get_primaries()}
            else:
                yield {"": client}

    def _round(self, run: Run, batch: list[Command]) -> list[Any]:
        if run.left <= 0:
            raise SampleFailed(Reason.TIMEOUT, f"{self.safe_url}: not done within {run.limit:g} s", about=self.safe_url)
        with self._talking(run) as client:
            pipeline = client.pipeline(transaction=False)
            for command in batch:
                pipeline.execute_command(*command)
            answers: list[Any] = pipeline.execute(raise_on_error=False)
        for answer in answers:
            # Said instead of an answer to each command; no use goes on.
            if isinstance(answer, NO_ANSWER):
                raise _explain(answer, self.safe_url)
        return answers

    @contextmanager
    def _talking(self, run: Run) -> Iterator[Client]:
        began = self._clock.monotonic()
        client: Client | None = None
        failed = True
        try:
            with self._lock:
                if self._client is None:
                    url = self._url.reveal()
                    if problem := redis_problem(url):
                        raise SampleFailed(Reason.MISMATCH, f"the address of Redis: {problem}")
                    self._client = connect(url, self._timeout)
                client = self._client
            yield client
            self.ailing = failed = False
        except SecretUnavailable as error:
            raise SampleFailed(Reason.AUTH, str(error)) from error
        except (exceptions.RedisError, OSError, ValueError, TypeError) as error:
            self._give_up(client)
            self.ailing = True
            raise _explain(error, self.safe_url) from error
        finally:
            elapsed = self._clock.monotonic() - began
            # Waiting for an answer that never came was no work of theirs: paying for it would only delay recovery.
            run.spent(min(elapsed, UNANSWERED) if failed else elapsed, identity(self._url))

    def _give_up(self, client: Client | None) -> None:
        """The next use opens new connections, with the secret as it is then; those in use now are left alone."""
        with self._lock:
            if client is None or client is not self._client:
                return
            self._client = None
        for pool in _pools(client):
            pool.disconnect(inuse_connections=False)

    def close(self) -> None:
        """Close all connections, in use or not."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()


def _greet(connection: Any) -> None:
    connection.on_connect()
    _introduce(connection)


def _introduce(connection: Any) -> None:
    """Be known to operators by a name, where the user may set one: reading must be right enough."""
    connection.send_command("CLIENT", "SETNAME", "postwatch")
    with suppress(exceptions.ResponseError):
        connection.read_response()


def _pools(client: Client) -> list[Any]:
    clients = [client]
    if isinstance(client, RedisCluster):
        clients = [node.redis_connection for node in client.nodes_manager.nodes_cache.values()]
    return [each.connection_pool for each in clients if each is not None]


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


def _explain(error: Exception, address: str) -> SampleFailed:
    text = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    reason, advice = Reason.PROTOCOL, ""
    match error:
        case exceptions.AuthenticationError():
            reason, advice = Reason.AUTH, "check the user and the password in the URL"
        case exceptions.NoPermissionError():
            reason, advice = Reason.PERMISSION, "allow the user this command and these keys (ACL SETUSER)"
        case exceptions.BusyLoadingError():
            reason, advice = Reason.REFUSED, "the server is loading its data"
        case exceptions.ClusterError() | exceptions.RedisClusterException() | exceptions.AskError():
            reason, advice = Reason.REFUSED, "check the addresses, and that all nodes of the cluster run"
        case exceptions.MaxConnectionsError():
            reason, advice = Reason.OVERLOADED, "the server has no connection left"
        case exceptions.TimeoutError() | TimeoutError():
            reason, advice = Reason.TIMEOUT, "the server does not answer"
        case MasterNotFoundError():
            reason, advice = (
                Reason.RESOLVE,
                "check the service's name, and that the Sentinels agree on a master",
            )
        case exceptions.ConnectionError() | OSError():
            lower = text.lower()
            if "max number of clients" in lower:
                reason, advice = Reason.OVERLOADED, "the server has no connection left"
            elif "ssl" in lower or "certificate" in lower:
                reason, advice = Reason.TLS, "check the scheme (rediss://) and the certificates in the URL"
            elif "name or service" in lower or "resolution" in lower or "no address" in lower:
                reason, advice = Reason.RESOLVE, "check the host in the URL"
            elif "timed out" in lower:
                reason, advice = Reason.TIMEOUT, "the server does not answer"
            else:
                reason, advice = Reason.REFUSED, "check the address, and that the server runs"
        case ValueError() | TypeError():
            reason, advice = Reason.MISMATCH, "check the URL"
        case exceptions.ResponseError():
            if text.startswith("NOAUTH"):
                reason, advice = Reason.AUTH, "give a password in the URL"
            elif text.startswith("NOPERM"):
                reason, advice = Reason.PERMISSION, "allow the user this command and these keys (ACL SETUSER)"
            elif text.startswith("WRONGTYPE"):
                reason, advice = Reason.MISMATCH, "a key has another type than the layout says"
    return SampleFailed(reason, f"{address}: {text}", advice, about=address)


def identity(url: SecretUrl) -> str:
    """What makes two URLs the same Redis, for its budget: everything but credentials and parameters."""
    try:
        parts = urlsplit(url.reveal())
    except SecretUnavailable:
        return repr(url)
    return f"{parts.scheme} {parts.netloc.rpartition('@')[2]}{parts.path}"
