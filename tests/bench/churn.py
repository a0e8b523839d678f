"""A living queue: jobs in batches through queued, migrated_to_redis, running and completed.

Run as a process of its own, so that it takes no time from what is measured in ours. It reports several times a
second: jobs that ended, and the time that the statements of their lives took.
"""

import json
import math
import subprocess
import sys
import threading
import time
from collections import deque
from types import TracebackType
from typing import Any, Self

import psycopg

QUEUES = 10
BATCHES = 20  # a second
RUNNING = 4  # batches that run at the same time: 0.2 s of work
REPORT = 0.25  # seconds between reports
FAILED = 1009  # one in so many fails for good
PAYLOAD = '{"to": "someone@example.org", "template": 17}'

_BASIC = (
    "insert into jobs (queue, status, payload) select 'queue:queue-' || 1 + g %% %(queues)s, 'waiting',"
    " %(payload)s::jsonb from generate_series(%(first)s::int, %(last)s::int) as g returning id",
    "update jobs set status = 'active', attempts = attempts + 1, updated_at = now() where id = any(%(jobs)s)",
)
_BASIC_END = "update jobs set status = 'completed', updated_at = now() where id = any(%(jobs)s) returning id"
# By layout: the creation of so many jobs, then each step of their lives.
_STATEMENTS = {
    "penguinmails": (
        "insert into jobs (queue_name, priority, payload) select 'queue-' || 1 + g %% %(queues)s, 50 + (g %% 3) * 60,"
        " %(payload)s::jsonb from generate_series(%(first)s::int, %(last)s::int) as g returning id",
        "update jobs set status = 'migrated_to_redis', updated = now() where id = any(%(jobs)s)",
        "update jobs set status = 'running', started = clock_timestamp(), attempt_count = attempt_count + 1,"
        " worker_id = 'worker-' || priority, updated = now() where id = any(%(jobs)s)",
        "update jobs set status = outcome, completed = case outcome when 'completed' then clock_timestamp() end,"
        " failed = case outcome when 'failed' then clock_timestamp() end, updated = now()"
        " from (select job, case when random() * %(failed)s < 1 then 'failed' else 'completed' end as outcome"
        " from unnest(%(jobs)s) as job) as ended where id = job",
    ),
    "basic": (
        *_BASIC,
        f"with ended as ({_BASIC_END}) insert into job_logs (job_id, status, attempt, started_at,"
        " finished_at) select id, 'success', 1, now() - interval '0.2 s', now() from ended",
    ),
    "basic without job_logs": (*_BASIC, _BASIC_END),
    # These run the jobs of one queue, as their workers do: pg-boss fetches and completes batches by their ids, pgmq
    # hides what it hands out and archives it.
    "pgboss": (
        "insert into pgboss.job (name, data) select 'queue-1', %(payload)s::jsonb"
        " from generate_series(%(first)s::int, %(last)s::int) returning id",
        "update pgboss.job set state = 'active', started_on = now() where name = 'queue-1' and id = any(%(jobs)s)",
        "update pgboss.job set state = 'completed', completed_on = now(), output = '{}'"
        " where name = 'queue-1' and id = any(%(jobs)s)",
    ),
    "pgmq": (
        "select pgmq.send_batch('queue-1', array_fill(%(payload)s::jsonb, array[%(last)s::int - %(first)s::int + 1]))",
        "select msg_id from pgmq.read('queue-1', 60, cardinality(%(jobs)s::bigint[]))",
        "select pgmq.archive('queue-1', %(jobs)s::bigint[])",
    ),
}


class _Writer:
    def __init__(self, url: str, layout: str, size: int, queues: int) -> None:
        self._connection = psycopg.connect(url, autocommit=True)
        self._create, *self._steps = (text.encode() for text in _STATEMENTS[layout])
        self._fixed = {"queues": queues, "payload": PAYLOAD, "failed": FAILED}
        self._size = size
        self._made = 0
        self._alive: deque[list[Any]] = deque()

    def beat(self) -> int:
        """One batch is created and started, an older one ends; how many jobs ended."""
        numbers = {"first": self._made, "last": self._made + self._size - 1}
        self._made += self._size
        cursor = self._connection.execute(self._create, {**self._fixed, **numbers})
        self._alive.append([row[0] for row in cursor.fetchall()])
        *before, last = self._steps
        for step in before:
            self._connection.execute(step, {**self._fixed, "jobs": self._alive[-1]})
        if len(self._alive) <= RUNNING:
            return 0
        self._connection.execute(last, {**self._fixed, "jobs": self._alive.popleft()})
        return self._size


def main(url: str, layout: str, rate: int, queues: int) -> None:
    """Until standard input ends. A rate of 0 is as fast as it goes."""
    over = threading.Event()

    def wait() -> None:
        sys.stdin.read()
        over.set()

    threading.Thread(target=wait, daemon=True).start()
    writer = _Writer(url, layout, max(rate // BATCHES, 1) if rate else 100, queues)
    began = second = time.monotonic()
    beats = ended = 0
    busy = 0.0
    while not over.is_set():
        start = time.monotonic()
        ended += writer.beat()
        now = time.monotonic()
        busy += now - start
        beats += 1
        if now - second >= REPORT:
            line = {"at": time.time(), "window": now - second, "ended": ended, "busy": busy}
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()
            second, ended, busy = now, 0, 0.0
        if rate:
            over.wait(max(began + beats / BATCHES - now, 0))


class Churn:
    """The writer as a process: `with Churn(url, 2000):`."""

    def __init__(self, url: str, rate: int, layout: str = "penguinmails", queues: int = QUEUES) -> None:
        command = [sys.executable, "-m", "tests.bench.churn", url, layout, str(rate), str(queues)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._lines: list[dict[str, float]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.append(json.loads(line))

    def _sums(self, since: float, until: float) -> dict[str, float]:
        lines = [line for line in list(self._lines) if since <= line["at"] - line["window"] and line["at"] <= until]
        assert lines, "the writer has stopped"
        return {key: sum(line[key] for line in lines) for key in ("window", "ended", "busy")}

    def rate(self, since: float, until: float = math.inf) -> float:
        """Jobs ended a second between two moments (epoch)."""
        sums = self._sums(since, until)
        return sums["ended"] / sums["window"]

    def seconds(self, since: float, until: float = math.inf) -> float:
        """Seconds that the statements of a job's life took, between two moments (epoch)."""
        sums = self._sums(since, until)
        return sums["busy"] / sums["ended"]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._reader.join(5)
        self._process.stdout.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
