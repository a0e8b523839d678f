"""What goes wrong, said once: several samplers fail of one cause, and each of them again and again."""

from __future__ import annotations

import threading
from typing import NamedTuple

from exporter.model import Reason


class Cause(NamedTuple):
    """What one line of the log stands for."""

    source: str
    reason: Reason
    about: str  # whose failure it is: the address of a store, or empty


class Incidents:
    """Samplers by what they fail of. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._causes: dict[str, Cause] = {}

    def failed(self, sampler: str, cause: Cause) -> bool:
        """Note it; answers whether that is news: no sampler was failing of this cause."""
        with self._lock:
            known = cause in self._causes.values()
            self._causes[sampler] = cause
            return not known

    def recovered(self, sampler: str) -> bool:
        """Note it; answers whether a cause is gone with it: no other sampler fails of the same."""
        with self._lock:
            cause = self._causes.pop(sampler, None)
            return cause is not None and cause not in self._causes.values()
