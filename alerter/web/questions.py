"""What the feed may be asked: how far back, how bad, of which service, in which state, with which words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from alerter.model import Severity
from alerter.store.schema import episodes

MOST, _USUAL = 5000, 500  # entries in one answer


class BadQuestion(ValueError):
    """A parameter that says nothing; the text says which are allowed."""


@dataclass(frozen=True)
class Question:
    """What is asked for: what came or changed from `since` on, in epoch seconds, and fulfils the conditions."""

    since: float
    conditions: tuple[sa.ColumnElement[bool], ...]


def question(parameters: Mapping[str, str], keep: float, now: float) -> Question:
    """What a request's parameters stand for. Raises BadQuestion."""
    hours = _number(parameters.get("hours", keep / 3600))
    if not 0 < hours <= 24 * 3660:
        raise BadQuestion("hours: a number of hours, more than 0")
    columns = episodes.c
    found: list[sa.ColumnElement[bool]] = []
    if text := parameters.get("severity"):
        wanted = [word.strip().lower() for word in text.split(",")]
        if not set(wanted) <= set(Severity):
            raise BadQuestion(f"severity: any of {', '.join(Severity)}, with commas between")
        found.append(columns.severity.in_(wanted))
    if text := parameters.get("service"):
        found.append(columns.service.in_([word.strip() for word in text.split(",")]))
    if text := parameters.get("state"):
        if text not in ("firing", "resolved"):
            raise BadQuestion("state: firing or resolved")
        found.append(columns.status == text)
    if text := parameters.get("q"):
        found.append(
            sa.or_(columns.message.icontains(text, autoescape=True), columns.labels.icontains(text, autoescape=True))
        )
    return Question(now - hours * 3600, tuple(found))


def limit_of(parameters: Mapping[str, str]) -> int:
    """How many entries are asked for. Raises BadQuestion."""
    limit = _number(parameters.get("limit", _USUAL))
    if not 1 <= limit <= MOST:
        raise BadQuestion(f"limit: a number from 1 to {MOST}")
    return int(limit)


def _number(text: object) -> float:
    """0, which no parameter may be, for what is none."""
    try:
        return float(str(text))
    except ValueError:
        return 0.0
