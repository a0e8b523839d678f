"""Heartbeats of workers in Redis, in both known forms: the hash `worker:<id>`, and single keys `worker:<id>:…`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Report:
    """What Redis says of one worker. Epoch seconds; None: not said."""

    heartbeat: float | None = None
    status: str = ""
    started: float | None = None
    running: int | None = None
    capacity: int | None = None
    processed: int | None = None
    failed: int | None = None
    restarts: int | None = None
    named: bool = False  # among the active workers


def read_report(fields: Mapping[bytes, bytes], running: Any, processed: Any, heartbeat: Any) -> Report:
    """A report from the hash `worker:<id>` and from the single keys `worker:<id>:…`, whichever there are."""
    text = {k.decode(errors="replace"): v.decode(errors="replace") for k, v in fields.items()}
    return Report(
        heartbeat=_moment(text.get("last_heartbeat") or heartbeat),
        status=text.get("status", "").lower(),
        started=_moment(text.get("started_at")),
        running=_whole(text.get("current_jobs", running)),
        capacity=_whole(text.get("capacity")),
        processed=_whole(text.get("processed_total", processed)),
        failed=_whole(text.get("failed_total")),
        restarts=_whole(text.get("restarts")),
    )


def _whole(value: Any) -> int | None:
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    try:
        return max(int(float(value)), 0)
    except (TypeError, ValueError, OverflowError):
        return None


def _moment(value: Any) -> float | None:
    """Epoch seconds of epoch seconds, epoch milliseconds or ISO 8601."""
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if not isinstance(value, str):
        return None
    try:
        number = float(value)
    except ValueError:
        try:
            return datetime.fromisoformat(value).timestamp()
        except ValueError:
            return None
    if not 0 < number < 1e14:
        return None
    return number / 1000 if number > 1e11 else number
