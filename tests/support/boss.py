"""pg-boss itself, of several versions, in a process of Node.js that does as the test says."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from psycopg import sql

from demo.process import ServerError
from tests.support.databases import Database

DRIVER = Path(__file__).parent / "pgboss" / "driver.js"
# A newer Node.js than the machine's, where scripts/test-clients had to bring one.
BROUGHT = sorted(DRIVER.parent.glob("node_modules/node-linux-*/bin/node"))
NODE = str(BROUGHT[0]) if BROUGHT else "node"
PATIENCE = 60.0  # seconds for one answer, on a machine with other things to do


class Boss:
    """`with Boss(12, url) as boss: boss.send("mail", count=3)`; its schema stands once it has begun."""

    def __init__(self, major: int, url: str, schema: str = "pgboss") -> None:
        self.major = major
        self.schema = schema
        self._command = [NODE, "--no-warnings", str(DRIVER), str(major), url, schema]

    def __enter__(self) -> Self:
        try:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
        except FileNotFoundError as error:
            raise ServerError("node is missing; Debian's packages: nodejs npm") from error
        try:
            self._do("start")
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        for pipe in (self._process.stdout, self._process.stderr):
            assert pipe is not None
            pipe.close()

    def _do(self, method: str, *arguments: Any) -> Any:
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        watchdog = threading.Timer(PATIENCE, process.kill)
        watchdog.start()
        try:
            process.stdin.write(json.dumps({"do": method, "with": arguments}) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            watchdog.cancel()
        if not line:
            process.kill()
            raise ServerError(f"pg-boss {self.major} ended: {process.stderr.read()}; `make test` installs its client")
        reply = json.loads(line)
        if "error" in reply:
            raise ServerError(f"{method}: {reply['error']}")
        return reply["answer"]

    def create(self, queue: str, **options: Any) -> None:
        """A queue, with pg-boss' own options: policy, deadLetter, retryLimit, partition, …"""
        self._do("createQueue", queue, options)

    def delete_queue(self, queue: str) -> None:
        self._do("deleteQueue", queue)

    def send(self, queue: str, count: int = 1, **options: Any) -> list[str]:
        """Jobs with pg-boss' own options: priority, startAfter, singletonKey, …; null where it refused one."""
        answer: list[str] = self._do("send", queue, {"to": "someone"}, options, count)
        return answer

    def send_debounced(self, queue: str, seconds: int, key: str) -> str | None:
        answer: str | None = self._do("sendDebounced", queue, {}, {}, seconds, key)
        return answer

    def flow(self, jobs: Sequence[dict[str, Any]]) -> Any:
        """Jobs that wait for one another."""
        return self._do("flow", list(jobs))

    def fetch(self, queue: str, count: int = 1) -> list[str]:
        """Start attempts of ready jobs, as a worker does."""
        answer: list[str] = self._do("fetch", queue, count)
        return answer

    def complete(self, queue: str, jobs: Sequence[str]) -> None:
        self._do("complete", queue, list(jobs), {"sent": True})

    def fail(self, queue: str, jobs: Sequence[str], error: str = "TypeError", message: str = "not a function") -> None:
        """Fail with an error of that name."""
        self._do("fail", queue, list(jobs), error, message)

    def cancel(self, queue: str, jobs: Sequence[str]) -> None:
        self._do("cancel", queue, list(jobs))

    def resume(self, queue: str, jobs: Sequence[str]) -> None:
        self._do("resume", queue, list(jobs))

    def retry(self, queue: str, jobs: Sequence[str]) -> None:
        """Put failed jobs back."""
        self._do("retry", queue, list(jobs))

    def delete(self, queue: str, jobs: Sequence[str]) -> None:
        self._do("deleteJob", queue, list(jobs))

    def supervise(self, queue: str) -> None:
        """End what ran for too long, and tidy up, as pg-boss does every minute."""
        self._do("supervise", queue)

    def work(self, queue: str, behaviour: str = "complete") -> None:
        """An application's worker; `behaviour`: `complete`, `throw` or `hang`."""
        self._do("work", queue, behaviour)

    def stop_work(self, queue: str) -> None:
        self._do("offWork", queue)


def allow_reading(database: Database, boss: Boss) -> None:
    """Gives the reader of a database the rights that docs/configuration.md asks for, no more."""
    tables = ["version", "queue", "job", *(["archive"] if boss.major == 10 else [])]
    named = sql.SQL(", ").join(sql.Identifier(boss.schema, table) for table in tables)
    names = {"schema": sql.Identifier(boss.schema), "tables": named, "reader": sql.Identifier(database.reader)}
    with database.connect() as owner:
        owner.execute(sql.SQL("grant usage on schema {schema} to {reader}").format(**names))
        owner.execute(sql.SQL("grant select on {tables} to {reader}").format(**names))
