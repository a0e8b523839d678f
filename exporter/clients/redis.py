"""A watched Redis, of whatever topology: pipelined, within time limits."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from redis import exceptions
from redis.cluster import RedisCluster

from chassis.clock import Clock
from chassis.secrets import SecretUnavailable, SecretUrl
from exporter.clients.redis_failures import explain
from exporter.clients.topologies import Client, connect, pools
from exporter.clients.urls import redis_problem, safe
from exporter.model import Reason, SampleFailed
from exporter.sampling.sampler import UNANSWERED, Run

Command = tuple[Any, ...]

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
        self.timeout = timeout  # seconds for each answer
        self._lock = threading.Lock()
        self._client: Client | None = None
        self.ailing = False  # the last conversation failed: who can do without should not wait for another

    @property
    def safe_url(self) -> str:
        """The address without its password."""
        return safe(self._url)

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
                raise explain(answer, self.safe_url)

    def one(self, run: Run, *command: Any) -> Any:
        """The answer to one command; raises SampleFailed for an error answer too."""
        (answer,) = self.ask(run, [command])
        if isinstance(answer, exceptions.RedisError):
            raise explain(answer, self.safe_url)
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
                raise explain(answer, self.safe_url)
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
                    self._client = connect(url, self.timeout)
                client = self._client
            yield client
            self.ailing = failed = False
        except SecretUnavailable as error:
            raise SampleFailed(Reason.AUTH, str(error)) from error
        except (exceptions.RedisError, OSError, ValueError, TypeError) as error:
            self._give_up(client)
            self.ailing = True
            raise explain(error, self.safe_url) from error
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
        for pool in pools(client):
            pool.disconnect(inuse_connections=False)

    def close(self) -> None:
        """Close all connections, in use or not."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()


def identity(url: SecretUrl) -> str:
    """What makes two URLs the same Redis, for its budget: everything but credentials and parameters."""
    try:
        parts = urlsplit(url.reveal())
    except SecretUnavailable:
        return repr(url)
    return f"{parts.scheme} {parts.netloc.rpartition('@')[2]}{parts.path}"
