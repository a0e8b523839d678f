"""Keys by kind, from a bounded sample: RANDOMKEY and TYPE; of few keys, all. Never KEYS, never all of many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from redis import exceptions

from exporter.clients.topologies import Client

KINDS = ("string", "list", "hash", "set", "zset", "stream")
SCAN_COUNT = 1_000  # buckets a SCAN visits
MOST_SCANS = 20  # a table that once was large is mostly empty buckets


@dataclass(frozen=True)
class Sample:
    """Kinds of the keys that were looked at, of `size` keys in all."""

    size: int
    kinds: Mapping[str, int]


def look(client: Client, size: int, most: int) -> Sample:
    """Look at `most` keys of a server that has `size`, of about as many at all.

    RANDOMKEY chooses fairly, with repetition (Redis' dictGetFairRandomKey). Raises redis.RedisError, among them
    NoPermissionError if the user may not look at any key.
    """
    if size <= most:
        keys = _walked(client)
    else:
        keys = [key for key in _asked(client, [("RANDOMKEY",)] * most) if key is not None]
    kinds = Counter(kind.decode() for kind in _asked(client, [("TYPE", key) for key in keys]))
    del kinds["none"]  # gone in between
    return Sample(size, kinds)


def _walked(client: Client) -> list[bytes]:
    """All keys of few, or those met in as much of the table as is walked through.

    Where a key lies is a matter of its hash: those of a part are a fair sample too. RANDOMKEY would be dear there,
    since it tries buckets until one is not empty.
    """
    found: dict[bytes, None] = {}
    cursor = 0
    for _ in range(MOST_SCANS):
        cursor, keys = client.scan(cursor, count=SCAN_COUNT)
        found.update(dict.fromkeys(keys))
        if cursor == 0:
            break
    return list(found)


def _asked(client: Client, commands: Iterable[tuple[Any, ...]]) -> list[Any]:
    """Answers in order. Keys that a cluster is moving just now are as good as gone."""
    pipeline = client.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command)
    answers: list[Any] = pipeline.execute(raise_on_error=False)
    for answer in answers:
        if isinstance(answer, exceptions.RedisError) and not isinstance(answer, exceptions.AskError):
            raise answer
    return [answer for answer in answers if not isinstance(answer, exceptions.RedisError)]


def shares(samples: Iterable[Sample]) -> dict[str, float]:
    """Each kind's part of all keys, from samples of one or several servers; 0 for kinds that were not met."""
    estimates = dict.fromkeys(KINDS, 0.0)
    total = 0
    for sample in samples:
        total += sample.size
        seen = sum(sample.kinds.values())
        for kind in KINDS:
            estimates[kind] += sample.size * sample.kinds.get(kind, 0) / seen if seen else 0.0
    return {kind: estimate / total if total else 0.0 for kind, estimate in estimates.items()}
