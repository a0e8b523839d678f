"""What an exposition says, for a test to ask."""

from prometheus_client.parser import text_string_to_metric_families

from exporter.model import QueueKey


class Samples:
    """An exposition, read by the parser of prometheus-client."""

    def __init__(self, text: str) -> None:
        self._series: dict[str, list[tuple[dict[str, str], float]]] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                self._series.setdefault(sample.name, []).append((dict(sample.labels), float(sample.value)))

    def series(self, name: str, **labels: str) -> list[tuple[dict[str, str], float]]:
        """All series of `name` that have these labels, others allowed."""
        return [
            (mine, value)
            for mine, value in self._series.get(name, [])
            if all(mine.get(label) == wanted for label, wanted in labels.items())
        ]

    def get(self, name: str, **labels: str) -> float | None:
        """The value of the one series that has these labels; None if there is none."""
        found = self.series(name, **labels)
        assert len(found) <= 1, f"{name}{labels} is not one series: {found}"
        return found[0][1] if found else None

    def value(self, name: str, **labels: str) -> float:
        """The same, of a series that has to be there."""
        found = self.get(name, **labels)
        assert found is not None, f"no {name}{labels}; there are {self.series(name)}"
        return found

    def queue(self, metric: str, full_name: str, **labels: str) -> float | None:
        """`postwatch_queue_<metric>` of a queue by its full name, e.g. `email-sending:high`."""
        return self.get(f"postwatch_queue_{metric}", **QueueKey.parse(full_name).labels, **labels)

    def up(self, sampler: str, source: str = "mail") -> float | None:
        """`postwatch_sampler_up`."""
        return self.get("postwatch_sampler_up", sampler=sampler, source=source)

    def by(self, label: str, name: str, **labels: str) -> dict[str, float]:
        """Values of `name` by one of its labels."""
        return {mine[label]: value for mine, value in self.series(name, **labels)}

    @property
    def names(self) -> set[str]:
        """Of all samples, so that a histogram has three."""
        return set(self._series)
