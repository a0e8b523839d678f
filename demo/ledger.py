"""What the workload itself knows to be true, to hold the exporter's figures against."""

import threading
from collections import Counter
from dataclasses import dataclass, field

from demo.queues import QUEUES, Queue


@dataclass
class Tally:
    """The books of one queue. Times are PostgreSQL's own, in seconds."""

    enqueued: int = 0
    retries: int = 0
    finished: Counter[str] = field(default_factory=Counter)  # by outcome
    errors: Counter[str] = field(default_factory=Counter)  # by class
    durations: list[float] = field(default_factory=list)  # last start to end
    waits: list[float] = field(default_factory=list)  # ready to last start
    waits_of_last_attempt: list[float] = field(default_factory=list)  # last run time to last start
    totals: list[float] = field(default_factory=list)  # ready to end, of the completed


class Ledger:
    """Filled by producers and workers from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ready: dict[str, float] = {}
        self.queues: dict[str, Tally] = {queue.key: Tally() for queue in QUEUES}
        self.workers: Counter[tuple[str, str]] = Counter()  # finished by worker and outcome

    @property
    def open(self) -> int:
        """How many jobs have not reached an end."""
        return len(self._ready)

    def enqueued(self, queue: Queue, job_id: str, ready: float) -> None:
        with self._lock:
            self.queues[queue.key].enqueued += 1
            self._ready[job_id] = ready

    def retried(self, queue: Queue, error: str) -> None:
        with self._lock:
            self.queues[queue.key].retries += 1
            self.queues[queue.key].errors[_class(error)] += 1

    def cancelled(self, queue: Queue, job_id: str) -> None:
        with self._lock:
            self._ready.pop(job_id, None)
            self.queues[queue.key].finished["cancelled"] += 1

    def ended(
        self,
        queue: Queue,
        job_id: str,
        worker: str,
        run_at: float,
        started: float,
        ended: float,
        error: str | None,
    ) -> None:
        with self._lock:
            tally = self.queues[queue.key]
            outcome = "failed" if error else "completed"
            ready = self._ready.pop(job_id, run_at)
            tally.finished[outcome] += 1
            self.workers[worker, outcome] += 1
            tally.durations.append(ended - started)
            tally.waits.append(started - ready)
            tally.waits_of_last_attempt.append(started - run_at)
            if error:
                tally.errors[_class(error)] += 1
            else:
                tally.totals.append(ended - ready)


def _class(error: str) -> str:
    return error.partition(":")[0]
