"""Moments and lengths of time as a person reads them."""

from __future__ import annotations

from datetime import UTC, datetime


def moment(at: float) -> str:
    """Epoch seconds as a person reads them, in UTC: '2026-11-22 03:12 UTC'."""
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (ValueError, OverflowError, OSError):
        return "an unknown time"


def span(seconds: float) -> str:
    """A length of time, to two units: '45 s', '12 min', '3 h 20 min', '2 d 4 h'."""
    seconds = max(seconds, 0.0)
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = int(seconds // 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"
