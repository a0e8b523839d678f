"""`routes`: who would be told, and why, without telling anybody; or a file of cases with expectations."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, Field
from rich.console import Console

from alerter.commands.example import labels_of
from alerter.commands.terminal import console, tell
from alerter.routing.matchers import all_match
from alerter.routing.plan import Plan
from alerter.settings import AlerterSettings, read
from chassis.settings import Settings, SettingsError, load
from chassis.units import format_duration


class Case(Settings):
    """An alert and who is to be told of it."""

    name: str = Field("", description="What it stands for.")
    alert: dict[str, str] = Field(description="Labels.")
    at: AwareDatetime | None = Field(None, description="When, with a time zone; by default now. For quiet periods.")
    receivers: tuple[str, ...] = Field(description="Who is told at once; an empty list: nobody.")
    fallback: tuple[str, ...] | None = Field(None, description="Who is told if that fails; not compared if left out.")
    escalate: tuple[str, ...] | None = Field(None, description="Who is told later; not compared if left out.")


class Cases(Settings):
    """A file of cases."""

    cases: Annotated[tuple[Case, ...], Field(min_length=1)] = Field(description="Alerts with expectations.")


class CasesError(SettingsError):
    """The mistakes are in the file of cases."""


class BadTime(ValueError):
    """`--at` is no moment."""


def routes(path: Path, alerts: Sequence[str], file: Path | None, at: str | None) -> int:
    """Explain; answers 1 if a case of `file` differs. Raises SettingsError, BadLabels and BadTime."""
    settings = read(path, os.environ)
    out = console()
    if file is not None:
        try:
            cases = load(file, Cases, {})
        except SettingsError as error:
            raise CasesError(error.mistakes) from None
        return _compare(settings, cases, out)
    _explain(settings, labels_of(alerts), time.time() if at is None else _moment(at), out)
    return 0


def _explain(settings: AlerterSettings, labels: Mapping[str, str], now: float, out: Console) -> None:
    if settings.deadman and all_match(settings.deadman.match, labels):
        tell(out, "watchdog", f"nobody is told of it; {', '.join(settings.deadman.receivers)} if it stays away")
        return
    plan = settings.routing.plan(labels, now)
    for sentence in plan.because:
        tell(out, "because", sentence)
    for planned in plan.told:
        repeat = f", again every {format_duration(planned.repeat)}" if planned.repeat else ""
        tell(out, "at once", f"{planned.receiver}{repeat}", style="green")
        if planned.fallback_after is not None:
            after = format_duration(planned.fallback_after)
            tell(out, "  fallback", f"{', '.join(planned.fallback)}, if it has not accepted after {after}")
    for later in plan.escalations:
        after = format_duration(later.after)
        tell(out, "escalate", f"{', '.join(later.receivers)}, if nobody has acknowledged after {after}")
    if plan.quiet:
        tell(out, "nobody", "is told; it stands in the feed", style="yellow")


def _compare(settings: AlerterSettings, cases: Cases, out: Console) -> int:
    wrong = 0
    for number, case in enumerate(cases.cases):
        plan = settings.routing.plan(case.alert, time.time() if case.at is None else case.at.timestamp())
        differences = list(_differences(case, plan))
        wrong += bool(differences)
        title = case.name or ", ".join(f"{name}={value}" for name, value in case.alert.items())
        verdict, style = ("differs", "red") if differences else ("ok", "green")
        tell(out, verdict, f"cases[{number}] {title}", style=style)
        for difference in differences:
            tell(out, "  ", difference)
    tell(out, "", f"{len(cases.cases) - wrong} of {len(cases.cases)} cases are as expected")
    return 1 if wrong else 0


def _differences(case: Case, plan: Plan) -> Iterator[str]:
    found = {
        "receivers": {planned.receiver for planned in plan.told},
        "fallback": {name for planned in plan.told for name in planned.fallback},
        "escalate": {name for later in plan.escalations for name in later.receivers},
    }
    for part, names in found.items():
        wanted = getattr(case, part)
        if wanted is not None and set(wanted) != names:
            yield f"{part}: {_names(wanted)} expected, {_names(names)} found; {'; '.join(plan.because)}"


def _names(names: Sequence[str] | set[str]) -> str:
    return ", ".join(sorted(names)) or "nobody"


def _moment(text: str) -> float:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise BadTime(f"--at: {text!r} is no moment; write e.g. 2026-11-22T23:30:00+01:00")
    return at.timestamp()
