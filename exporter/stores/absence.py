"""What a store cannot tell as it is set up: said once in the log, and by `check --connect` with what would help."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from chassis.log import Repeats, get_logger
from exporter.model import Reason, Remark

log = get_logger(__name__)


@dataclass(frozen=True)
class Absence:
    """Metrics that are absent, by name without `postwatch_`, and why."""

    reason: Reason
    text: str
    remedy: str
    metrics: tuple[str, ...]

    def remark(self, subject: str) -> Remark:
        """For `check --connect`."""
        missing = ", ".join(f"postwatch_{metric}" for metric in self.metrics)
        return Remark(subject, f"{self.text}; these metrics will be missing: {missing}", self.remedy)


class Absences:
    """What one store cannot tell, as last seen."""

    def __init__(self, store: str) -> None:
        self._store = store
        self._repeats = Repeats(log)
        self._said: dict[str, set[str]] = {}

    def say(self, topic: str, found: Iterable[Absence]) -> None:
        """Log what is new among the absences of a topic, and what is over."""
        current = {absence.text: absence for absence in found}
        for text in self._said.get(topic, set()) - set(current):
            self._repeats.recovered(text, "metrics_back", store=self._store, told=text)
        for text, absence in current.items():
            self._repeats.failed(
                text,
                "metrics_absent",
                reason=absence.reason.value,
                store=self._store,
                told=text,
                advice=absence.remedy,
                metrics=[f"postwatch_{metric}" for metric in absence.metrics],
            )
        self._said[topic] = set(current)
