"""Which command a statement is, by its text as pg_stat_statements keeps it."""

from __future__ import annotations

import re
from collections.abc import Iterator

COMMANDS = ("select", "insert", "update", "delete", "other")

_SKIPPED = re.compile(
    r"""\s+
      | --[^\n]*
      | '(?:[^']|'')*'
      | "(?:[^"]|"")*"
      | \$(\w*)\$.*?\$\1\$
    """,
    re.VERBOSE | re.DOTALL,
)
_WORD = re.compile(r"[a-z_][a-z0-9_$]*", re.IGNORECASE)
_PREPARE = re.compile(r"\s*prepare\s+(?:\w+|\"(?:[^\"]|\"\")*\")\s*(?:\([^)]*\))?\s*as\b", re.IGNORECASE)
# What PostgreSQL plans as a SELECT.
_SELECTS = ("select", "values", "table")
_MAINS = (*_SELECTS, "insert", "update", "delete", "merge")


def command_of(text: str) -> str:
    """One of COMMANDS. Of a statement with WITH it is the main one, as PostgreSQL has it, whatever its parts do."""
    if prepared := _PREPARE.match(text):
        text = text[prepared.end() :]
    words = _words(text)
    # A statement may begin with parentheses: (select …) union (select …).
    first, outside = next(words, ("", 0))
    if first != "with":
        return _named(first)
    mains = (word for word, depth in words if depth == outside and word in _MAINS)
    return _named(next(mains, ""))


def _named(word: str) -> str:
    if word in _SELECTS:
        return "select"
    return word if word in COMMANDS else "other"


def _words(text: str) -> Iterator[tuple[str, int]]:
    """Words outside of comments and quotes, in lower case, each with the number of parentheses open around it."""
    position, depth = 0, 0
    while position < len(text):
        if text.startswith("/*", position):
            position = _behind_comment(text, position)
        elif skipped := _SKIPPED.match(text, position):
            position = skipped.end()
        elif word := _WORD.match(text, position):
            yield word[0].lower(), depth
            position = word.end()
        else:
            depth += {"(": 1, ")": -1}.get(text[position], 0)
            position += 1


def _behind_comment(text: str, start: int) -> int:
    """Where the comment that begins at `start` ends; PostgreSQL's comments may hold others."""
    depth, position = 1, start + 2
    while position < len(text) and depth:
        if text.startswith("/*", position):
            depth, position = depth + 1, position + 2
        elif text.startswith("*/", position):
            depth, position = depth - 1, position + 2
        else:
            position += 1
    return position
