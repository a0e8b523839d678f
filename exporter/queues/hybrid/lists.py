"""The quick look at Redis: lengths and lifetimes of lists, dead letters, heartbeats, the server's own figures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Set
from dataclasses import replace
from typing import Any

from redis import exceptions

from chassis.exposition import Reading
from chassis.log import Repeats, get_logger
from exporter.clients.redis import Command, Store
from exporter.model import OTHER_QUEUE, QueueKey
from exporter.queues.hybrid.heartbeats import Report, read_report
from exporter.queues.hybrid.source import Watched
from exporter.queues.hybrid.workers import MOST_WORKERS
from exporter.sampling.sampler import Run

ACTIVE_WORKERS = "workers:active"
DEAD_LETTERS = "deadletter:queue"

log = get_logger(__name__)


def element_id(element: bytes) -> str | None:
    """The job's id in a list's element: JSON with `id` or `jobId`, or the bare id. None: JSON without one."""
    text = element.decode(errors="replace").strip()
    if not text.startswith(("{", "[", '"')):
        return text
    try:
        value = json.loads(text)
    except ValueError:
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        found = value.get("id", value.get("jobId"))
        if isinstance(found, str | int) and not isinstance(found, bool):
            return str(found)
    return None


def data_key(job: str) -> str:
    """Where the data of a job lies."""
    return f"job:{job}"


class QuickRedis:
    """One look at all that is cheap in Redis."""

    def __init__(self, watched: Watched, store: Store) -> None:
        self._watched = watched
        self._store = store
        self._repeats = Repeats(log)

    def sample(self, run: Run) -> None:
        """Look and publish."""
        watched = self._watched
        clock = watched.context.clock
        queues = [key for key in watched.shown.present if key != OTHER_QUEUE]
        running = watched.shown.workers
        refused: list[Any] = []
        began = clock.monotonic()
        kind, letters = self._ask(run, refused, [("TYPE", ACTIVE_WORKERS), ("LLEN", DEAD_LETTERS)])
        seconds = clock.monotonic() - began
        readings = list(self._lists(run, queues, refused))
        if isinstance(letters, int):
            readings.append(Reading("postwatch_queue_dead_letters", watched.context.all_labels, letters))
        reports = self._workers(run, kind, running, refused)
        self._figures(run, seconds)
        watched.crew.report(reports, clock.now())
        of_workers = watched.crew.take_stock(running, watched.context.all_labels, watched.health, clock)
        run.publish(f"source {watched.context.name}: redis", readings)
        run.publish(f"source {watched.context.name}: workers", of_workers)
        self._store.demand_rights(refused)  # what may be asked is told all the same

    def _ask(self, run: Run, refused: list[Any], commands: list[Command]) -> list[Any]:
        answers = self._store.ask(run, commands)
        refused += [answer for answer in answers if isinstance(answer, exceptions.NoPermissionError)]
        return answers

    def _lists(self, run: Run, queues: list[QueueKey], refused: list[Any]) -> Iterator[Reading]:
        labels = self._watched.context.all_labels
        commands = [
            command
            for key in queues
            for command in (("LLEN", key.full_name), ("PTTL", key.full_name), ("LINDEX", key.full_name, -1))
        ]
        answers = self._ask(run, refused, commands)
        lengths: dict[QueueKey, int] = {}
        expiries: dict[QueueKey, int] = {}  # milliseconds
        oldest: dict[QueueKey, str] = {}
        for key, length, lifetime, element in zip(queues, answers[::3], answers[1::3], answers[2::3], strict=True):
            if isinstance(length, exceptions.NoPermissionError):
                continue
            if isinstance(length, exceptions.ResponseError):
                self._repeats.failed(
                    f"list {key}",
                    "redis_list_unreadable",
                    reason=str(length),
                    source=labels["source"],
                    list=key.full_name,
                )
                continue
            self._repeats.recovered(f"list {key}", "redis_list_readable", source=labels["source"], list=key.full_name)
            lengths[key] = length
            if isinstance(lifetime, int) and lifetime >= 0 and length:
                expiries[key] = lifetime
            if isinstance(element, bytes) and (job := element_id(element)) is not None:
                oldest[key] = job
        of_data = self._ask(run, refused, [("PTTL", data_key(job)) for job in oldest.values()])
        for key, lifetime in zip(oldest, of_data, strict=True):
            if isinstance(lifetime, int) and lifetime >= 0:
                expiries[key] = min(lifetime, expiries.get(key, lifetime))
        now = self._watched.context.clock.now()
        self._watched.redis_lengths = lengths
        for key, length in lengths.items():
            mine = {**labels, **key.labels}
            yield Reading("postwatch_queue_redis_length", mine, length)
            if key in expiries:
                yield Reading("postwatch_queue_next_expiry_timestamp_seconds", mine, now + expiries[key] / 1000)

    def _workers(self, run: Run, kind: Any, running: Set[str], refused: list[Any]) -> dict[str, Report]:
        named = self._names(run, kind)
        names = dict.fromkeys(named)
        names.update(dict.fromkeys(sorted(running)))
        chosen = list(names)[:MOST_WORKERS]
        commands = [
            command
            for name in chosen
            for command in (
                ("HGETALL", f"worker:{name}"),
                ("GET", f"worker:{name}:current_jobs"),
                ("GET", f"worker:{name}:processed_total"),
                ("GET", f"worker:{name}:last_heartbeat"),
            )
        ]
        answers = self._ask(run, refused, commands)
        reports: dict[str, Report] = {}
        active = frozenset(named)
        for name, fields, current, processed, heartbeat in zip(
            chosen, answers[::4], answers[1::4], answers[2::4], answers[3::4], strict=True
        ):
            report = read_report(_as_hash(fields), current, processed, heartbeat)
            report = replace(report, named=name in active)
            if report != Report():
                reports[name] = report
        return reports

    def _names(self, run: Run, kind: Any) -> list[str]:
        if kind == b"set":
            answer = self._store.one(run, "SRANDMEMBER", ACTIVE_WORKERS, MOST_WORKERS)
        elif kind == b"list":
            answer = self._store.one(run, "LRANGE", ACTIVE_WORKERS, 0, MOST_WORKERS - 1)
        elif kind == b"zset":
            answer = self._store.one(run, "ZRANGE", ACTIVE_WORKERS, 0, MOST_WORKERS - 1)
        else:
            return []
        return sorted(name.decode(errors="replace") for name in answer)

    def _figures(self, run: Run, seconds: float) -> None:
        health = self._watched.health
        health.redis_at = self._watched.context.clock.monotonic()
        health.redis_seconds = seconds
        info = self._store.info(run)
        if info:
            health.redis_memory_bytes = info.get("used_memory")
            health.redis_clients = info.get("connected_clients")
            health.redis_commands_a_second = info.get("instantaneous_ops_per_sec")


def _as_hash(answer: Any) -> dict[bytes, bytes]:
    """HGETALL's answer: a mapping, or in RESP2 pipelines of plain commands a flat list; else nothing."""
    if isinstance(answer, dict):
        return answer
    if isinstance(answer, list):
        return dict(zip(answer[::2], answer[1::2], strict=False))
    return {}
