"""This kind's chapters of docs/configuration.md and docs/metrics.md: prose beside it, lists from its code."""

from __future__ import annotations

from importlib.resources import files

from exporter.queues.guide import Guide
from exporter.queues.pgmq.capabilities import absent_metrics
from exporter.queues.pgmq.tracking import OPTIONAL

_TRACKED = frozenset(OPTIONAL)


def guide() -> Guide:
    """Both chapters, filled in."""
    never = absent_metrics(tracked=_TRACKED)
    plain = absent_metrics(tracked=None)
    old = absent_metrics(tracked=_TRACKED, tells_reads=False)
    return Guide(
        configuration=_read("configuration.md"),
        metrics=_read("metrics.md")
        .replace("<!-- never -->", _listed(never))
        .replace("<!-- untracked -->", _listed({m: why for m, why in plain.items() if m not in never}))
        .replace("<!-- unread -->", _listed({m: why for m, why in old.items() if m not in never})),
    )


def _read(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8").strip("\n")


def _listed(metrics: dict[str, str]) -> str:
    return ", ".join(f"`{metric}`" for metric in metrics)
