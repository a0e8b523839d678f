"""Many things to watch at a time. A load is one kind of them; what is measured takes any number of loads together."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from tests.support.certificates import make_certificates
from tests.support.servers import Postgres15, RedisServer

SERVICE_INTERVAL = 15.0  # seconds, the default


class Load(Protocol):
    """Targets of one kind, with the servers that they need."""

    name: str  # as in "1,000 services"
    count: int

    def config(self) -> dict[str, Any]:
        """Its sections of the exporter's configuration, which no other load has."""

    def settled(self) -> float:
        """Seconds after the start when each target has had its first turn."""

    def begin(self) -> None:
        """What is measured starts now."""

    def saw(self, body: bytes) -> None:
        """What /metrics says by now, several times a second."""

    def overrun(self) -> float:
        """By how much the longest interval since was longer than it should be; 0.1 is ten per cent."""


class Services:
    """So many services: seven in ten by HTTP, a seventh of them with TLS, the others of all further kinds."""

    name = "services"

    def __init__(self, count: int, folder: Path, postgres: Postgres15, redis: RedisServer) -> None:
        self.count = count
        self._certificates = make_certificates(folder / f"services-{count}")
        self._postgres, self._redis = postgres, redis
        self._process: subprocess.Popen[str]
        self._ports: dict[str, int] = {}

    @contextmanager
    def running(self) -> Iterator["Services"]:
        """With its servers."""
        command = [
            sys.executable,
            "-m",
            "tests.bench.answering",
            str(self._certificates.cert),
            str(self._certificates.key),
        ]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as self._process:
            try:
                self._ports = self._answer()
                yield self
            finally:
                self._process.kill()

    def config(self) -> dict[str, Any]:
        return {"services": [self._service(number) for number in range(self.count)]}

    def settled(self) -> float:
        return SERVICE_INTERVAL

    def begin(self) -> None:
        self._ask()

    def saw(self, body: bytes) -> None:
        """Nothing: what is watched tells who came."""

    def overrun(self) -> float:
        found = self._ask()
        watched = sum(self._kind(number) not in ("postgres", "redis") for number in range(self.count))
        assert len(found) == watched, f"{len(found)} of {watched} were visited"
        # Nobody visited once alone: a gap has two ends.
        assert all(visits >= 2 for _, visits in found.values()), sorted(found.items(), key=lambda item: item[1][1])[:5]
        longest = max(float(gap) for gap, _ in found.values())
        return longest / SERVICE_INTERVAL - 1

    def _kind(self, number: int) -> str:
        return ("http", "http", "http", "https", "http", "http", "http", "tcp", "smtp", "store")[number % 10].replace(
            "store", "postgres" if number % 20 == 9 else "redis"
        )

    def _service(self, number: int) -> dict[str, Any]:
        name, kind = f"service-{number}", self._kind(number)
        port = self._ports.get(kind, 0)
        common = {"name": name, "kind": kind, "timeout": "5s", "degraded_after": "500ms"}
        match kind:
            case "http":
                expect = {"status": 200, "json": {"status": "ok"}}
                return {**common, "url": f"http://127.0.0.1:{port}/{name}", "expect": expect}
            case "https":
                tls = {"ca_file": str(self._certificates.ca)}
                return {**common, "kind": "http", "url": f"https://127.0.0.1:{port}/{name}", "tls": tls}
            case "tcp":
                return {**common, "address": f"127.0.0.1:{port}", "send": f"{name}\n", "expect": name}
            case "smtp":
                return {**common, "address": f"127.0.0.1:{port}", "ehlo": name}
            case "postgres":
                return {**common, "url": self._postgres.url()}
            case _:
                return {**common, "url": self._redis.url}

    def _ask(self) -> dict[str, Any]:
        assert self._process.stdin
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout
        found: dict[str, Any] = json.loads(self._process.stdout.readline())
        return found
