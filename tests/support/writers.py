"""Concurrent writers who write down, in the same transactions, what is true; on the penguinmails layout, on pg-boss."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql

TRUTH = "create table truth (what text not null, queue text not null, count integer not null)"
QUEUES = ("email-sending", "analytics:daily-aggregate", "warmup:process")

# How each step of a job's life is written.
CREATE_QUEUE = "insert into job_queues (name) values (%s)"
CREATE = "insert into jobs (queue_name, priority, payload) select %s, %s, '{}' from generate_series(1, %s) returning id"
START = "update jobs set status = 'running', started = now(), updated = now(), attempt_count = 1 where id = any(%s)"
TOUCH = "update jobs set payload = '[]', updated = now() where id = any(%s)"
PUT_BACK = "update jobs set status = 'queued', updated = now() where id = any(%s)"
DELETE = "delete from jobs where id = any(%s)"
END = """
update jobs set status = {status}, {column} = {clock}, updated = {clock},
       last_error_message = case when {status} = 'failed' then 'ValueError: bad address' end
where id = any({ids}::uuid[])
"""
# What an application does that expects trouble: the rows bear the subtransaction's id.
IN_EXCEPTION_BLOCK = """
do $block$ begin
  begin {end}; exception when division_by_zero then null; end;
end $block$
"""


class Writers:
    """`threads` sessions that together end about `rate` jobs a second until the block is left."""

    create_queue, create, start, touch, put_back = CREATE_QUEUE, CREATE, START, TOUCH, PUT_BACK
    delete, end = DELETE, END
    ended = ""  # the column of the end, if all outcomes share one

    def __init__(self, url: str, *, rate: float, threads: int = 50, seed: int = 1, longest: float = 4.0) -> None:
        self._url = url
        self._pause = 20.0 * threads / rate  # seconds between one session's batches, of 20 jobs in the mean
        self._threads = threads
        self._seed = seed
        self._longest = longest
        self._rng = random.Random(seed)
        self._stop = threading.Event()
        self._backends: dict[int, int] = {}
        self._ended: deque[tuple[float, str, str, list[Any]]] = deque()  # (monotonic, queue, outcome, ids)
        self.errors: list[str] = []

    @contextmanager
    def at_work(self, *, terminate_every: float = 0.0) -> Iterator[Writers]:
        """Write until the block ends; a session is terminated each `terminate_every` seconds."""
        with psycopg.connect(self._url, autocommit=True) as owner:
            owner.execute(TRUTH)
            owner.cursor().executemany(self.create_queue.encode(), [(q,) for q in QUEUES])
        workers = [threading.Thread(target=self._write, args=(n,)) for n in range(self._threads)]
        if terminate_every:
            workers.append(threading.Thread(target=self._terminate, args=(terminate_every,)))
        for worker in workers:
            worker.start()
        try:
            yield self
        finally:
            self._stop.set()
            for worker in workers:
                worker.join()

    def truth(self) -> dict[tuple[str, str], int]:
        """What was committed: jobs by (`enqueued` or outcome, queue)."""
        with psycopg.connect(self._url, autocommit=True) as owner:
            rows = owner.execute("select what, queue, sum(count)::int from truth group by 1, 2").fetchall()
        return {(what, queue): count for what, queue, count in rows}

    def tidy_up_before(self, moment: float) -> tuple[int, int]:
        """What operators do with rows whose end was committed before `moment` (monotonic seconds).

        Half of them are deleted; failed ones may be put back by hand, to end once more. Answers how many of each.
        """
        deleted = put_back = 0
        with psycopg.connect(self._url) as session:
            while self._ended and self._ended[0][0] < moment:
                _, queue, outcome, ids = self._ended.popleft()
                if outcome == "failed" and self._rng.random() < 0.3:
                    session.execute(self.put_back.encode(), (ids,))
                    session.commit()
                    put_back += len(ids) * self._end(session, self._rng, "completed", queue, ids, longest=0.0)
                elif self._rng.random() < 0.5:
                    deleted += session.execute(self.delete.encode(), (ids,)).rowcount
                session.commit()
        return deleted, put_back

    def _write(self, number: int) -> None:
        rng = random.Random(self._seed * 1000 + number)
        session: psycopg.Connection[Any] | None = None
        while not self._stop.wait(self._pause * rng.random() * 2):
            try:
                if session is None or session.closed:
                    session = psycopg.connect(self._url)
                    self._backends[number] = session.info.backend_pid
                self._batch(session, rng)
            except psycopg.OperationalError:
                session = None  # terminated: what it had not committed did not happen
            except psycopg.Error as error:
                self.errors.append(repr(error))
                session = None
        if session is not None:
            session.close()

    def _batch(self, session: psycopg.Connection[Any], rng: random.Random) -> None:
        queue, size = rng.choice(QUEUES), rng.choice((1, 5, 24, 50))
        rows = session.execute(self.create.encode(), (queue, rng.choice((10, 100, 200)), size)).fetchall()
        ids = [row[0] for row in rows]
        self._note(session, "enqueued", queue, size)
        session.commit()
        session.execute(self.start.encode(), (ids,))
        session.commit()
        outcome = rng.choice(("completed", "completed", "completed", "failed"))
        if not self._end(session, rng, outcome, queue, ids):
            return
        if rng.random() < 0.2:
            session.execute(self.touch.encode(), (ids,))
            session.commit()
        self._ended.append((time.monotonic(), queue, outcome, ids))

    def _end(
        self,
        session: psycopg.Connection[Any],
        rng: random.Random,
        outcome: str,
        queue: str,
        ids: list[Any],
        longest: float | None = None,
    ) -> bool:
        end = sql.SQL(self.end).format(
            status=sql.Literal(outcome),
            column=sql.Identifier(self.ended or outcome),
            clock=sql.SQL(rng.choice(("now()", "clock_timestamp()", "statement_timestamp()"))),
            ids=sql.Literal([str(one) for one in ids]),
        )
        session.execute("select 1")  # the transaction's own time is fixed here
        self._dawdle(rng, longest)
        way = rng.random()
        if way < 0.3:
            session.execute("savepoint inner_work")
            session.execute(end)
            session.execute("release inner_work")
        elif way < 0.6:
            session.execute(sql.SQL(IN_EXCEPTION_BLOCK).format(end=end))
        else:
            session.execute(end)
        self._note(session, outcome, queue, len(ids))
        self._dawdle(rng, longest)
        if rng.random() < 0.05:
            session.rollback()
            return False
        session.commit()
        return True

    def _dawdle(self, rng: random.Random, longest: float | None) -> None:
        """Most transactions are short; some stay open, so that others overtake them."""
        if rng.random() < 0.03:
            self._stop.wait(rng.random() * (self._longest if longest is None else longest))

    def _note(self, session: psycopg.Connection[Any], what: str, queue: str, count: int) -> None:
        session.execute("insert into truth values (%s, %s, %s)", (what, queue, count))

    def _terminate(self, every: float) -> None:
        rng = random.Random(self._seed)
        with psycopg.connect(self._url, autocommit=True) as owner:
            while not self._stop.wait(every):
                owner.execute("select pg_terminate_backend(%s)", (rng.choice(list(self._backends.values()) or [0]),))


BOSS_JOBS = f"where name = any(array{list(QUEUES)}) and id = any"


class BossWriters(Writers):
    """The same on the tables of pg-boss 12; its schema has to stand."""

    ended = "completed_on"
    create_queue = "select pgboss.create_queue(%s, jsonb_build_object('policy', 'standard'))"
    create = "insert into pgboss.job (name, priority) select %s, %s from generate_series(1, %s) returning id"
    start = f"update pgboss.job set state = 'active', started_on = now() {BOSS_JOBS}(%s)"
    touch = f"update pgboss.job set output = '[]' {BOSS_JOBS}(%s)"
    put_back = f"update pgboss.job set state = 'retry', completed_on = null {BOSS_JOBS}(%s)"
    delete = f"delete from pgboss.job {BOSS_JOBS}(%s)"
    end = (
        "update pgboss.job set state = {status}, {column} = {clock},"
        f" output = jsonb_build_object('name', 'ValueError') {BOSS_JOBS}({{ids}}::uuid[])"
    )
