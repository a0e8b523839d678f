"""The class of an error from what a queue stores of it: a name for a label, never a word of the message."""

from __future__ import annotations

import json
import re
from functools import lru_cache

from exporter.model import OTHER

LONGEST_NAME = 60

# `smtplib.SMTPServerDisconnected: …`, `ActiveRecord::RecordNotFound (…)`, `Net::ReadTimeout with …`, `TypeError`.
_NAMED = re.compile(
    r"\s*(?:Uncaught\s+(?:\(in promise\)\s+)?|Unhandled\s+|Exception in thread \"[^\"]*\"\s+)?"
    r"((?:[A-Za-z_$][\w$]*(?:\.|::|\\))*)([A-Za-z_$][\w$]*)(?:\s*(?:[:(\[]|$)|\s+with\s)"
)
# What tells a class from any other word before a colon: a suffix, or several humps. A name of people's is one hump
# but for its particle; a key or a token has digits among its letters, or humps of all lengths.
_CLASS = re.compile(
    r"_?(?:[A-Z][A-Za-z]*\d{0,2}[A-Za-z]*)?"
    r"(?:Error|Exception|Timeout|Failure|Fault|Exit|Interrupt|Exceeded|Refused|Warning)"
    r"|(?:[A-Z]{2,6})?(?:[A-Z][a-z]+){2,}"
)
_PARTICLE = re.compile(r"(?:Ma?c|De|Di|Du|La|Le|Van|Von|Fitz|San|St)[A-Z][a-z]+")
_PYTHON = frozenset(["timeout", "gaierror", "herror"])  # classes of the standard library in small letters
_PAIR = re.compile(r'"(name|class|type|code)"\s*:\s*"([^"\\]*)"')
_TIMEOUT = re.compile(r"time_?out|timed_?out|deadline|time_?limit", re.IGNORECASE)


@lru_cache(maxsize=4096)
def error_class(text: str | None) -> str:
    """`ValueError` of `ValueError: bad address bob@example.com`; `_other` where no class is named.

    Understands a line that starts with the class (dotted or `::` paths keep their last part), a Python
    traceback (the line after the last stack), and JSON with `name`, `class`, `type` or `code`.
    """
    if not text:
        return OTHER
    stripped = text.strip()
    if stripped.startswith("{"):
        return _from_json(stripped)
    if stripped.startswith("Traceback "):
        stripped = _raised(stripped)
    match = _NAMED.match(stripped.partition("\n")[0])
    if not match:
        return OTHER
    path, name = match.groups()
    return name if path and name in _PYTHON else _accepted(name)


def _raised(traceback: str) -> str:
    """The line that names the exception: the first that is not indented after the last stack.

    A message may have lines of its own after it. The start may be cut off.
    """
    raised, before = "", ""
    for line in traceback.splitlines():
        if line.startswith("Traceback "):
            raised = ""
        elif not raised and before.startswith("  ") and line[:1].strip():
            raised = line
        before = line
    return raised


def _from_json(text: str) -> str:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = dict(reversed(_PAIR.findall(text)))  # it may have been cut off
    for key in ("name", "class", "type", "code"):
        name = value.get(key)
        if isinstance(name, str) and re.fullmatch(r"[A-Za-z_][\w.:]*", name):
            accepted = _accepted(re.split(r"[.:]+", name)[-1])
            if accepted != OTHER:
                return accepted
    return OTHER


def _accepted(name: str) -> str:
    name = name.rpartition("$")[2]  # of a class within a class, as Java writes it
    if len(name) > LONGEST_NAME or _PARTICLE.fullmatch(name):
        return OTHER
    return name if _CLASS.fullmatch(name) else OTHER


def is_timeout(name: str) -> bool:
    """Whether an error's class says that an attempt was ended by its time limit."""
    return _TIMEOUT.search(name) is not None
