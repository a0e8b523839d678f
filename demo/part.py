"""A part of the platform that lives in a thread of its own."""

import threading
from collections.abc import Callable

import psycopg
import redis


class Part(threading.Thread):
    """Runs `live` until `stopping` is set; an error elsewhere than in stopping is handed to `report`."""

    def __init__(self, name: str, postgres: str, store: str, report: Callable[[str], None]) -> None:
        super().__init__(name=name, daemon=True)
        self.stopping = threading.Event()
        self._postgres = postgres
        self._store = store
        self._report = report

    def live(self, db: "psycopg.Connection[psycopg.rows.TupleRow]", store: "redis.Redis") -> None:
        raise NotImplementedError

    def run(self) -> None:
        try:
            with (
                psycopg.connect(self._postgres, autocommit=True, application_name=f"demo {self.name}") as db,
                redis.Redis.from_url(self._store, decode_responses=True, socket_timeout=10) as store,
            ):
                self.live(db, store)
        except (psycopg.Error, redis.RedisError) as error:
            if not self.stopping.is_set():
                self._report(f"{self.name} ended: {error}")

    def stop(self) -> None:
        self.stopping.set()
        if self.is_alive():
            self.join(timeout=5)
