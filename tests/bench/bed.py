"""What is measured on: a PostgreSQL with millions of ended jobs, the daemon, and what the server spent on whom."""

import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
import psycopg
import yaml
from psycopg import sql

from demo.process import Tethered, free_port
from tests.bench.churn import FAILED, PAYLOAD, QUEUES
from tests.support.boss import Boss, allow_reading
from tests.support.databases import Database, cached_template, create_database, drop_database
from tests.support.messages import install
from tests.support.servers import Postgres15
from tests.support.wait import eventually

INTERVAL = 5.0  # seconds, the exporter's default

# What a machine of this size is given; durability is not what is measured.
SETTINGS = {"shared_buffers": "1GB", "max_wal_size": "8GB", "checkpoint_timeout": "15min", "work_mem": "16MB"}


@contextmanager
def postgres() -> Iterator[Postgres15]:
    """A PostgreSQL 15 of the measurement's own."""
    with Postgres15(template=cached_template(Postgres15), settings=SETTINGS) as server:
        yield server


@contextmanager
def filled(server: Postgres15, ended: int, layout: str = "penguinmails", queues: int = QUEUES) -> Iterator[Database]:
    """A database with so many jobs that ended over the last month."""
    database = create_database(server, layout)
    try:
        with database.connect() as owner:
            owner.execute(
                "insert into job_queues (name) select %s || g from generate_series(1, %s) as g",
                ["queue:queue-" if layout == "basic" else "queue-", queues],
            )
            _FILL[layout](owner, ended)
            owner.execute("vacuum analyze jobs")
            owner.execute("checkpoint")
        yield database
    finally:
        drop_database(database)


@contextmanager
def filled_boss(server: Postgres15, ended: int) -> Iterator[Database]:
    """A pg-boss of the newest version with so many jobs that ended over the last week."""
    database = create_database(server, "empty")
    try:
        with Boss(12, database.url) as boss:
            for number in range(QUEUES):
                boss.create(f"queue-{number + 1}")
            allow_reading(database, boss)
        with database.connect() as owner:
            owner.execute("set synchronous_commit = off")
            owner.execute(
                "insert into pgboss.job (name, data, state, created_on, start_after, started_on, completed_on)"
                " select 'queue-' || 1 + g %% %(queues)s, %(payload)s::jsonb,"
                " (case when g %% %(failed)s = 0 then 'failed' else 'completed' end)::pgboss.job_state,"
                " t, t, t + interval '1 s', t + interval '3 s'"
                " from (select g, now() - interval '1 hour' - (%(ended)s - g) * (interval '7 days' / %(ended)s) as t"
                " from generate_series(1, %(ended)s) as g) as life",
                {"queues": QUEUES, "failed": FAILED, "ended": ended, "payload": PAYLOAD},
            )
            owner.execute("vacuum analyze pgboss.job")
            owner.execute("checkpoint")
        yield database
    finally:
        drop_database(database)


@contextmanager
def filled_messages(server: Postgres15, ended: int) -> Iterator[Database]:
    """A pgmq with so many archived messages in one of its queues."""
    database = create_database(server, "empty")
    try:
        install(database)
        with database.connect() as owner:
            owner.execute("set synchronous_commit = off")
            for number in range(QUEUES):
                owner.execute("select pgmq.create(%s)", [f"queue-{number + 1}"])
            owner.execute(
                'insert into pgmq."a_queue-1" (msg_id, read_ct, enqueued_at, archived_at, vt, message)'
                " select -g, 1, t, t + interval '3 s', t, %(payload)s::jsonb"
                " from (select g, now() - interval '1 hour' - g * (interval '7 days' / %(ended)s) as t"
                " from generate_series(1, %(ended)s) as g) as life",
                {"ended": ended, "payload": PAYLOAD},
            )
            owner.execute('vacuum analyze pgmq."a_queue-1"')
            owner.execute("checkpoint")
        yield database
    finally:
        drop_database(database)


def _fill_penguinmails(owner: "psycopg.Connection[tuple[Any, ...]]", ended: int) -> None:
    indexes = owner.execute(
        "select indexname, indexdef from pg_indexes where tablename = 'jobs' and indexname like 'idx%'"
    ).fetchall()
    for name, _ in indexes:
        owner.execute(sql.SQL("drop index {}").format(sql.Identifier(name)))
    owner.execute("set synchronous_commit = off")
    owner.execute("set maintenance_work_mem = '1GB'")
    # References are checked row by row, which takes longer than all else here.
    owner.execute("set session_replication_role = replica")
    owner.execute("alter table jobs drop constraint jobs_pkey cascade")  # and job_logs' reference, which stays away
    owner.execute(
        "insert into jobs (queue_name, status, priority, payload, attempt_count, run_at, started, completed, failed,"
        " last_error_message, worker_id, created, updated)"
        " select 'queue-' || 1 + g %% %(queues)s, case when failed then 'failed' else 'completed' end,"
        " 50 + (g %% 3) * 60, %(payload)s::jsonb, 1, t, t + interval '1 s',"
        " case when not failed then t + interval '3 s' end, case when failed then t + interval '3 s' end,"
        " case when failed then 'SMTPServerDisconnected: Connection unexpectedly closed' end,"
        " 'worker-' || g %% 20, t, t + interval '3 s'"
        " from (select g, g %% %(failed)s = 0 as failed, now() - interval '1 hour'"
        " - (%(ended)s - g) * (interval '30 days' / %(ended)s) as t from generate_series(1, %(ended)s) as g) as life",
        {"queues": QUEUES, "failed": FAILED, "ended": ended, "payload": PAYLOAD},
    )
    owner.execute("alter table jobs add primary key (id)")
    for _, definition in indexes:
        owner.execute(definition.encode())
    owner.execute("reset session_replication_role")


def _fill_basic(owner: "psycopg.Connection[tuple[Any, ...]]", ended: int) -> None:
    owner.execute(
        "insert into jobs (queue, status, payload, attempts, created_at, updated_at)"
        " select 'queue:queue-' || 1 + g %% %(queues)s, case when g %% %(failed)s = 0 then 'failed' else 'completed'"
        " end, %(payload)s::jsonb, 1, t, t + interval '3 s'"
        " from (select g, now() - interval '1 hour' - (%(ended)s - g) * (interval '30 days' / %(ended)s) as t"
        " from generate_series(1, %(ended)s) as g) as life",
        {"queues": QUEUES, "failed": FAILED, "ended": ended, "payload": PAYLOAD},
    )


_FILL = {"penguinmails": _fill_penguinmails, "basic": _fill_basic}


def add_waiting(owner: "psycopg.Connection[tuple[Any, ...]]", waiting: int) -> None:
    """A backlog, half of it handed over to Redis."""
    owner.execute(
        "insert into jobs (queue_name, status, priority, payload) select 'queue-' || 1 + g %% %(queues)s,"
        " case g %% 2 when 0 then 'queued' else 'migrated_to_redis' end, 50 + (g %% 3) * 60, %(payload)s::jsonb"
        " from generate_series(1, %(waiting)s) as g",
        {"queues": QUEUES, "waiting": waiting, "payload": PAYLOAD},
    )


@dataclass(frozen=True)
class Spent:
    """What the server spent on one role in a window. Seconds."""

    window: float
    statements: dict[str, tuple[int, float]]  # text: calls, seconds

    @property
    def seconds(self) -> float:
        """Of all statements together."""
        return sum(seconds for _, seconds in self.statements.values())

    @property
    def ratio(self) -> float:
        """Of wall time."""
        return self.seconds / self.window

    def only(self, *parts: str) -> "Spent":
        """The statements whose text contains one of `parts`."""
        return Spent(self.window, {q: s for q, s in self.statements.items() if any(part in q for part in parts)})

    def without(self, *parts: str) -> "Spent":
        """All the others."""
        return Spent(self.window, {q: s for q, s in self.statements.items() if not any(part in q for part in parts)})

    @property
    def each(self) -> float:
        """Seconds of one call."""
        calls = sum(calls for calls, _ in self.statements.values())
        return self.seconds / calls if calls else 0.0

    def since(self, before: "Spent") -> "Spent":
        """The difference."""
        none = (0, 0.0)
        return Spent(
            self.window - before.window,
            {
                q: (calls - before.statements.get(q, none)[0], seconds - before.statements.get(q, none)[1])
                for q, (calls, seconds) in self.statements.items()
            },
        )


def processor_seconds(database: Database) -> float:
    """Processor time so far of the backends that serve the exporter: what others on the machine change little."""
    with database.connect() as owner:
        rows = owner.execute("select pid from pg_stat_activity where usename = %s", [database.reader]).fetchall()
    return sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for (pid,) in rows) * 1e-9


class Meter:
    """pg_stat_statements of one role, from now on."""

    def __init__(self, database: Database, role: str | None = None) -> None:
        self._database = database
        self._role = role or database.reader
        self._began = time.monotonic()
        self._before = Spent(0.0, {})
        self._before = Spent(0.0, self.read().statements)

    def processor(self) -> float:
        """As `processor_seconds`, of the database that is metered."""
        return processor_seconds(self._database)

    def read(self) -> Spent:
        """What the server has spent on the role since."""
        with self._database.connect() as owner:
            rows = owner.execute(
                "select query, sum(calls)::int8, sum(total_exec_time) / 1000 from pg_stat_statements"
                " where userid = %s::regrole and dbid = (select oid from pg_database where datname = %s) group by 1",
                [self._role, self._database.name],
            ).fetchall()
        window = time.monotonic() - self._began
        return Spent(window, {query: (calls, seconds) for query, calls, seconds in rows}).since(self._before)


class Daemon:
    """The exporter as a user runs it."""

    def __init__(self, folder: Path, **source: Any) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/metrics"
        sources = source.pop("sources", None) or [{"name": "mail", "kind": "hybrid", **source}]
        config = {"web": {"listen": f"127.0.0.1:{self.port}"}, "queues": sources}
        self._config = folder / f"exporter-{self.port}.yml"
        self._config.write_text(yaml.safe_dump(config))
        self._log = folder / f"exporter-{self.port}.log"

    def scrape(self) -> bytes:
        """The whole of /metrics."""
        with urllib.request.urlopen(self.url, timeout=10) as answer:
            body: bytes = answer.read()
        return body

    def value(self, name: str, **labels: str) -> float:
        """Sum of the samples of that name with those labels."""
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        total = 0.0
        for line in self.scrape().decode().splitlines():
            series, _, value = line.rpartition(" ")
            if series.split("{")[0] == name and all(label in series for label in wanted):
                total += float(value)
        return total

    @property
    def process(self) -> psutil.Process:
        """The daemon's own process."""
        return psutil.Process(self._process.pid)

    def cpu(self) -> float:
        """Seconds of processor time so far."""
        times = self.process.cpu_times()
        return times.user + times.system

    def memory(self) -> int:
        """Resident bytes."""
        return int(self.process.memory_info().rss)

    def _is_up(self) -> bool:
        try:
            return self.value("postwatch_sampler_runs_total", sampler="counts") > 0
        except OSError:
            return False

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "exporter", "run", "--config", str(self._config)]
        self._process = Tethered(command, log=self._log)
        try:
            eventually(self._is_up, within=60)
        except BaseException:
            self._process.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.stop()
