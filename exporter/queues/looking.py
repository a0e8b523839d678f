"""What looks at a source share, of whatever queue system: one at a time, and what each tells of the database."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from exporter.clients.session import Session
from exporter.jobs.transactions import Activity
from exporter.model import Reason, SampleFailed
from exporter.queues.base import SourceContext, SourceHealth
from exporter.sampling.sampler import Run


class Looking:
    """The lock that serialises looks, and the health that they tell of."""

    def __init__(self, context: SourceContext) -> None:
        self.context = context
        self.lock = threading.RLock()
        self.health = SourceHealth()

    @contextmanager
    def turn(self, within: float) -> Iterator[None]:
        """Hold the lock. Raises SampleFailed if another look keeps it for longer than `within` seconds."""
        if not self.lock.acquire(timeout=within):
            address = self.context.database.safe_url
            raise SampleFailed(Reason.TIMEOUT, f"{address}: another look took all the time", about=address)
        try:
            yield
        finally:
            self.lock.release()

    @contextmanager
    def session(self, run: Run, lane: str) -> Iterator[Session]:
        """A session whose failures make the tables be looked at again."""
        try:
            with self.context.database.session(run, lane) as session:
                yield session
        except SampleFailed as failure:
            self.forget(failure)
            failure.about = failure.about or self.context.database.safe_url
            raise

    def forget(self, failure: SampleFailed) -> None:
        """After a failure: what was remembered of the tables, and may be the reason, is to be looked at again."""

    def note(self, activity: Activity) -> None:
        """The database answered, and said who is there."""
        health = self.health
        health.database_at = self.context.clock.monotonic()
        health.connections_active, health.connections_idle = activity.active, activity.idle
        health.connections_total = activity.sessions
