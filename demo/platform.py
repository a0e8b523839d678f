"""The email platform: its tables, its parts, and what a story may do to it."""

import threading
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import psycopg
import redis

from demo.ledger import Ledger
from demo.migrator import Migrator
from demo.neighbours import Neighbours, create_neighbours
from demo.outside import SENDERS, Outside
from demo.producer import Producer
from demo.queues import QUEUES, Queue
from demo.worker import Worker

DATABASE = "mail"
READER = "postwatch"
WORKERS = ("worker-1", "worker-2", "worker-3")

_LAYOUT = (Path(__file__).parent / "penguinmails.sql").read_text()
# All that Postwatch needs.
_READER_RIGHTS = f"""\
create role {READER} login;
grant pg_monitor to {READER};
grant select on jobs, job_queues, job_logs to {READER};
create extension pg_stat_statements;
"""


class Database(Protocol):
    """A PostgreSQL, ours or somebody else's."""

    def url(self, database: str = "postgres") -> str:
        """The URL of one of its databases, as its superuser."""


class Store(Protocol):
    """A Redis."""

    @property
    def url(self) -> str:
        """Its URL."""


def create_layout(postgres: Database) -> None:
    """The database with its tables, its queues and the role that watches them."""
    with psycopg.connect(postgres.url(), autocommit=True) as admin:
        admin.execute(f"create database {DATABASE}")
    with psycopg.connect(postgres.url(DATABASE), autocommit=True) as owner:
        owner.execute(_LAYOUT.encode())
        owner.execute(_READER_RIGHTS.encode())
        for name in dict.fromkeys(queue.name for queue in QUEUES):
            owner.execute("insert into job_queues (name) values (%s)", [name])
        create_neighbours(owner)


class Platform:
    """A producer, a migrator and three workers, at work inside a `with` block."""

    def __init__(
        self,
        postgres: Database,
        store: Store,
        outside: Outside,
        *,
        seed: int | None = None,
        retry_after: tuple[float, float] = (2.0, 6.0),
    ) -> None:
        self._urls = (postgres.url(DATABASE), store.url)
        self._retry_after = retry_after
        self.ledger = Ledger()
        self.held: set[str] = set()  # keys of lists that no worker takes from
        self.problem: str | None = None
        self.trouble = threading.Event()
        self.producer = Producer(*self._urls, self._report, self.ledger, seed)
        self.outside = outside
        self._neighbours = Neighbours(*self._urls, self._report, seed)
        self._migrator = Migrator(*self._urls, self._report)
        self._workers = {worker_id: self._worker(worker_id) for worker_id in WORKERS}

    def __enter__(self) -> Self:
        for part in (self._migrator, *self._workers.values(), self.producer):
            part.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        parts = (self.producer, self._neighbours, self._migrator, *self._workers.values())
        for part in parts:
            part.stopping.set()
        for part in parts:
            part.stop()

    # What happens in a story.

    def live_as_ever(self) -> None:
        """Every queue at its own rate, with its own errors; nothing held; what stands around is well."""
        if self._neighbours.ident is None:
            self._neighbours.start()
        self.outside_as_ever()
        self.held.clear()
        for queue in QUEUES:
            self.producer.set_rate(queue, queue.per_second)
            self.producer.set_broken(queue, None)

    def kill_worker(self, worker_id: str) -> None:
        """It ends in the midst of its jobs: they stay running in PostgreSQL, and no heartbeat comes."""
        self._workers[worker_id].stop()

    def revive_worker(self, worker_id: str) -> None:
        """Starts a new one in its place, which gives back what the old one ran."""
        old = self._workers[worker_id]
        if not old.is_alive():
            self._workers[worker_id] = self._worker(worker_id, old.restarts + 1)
            self._workers[worker_id].start()

    def lives(self, worker_id: str) -> bool:
        return self._workers[worker_id].is_alive()

    def let_expire(self, queue: Queue, seconds: int) -> None:
        """Gives the whole list a time to live, as a mistaken EXPIRE does."""
        with self.store() as store:
            store.expire(queue.key, seconds)

    def hand_over_again(self, queue: Queue) -> int:
        """Repairs a lost list: what PostgreSQL believes to be in it becomes ready once more."""
        with self.connect() as db:
            return db.execute(
                "update jobs set status = 'queued', updated = now()"
                " where queue_name = %s and priority = %s and status = 'migrated_to_redis'",
                [queue.name, queue.priority],
            ).rowcount

    def slow_down(self, *, api: float = 0.0, mail: float = 0.0) -> None:
        """From now on the API and the mail server answer after that many seconds."""
        self.outside.api.delay, self.outside.mail.delay = api, mail

    def break_api(self) -> None:
        """It answers 503."""
        self.outside.api.broken = True

    def list_sender(self) -> None:
        """The first address gets onto a blocklist."""
        self.outside.list_address(SENDERS[0])

    def outside_as_ever(self) -> None:
        """Quick servers, and no address listed."""
        self.outside.api.as_ever()
        self.outside.mail.as_ever()
        for sender in SENDERS:
            self.outside.delist(sender)

    def connect(self) -> "psycopg.Connection[psycopg.rows.TupleRow]":
        return psycopg.connect(self._urls[0], autocommit=True)

    def store(self) -> "redis.Redis":
        return redis.Redis.from_url(self._urls[1], decode_responses=True)

    def _worker(self, worker_id: str, restarts: int = 0) -> Worker:
        return Worker(worker_id, *self._urls, self._report, self.ledger, self.held, restarts, self._retry_after)

    def _report(self, problem: str) -> None:
        self.problem = self.problem or problem
        self.trouble.set()
