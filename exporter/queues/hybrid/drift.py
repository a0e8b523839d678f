"""What PostgreSQL and Redis believe of the same jobs, compared. At bounded cost, and said only when confirmed."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Any

from psycopg import sql
from pydantic import Field

from chassis.exposition import Reading
from chassis.settings import Settings
from exporter.clients.redis import Store
from exporter.clients.session import Session
from exporter.model import OTHER_QUEUE, PRIORITIES, QueueKey
from exporter.options import Interval
from exporter.queues.hybrid.lists import data_key, element_id
from exporter.queues.hybrid.source import Watched
from exporter.queues.hybrid.suspects import KINDS, Suspects, confirmed
from exporter.queues.hybrid.tables import Tables
from exporter.queues.reading.tables import INTEGERS
from exporter.queues.reading.watched import EXACT_PLAN
from exporter.sampling.sampler import Run

COMPARED_BY_ID = 10_000  # elements of a list, and rows, up to which all are compared
COMPARED_AT_ONCE = 300_000  # elements and rows of all queues together; of what is past it a sample
PORTION = 1_000  # elements of a list that are read at a time
CONFIRM_AFTER = 5.0  # seconds until a suspicion is looked at again
RUNNING = (b"running", b"processing", b"active")


class DriftOptions(Settings):
    """How PostgreSQL and Redis are compared."""

    interval: Interval = Field(60.0, description="Time between comparisons.")
    sample: int = Field(1000, ge=10, le=10_000, description="Elements that are looked at in a list past 10,000.")


class Drift:
    """Compares all lists of a source with the rows that were handed over.

    PostgreSQL is asked twice and briefly, with Redis in between: no transaction waits for another server. What
    moves meanwhile is found adrift in one look at the most, and it takes two.
    """

    def __init__(self, watched: Watched, store: Store, options: DriftOptions) -> None:
        self._watched = watched
        self._store = store
        self._sample = options.sample
        self._before: dict[QueueKey, Suspects] = {}
        self._data_keys_seen = False

    @property
    def _hands_over(self) -> bool:
        """Whether rows tell that they were handed over; else they say nothing of what Redis should hold."""
        return bool(self._watched.layout.states.handed_over)

    def sample(self, run: Run) -> None:
        """Look and publish."""
        watched = self._watched
        if watched.tables is None:
            with watched.session(run, "exact") as tx:
                tx.begin(EXACT_PLAN)
                self._tables(run, tx)
        queues = [key for key in watched.shown.present if key != OTHER_QUEUE]
        aligned = list(watched.aligned)
        lengths = self._lengths(run, queues)
        rows = self._handed_over(run, lengths)
        now = {key: Suspects() for key in lengths}
        queued = {key: self._compare(run, key, rows.get(key), aligned, now[key]) for key in lengths}
        self._find_unknown(run, queued, now)
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

    def _handed_over(self, run: Run, lengths: Mapping[QueueKey, int]) -> dict[QueueKey, set[str]]:
        """Ids of the rows handed over, of the queues that are compared by id: of all of them by one query."""
        watched = self._watched
        handed: dict[QueueKey, int] = {}
        if self._hands_over:
            with watched.turn(run.left):
                handed = watched.book.handed_over(watched.database_now)
        rows: dict[QueueKey, set[str]] = {key: set() for key in _small(lengths, handed)}
        if not (rows and self._hands_over):
            return rows
        most = sum(handed.get(key, 0) for key in rows) + COMPARED_BY_ID + 1
        with watched.session(run, "exact") as tx:
            tx.begin(EXACT_PLAN)
            tables = self._tables(run, tx)
            wanted, restriction = self._names(tables, rows)
            query = tables.query("handed_over", of_priority=restriction)
            names, classes = [name for name, _ in wanted], [index for _, index in wanted]
            found = tx.rows(query, {"queues": names, "classes": classes, "most": most})
        if len(found) == most:
            return {}  # far more than were counted: the next exact count tells which queue it is
        for queue, index, job in found:
            rows[wanted[queue, index]].add(job)
        return {key: jobs for key, jobs in rows.items() if len(jobs) <= COMPARED_BY_ID}

    def _names(
        self, tables: Tables, keys: Iterable[QueueKey]
    ) -> tuple[dict[tuple[str, int | None], QueueKey], sql.Composable]:
        """How rows name these queues, by text and class of priority, and the condition for the classes."""
        if not tables.has(self._watched.layout.jobs.priority):
            return {
                (name, None): key for key in keys for name in (key.full_name, key.full_name.removeprefix("queue:"))
            }, sql.SQL("")
        restriction = sql.SQL(
            "and ({}::text, {}) in (select * from unnest(%(queues)s::text[], %(classes)s::int4[]))"
        ).format(tables.fragment("queue"), tables.fragment("priority_class"))
        wanted: dict[tuple[str, int | None], QueueKey] = {
            (name, PRIORITIES.index(key.priority)): key for key in keys for name in (key.queue, f"queue:{key.queue}")
        }
        return wanted, restriction

    def _tables(self, run: Run, tx: Session) -> Tables:
        watched = self._watched
        with watched.turn(run.left):
            return watched.known_tables(tx)

    def _compare(
        self,
        run: Run,
        key: QueueKey,
        rows: set[str] | None,
        aligned: list[dict[QueueKey, tuple[int, int]]],
        suspects: Suspects,
    ) -> set[str]:
        """Look at one list, and at the rows that should be in it if they are known; answers the ids in it."""
        elements = self._all_elements(run, key) if rows is not None else None
        if elements is None:
            rows = None
            half = self._sample // 2
            elements = [*self._elements(run, key, 0, half - 1), *self._elements(run, key, -half, -1)]
            both = [counts[key] for counts in aligned if key in counts]
            if len(both) == 2 and self._hands_over:
                suspects.difference = min((h - n for h, n in both), key=abs)
        named = [element_id(element) for element in elements]
        queued = {job for job in named if job is not None}
        suspects.nameless = sum(job is None for job in named)
        self._find_expired(run, queued, suspects)
        if rows is not None:
            suspects.checked["missing_in_redis"] = len(rows)
            suspects.found["missing_in_redis"] = self._not_running(run, rows - queued)
        return queued

    def _all_elements(self, run: Run, key: QueueKey) -> list[bytes] | None:
        """A whole list, in portions that keep nobody waiting; None if it has grown too long meanwhile."""
        found: list[bytes] = []
        for first in range(0, COMPARED_BY_ID + 1, PORTION):
            last = min(first + PORTION - 1, COMPARED_BY_ID)
            portion = self._elements(run, key, first, last)
            found += portion
            if len(portion) <= last - first:
                return found
        return None

    def _elements(self, run: Run, key: QueueKey, first: int, last: int) -> list[bytes]:
        answer = self._store.one(run, "LRANGE", key.full_name, first, last)
        return [element for element in answer if isinstance(element, bytes)]

    def _find_expired(self, run: Run, queued: Set[str], suspects: Suspects) -> None:
        ordered = sorted(queued)
        answers = self._store.ask(run, [("EXISTS", data_key(job)) for job in ordered], entitled=True)
        self._data_keys_seen = self._data_keys_seen or any(answer == 1 for answer in answers)
        suspects.checked["expired"] = len(ordered)
        if self._data_keys_seen:
            # Where no job ever had a data key, its element holds the data.
            suspects.found["expired"] = {j for j, a in zip(ordered, answers, strict=True) if a == 0}

    def _find_unknown(self, run: Run, queued: Mapping[QueueKey, Set[str]], now: Mapping[QueueKey, Suspects]) -> None:
        """What is queued and not alive in PostgreSQL, of all queues by one query."""
        if not any(queued.values()):
            return
        watched = self._watched
        with watched.session(run, "exact") as tx:
            tx.begin(EXACT_PLAN)
            tables = self._tables(run, tx)
            kind = tables.jobs.columns[watched.layout.jobs.id].name
            possible = {job: plain for jobs in queued.values() for job in jobs if (plain := _as_id(job, kind))}
            alive: set[str] = set()
            if possible:
                alive = {row[0] for row in tx.rows(tables.query("alive"), {"jobs": sorted(set(possible.values()))})}
        for key, jobs in queued.items():
            now[key].checked["missing_in_postgres"] = len(jobs)
            now[key].found["missing_in_postgres"] = {job for job in jobs if possible.get(job) not in alive}

    def _not_running(self, run: Run, jobs: Iterable[str]) -> set[str]:
        ordered = sorted(jobs)
        answers = self._store.ask(run, [("HGET", data_key(job), "status") for job in ordered], entitled=True)
        return {job for job, status in zip(ordered, answers, strict=True) if status not in RUNNING}

    def _readings(
        self, now: Mapping[QueueKey, Suspects], counts: Mapping[QueueKey, Mapping[str, int]]
    ) -> Iterator[Reading]:
        for key, suspects in now.items():
            for kind in KINDS:
                if kind == "missing_in_redis" and not self._hands_over:
                    continue
                labels = {**self._watched.context.all_labels, **key.labels, "kind": kind}
                yield Reading("postwatch_queue_drift_jobs", labels, counts[key][kind])
                yield Reading("postwatch_queue_drift_checked_jobs", labels, suspects.checked[kind])


def _small(lengths: Mapping[QueueKey, int], handed: Mapping[QueueKey, int]) -> Iterator[QueueKey]:
    """Queues that are compared by id: the smallest first, as many as may be read in one look."""
    room = COMPARED_AT_ONCE
    for key in sorted(lengths, key=lambda key: lengths[key] + handed.get(key, 0)):
        room -= lengths[key] + handed.get(key, 0)
        if room < 0:
            return
        if max(lengths[key], handed.get(key, 0)) <= COMPARED_BY_ID:
            yield key


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
