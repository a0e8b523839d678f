"""What PostgreSQL and Redis believe of the same jobs, compared. At bounded cost, and said only when confirmed."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import Any

from psycopg import sql
from pydantic import Field

from chassis.exposition import Reading
from chassis.settings import Settings
from exporter.clients.postgres import Session
from exporter.clients.redis import Store
from exporter.model import OTHER_QUEUE, PRIORITIES, QueueKey
from exporter.queues.hybrid.lists import data_key, element_id
from exporter.queues.hybrid.source import EXACT_PLAN, Watched
from exporter.queues.hybrid.tables import INTEGERS, Tables
from exporter.queues.options import Interval
from exporter.sampling.sampler import Run

KINDS = ("missing_in_redis", "missing_in_postgres", "expired")
COMPARED_BY_ID = 10_000  # elements of a list, and rows, up to which all are compared
CONFIRM_AFTER = 5.0  # seconds until a suspicion is looked at again
RUNNING = (b"running", b"processing", b"active")


class DriftOptions(Settings):
    """How PostgreSQL and Redis are compared."""

    interval: Interval = Field(60.0, description="Time between comparisons.")
    sample: int = Field(1000, ge=10, le=10_000, description="Elements that are looked at in a list past 10,000.")


@dataclass
class Suspects:
    """Jobs of one queue that look adrift in one look, by kind, and how many were compared."""

    found: dict[str, set[str]] = field(default_factory=lambda: {kind: set() for kind in KINDS})
    checked: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    nameless: int = 0  # elements without an id, which nobody can run
    difference: int | None = None  # rows handed over less elements, of a list too long to compare


def confirmed(before: Suspects | None, now: Suspects) -> dict[str, int]:
    """Drift by kind: what two looks agree on. Jobs merely on their way between the stores are no drift.

    A job whose data is gone stays gone, so that kind needs no second look.
    """
    before = before or Suspects()
    counts = {
        kind: len(now.found[kind] & before.found[kind]) if kind != "expired" else len(now.found[kind]) for kind in KINDS
    }
    counts["missing_in_postgres"] += min(now.nameless, before.nameless)
    if now.difference is not None and before.difference is not None:
        lost = min(now.difference, before.difference)
        unknown = -max(now.difference, before.difference)
        counts["missing_in_redis"] = max(counts["missing_in_redis"], lost)
        counts["missing_in_postgres"] = max(counts["missing_in_postgres"], unknown)
    return counts


class Drift:
    """Compares all lists of a source with the rows that were handed over."""

    def __init__(self, watched: Watched, store: Store, options: DriftOptions) -> None:
        self._watched = watched
        self._store = store
        self._sample = options.sample
        self._before: dict[QueueKey, Suspects] = {}
        self._data_keys_seen = False

    def sample(self, run: Run) -> None:
        """Look and publish."""
        watched = self._watched
        queues = [key for key in watched.shown.present if key != OTHER_QUEUE]
        aligned = list(watched.aligned)
        lengths = self._lengths(run, queues)
        now: dict[QueueKey, Suspects] = {}
        with watched.session(run, "exact") as tx:
            tx.begin(EXACT_PLAN)
            with watched.lock:
                tables = watched.known_tables(tx)
            for key, length in lengths.items():
                now[key] = self._compare(run, tx, tables, key, length, aligned)
        counts = {key: confirmed(self._before.get(key), suspects) for key, suspects in now.items()}
        unconfirmed = any(len(s.found[kind]) > counts[key][kind] for key, s in now.items() for kind in KINDS) or any(
            s.nameless for s in now.values()
        )
        self._before = now
        if unconfirmed:
            run.again_in = CONFIRM_AFTER
        run.publish(f"source {watched.context.name}: drift", self._readings(now, counts))

    def _lengths(self, run: Run, queues: list[QueueKey]) -> dict[QueueKey, int]:
        answers = self._store.ask(run, [("LLEN", key.full_name) for key in queues], entitled=True)
        # A key of another type is told by the quick look; there is nothing to compare.
        return {key: answer for key, answer in zip(queues, answers, strict=True) if isinstance(answer, int)}

    def _compare(
        self,
        run: Run,
        tx: Session,
        tables: Tables,
        key: QueueKey,
        length: int,
        aligned: list[dict[QueueKey, tuple[int, int]]],
    ) -> Suspects:
        rows = self._handed_over(tx, tables, key) if length <= COMPARED_BY_ID else None
        suspects = Suspects()
        if rows is not None:
            elements = self._elements(run, key, 0, -1)
        else:
            half = self._sample // 2
            elements = [*self._elements(run, key, 0, half - 1), *self._elements(run, key, -half, -1)]
            both = [counts[key] for counts in aligned if key in counts]
            if len(both) == 2:
                suspects.difference = min((h - n for h, n in both), key=abs)
        named = [element_id(element) for element in elements]
        queued = {job for job in named if job is not None}
        suspects.nameless = sum(job is None for job in named)
        self._find_expired(run, queued, suspects)
        self._find_unknown(tx, tables, queued, suspects)
        if rows is not None:
            suspects.checked["missing_in_redis"] = len(rows)
            suspects.found["missing_in_redis"] = self._not_running(run, rows - queued)
        return suspects

    def _elements(self, run: Run, key: QueueKey, first: int, last: int) -> list[bytes]:
        answer = self._store.one(run, "LRANGE", key.full_name, first, last)
        return [element for element in answer if isinstance(element, bytes)]

    def _handed_over(self, tx: Session, tables: Tables, key: QueueKey) -> set[str] | None:
        """Ids of the rows handed over; None if they are too many."""
        names = [key.queue, f"queue:{key.queue}"]
        of_priority: sql.Composable = sql.SQL("")
        if tables.has(self._watched.layout.jobs.priority):
            index = sql.Literal(PRIORITIES.index(key.priority))
            of_priority = sql.SQL("and {} = {}").format(tables.fragment("priority_class"), index)
        else:
            names = [key.full_name, key.full_name.removeprefix("queue:")]
        query = tables.query("handed_over", of_priority=of_priority)
        rows = tx.rows(query, {"queues": names, "most": COMPARED_BY_ID + 1})
        return {row[0] for row in rows} if len(rows) <= COMPARED_BY_ID else None

    def _find_expired(self, run: Run, queued: Set[str], suspects: Suspects) -> None:
        ordered = sorted(queued)
        answers = self._store.ask(run, [("EXISTS", data_key(job)) for job in ordered], entitled=True)
        self._data_keys_seen = self._data_keys_seen or any(answer == 1 for answer in answers)
        suspects.checked["expired"] = len(ordered)
        if self._data_keys_seen:
            # Where no job ever had a data key, its element holds the data.
            suspects.found["expired"] = {j for j, a in zip(ordered, answers, strict=True) if a == 0}

    def _find_unknown(self, tx: Session, tables: Tables, queued: Set[str], suspects: Suspects) -> None:
        kind = tables.jobs.columns[self._watched.layout.jobs.id].name
        possible = {job: plain for job in queued if (plain := _as_id(job, kind)) is not None}
        suspects.checked["missing_in_postgres"] = len(queued)
        known: set[str] = set()
        if possible:
            known = {row[0] for row in tx.rows(tables.query("alive"), {"jobs": sorted(set(possible.values()))})}
        suspects.found["missing_in_postgres"] = {job for job in queued if possible.get(job) not in known}

    def _not_running(self, run: Run, jobs: Iterable[str]) -> set[str]:
        ordered = sorted(jobs)
        answers = self._store.ask(run, [("HGET", data_key(job), "status") for job in ordered], entitled=True)
        return {job for job, status in zip(ordered, answers, strict=True) if status not in RUNNING}

    def _readings(
        self, now: Mapping[QueueKey, Suspects], counts: Mapping[QueueKey, Mapping[str, int]]
    ) -> Iterator[Reading]:
        for key, suspects in now.items():
            for kind in KINDS:
                labels = {**self._watched.context.all_labels, **key.labels, "kind": kind}
                yield Reading("postwatch_queue_drift_jobs", labels, counts[key][kind])
                yield Reading("postwatch_queue_drift_checked_jobs", labels, suspects.checked[kind])


def _as_id(job: str, kind: str) -> str | None:
    """The id as PostgreSQL writes it; None for what cannot be an id of that type."""
    if kind == "uuid":
        try:
            return str(uuid.UUID(job))
        except ValueError:
            return None
    if kind in INTEGERS:
        plain: Any = job.strip()
        return str(int(plain)) if plain.isascii() and plain.isdigit() and int(plain) < 2**63 else None
    return job if "\x00" not in job else None
