"""The class of an error from what a queue stores of it: a name for a label, never a word of the message."""

from __future__ import annotations

import json
import re
from functools import lru_cache

from exporter.model import OTHER

LONGEST_NAME = 60

# `smtplib.SMTPServerDisconnected: …`, `ActiveRecord::RecordNotFound (…)`, `TypeError`.
_NAMED = re.compile(
    r"\s*(?:Uncaught\s+|Unhandled\s+)?((?:[A-Za-z_$][\w$]*(?:\.|::|\\))*)([A-Za-z_$][\w$]*)\s*(?:[:(\[]|$)"
)
# What tells a class from any other word before a colon: a name of people's would be one hump without a suffix.
_HUMPS = re.compile(r"[A-Z][A-Za-z0-9]*[a-z0-9][A-Z]|[A-Z]{2,}[a-z]+[a-z0-9]*[A-Z]|^[A-Z]{3,}[a-z]{2,}")
_SUFFIX = re.compile(r"(?:Error|Exception|Timeout|Failure|Fault|Exit|Interrupt|Exceeded|Refused|Warning)$")
_TIMEOUT = re.compile(r"time_?out|timed_?out|deadline|time_?limit", re.IGNORECASE)


@lru_cache(maxsize=4096)
def error_class(text: str | None) -> str:
    """`ValueError` of `ValueError: bad address bob@example.com`; `_other` where no class is named.

    Understands a line that starts with the class (dotted or `::` paths keep their last part), a Python
    traceback (its last line), and JSON with `name`, `class`, `type` or `code`.
    """
    if not text:
        return OTHER
    stripped = text.strip()
    if stripped.startswith("{"):
        return _from_json(stripped)
    if stripped.startswith("Traceback "):
        stripped = next((line for line in reversed(stripped.splitlines()) if line[:1].strip()), "")
    match = _NAMED.match(stripped.partition("\n")[0])
    return _accepted(match[2]) if match else OTHER


def _from_json(text: str) -> str:
    try:
        value = json.loads(text)
    except ValueError:
        return OTHER
    if not isinstance(value, dict):
        return OTHER
    for key in ("name", "class", "type", "code"):
        name = value.get(key)
        if isinstance(name, str) and re.fullmatch(r"[A-Za-z_][\w.:]*", name):
            return _accepted(re.split(r"[.:]+", name)[-1])
    return OTHER


def _accepted(name: str) -> str:
    known = _SUFFIX.search(name) or _HUMPS.search(name)
    return name if known and len(name) <= LONGEST_NAME else OTHER


def is_timeout(name: str) -> bool:
    """Whether an error's class says that an attempt was ended by its time limit."""
    return _TIMEOUT.search(name) is not None
