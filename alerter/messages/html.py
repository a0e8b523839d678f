"""A mail's HTML: one column that any mail program shows, on a phone too; no pictures, nothing from elsewhere."""

from __future__ import annotations

from pathlib import Path

from alerter.messages.lines import lasting
from alerter.messages.sandbox import environment
from alerter.messages.telling import Telling
from alerter.model import Severity

_COLOURS = {
    Severity.CRITICAL: "#b3261e",
    Severity.WARNING: "#b26a00",
    Severity.INFO: "#1f5fa8",
    Severity.OTHER: "#4a5560",
}
_OVER = "#2e7d32"
_TEMPLATE = environment(html=True).from_string(Path(__file__).with_name("mail.html").read_text(encoding="utf-8"))


def html(telling: Telling) -> str:
    """The whole message; every text in it is escaped."""
    return _TEMPLATE.render(
        telling=telling,
        colour=_OVER if telling.over else _COLOURS[telling.severity],
        lines=[
            (each, _COLOURS[each.severity] if each.firing else _OVER, lasting(each, telling.now))
            for each in telling.lines
        ],
    )
