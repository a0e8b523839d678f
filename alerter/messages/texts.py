"""Plain texts: a mail's, and the few words of an SMS."""

from __future__ import annotations

from collections.abc import Iterator

from alerter.messages.clean import cut
from alerter.messages.gsm import to_gsm, units
from alerter.messages.lines import Line, lasting
from alerter.messages.telling import Telling
from alerter.messages.times import moment

ONE_SMS = 160  # GSM characters
LONGEST_SMS = 1600  # characters that Twilio takes
_TWO_UNICODE = 134  # characters of two SMS in UCS-2, which text beyond GSM needs


def plain(telling: Telling) -> str:
    """The whole message, as lines of text."""
    return "\n".join(_plain(telling)).strip() + "\n"


def _plain(telling: Telling) -> Iterator[str]:
    yield telling.title
    yield ""
    yield from telling.remarks
    if telling.remarks:
        yield ""
    if telling.services:
        yield "By service: " + ", ".join(f"{name or 'none'} {count}" for name, count in telling.services.items())
        yield ""
    for each in telling.lines:
        yield from _block(each, telling)
        yield ""
    if telling.more > 0:
        yield f"And {telling.more} more."
        yield ""
    if telling.home:
        yield f"All alerts: {telling.home}"


def _block(each: Line, telling: Telling) -> Iterator[str]:
    if telling.count > 1:
        yield f"{'FIRING' if each.firing else 'RESOLVED'} {each.severity.value}: {each.summary}"
    facts = {
        "What": each.name if each.name != each.summary else "",
        "Where": each.where,
        "When": lasting(each, telling.now),
        "How bad": each.severity.value,
        "For customers": each.impact if each.firing else "",
        "Acknowledged": each.acknowledged_by if telling.count > 1 else "",
        "Why it ended": each.note if telling.count > 1 else "",
        "Runbook": each.runbook,
        "Dashboard": each.dashboard,
        "Silence": each.silence if each.firing else "",
    }
    yield from (f"{name + ':':<15}{value}" for name, value in facts.items() if value)
    if each.firing and each.description and each.description != each.summary:
        yield from ("", *(f"  {text}" for text in each.description.splitlines()))


def short(telling: Telling) -> str:
    """The same in one SMS where it fits: 160 GSM characters, or two SMS for other scripts."""
    mark = "".join(f" [{mark.value}]" for mark in sorted(telling.marks) if mark.value != "test")
    tail = f" since {moment(telling.since)[11:]}" if telling.count == 1 and not telling.over else ""
    where = f" ({telling.lines[0].where})" if telling.count == 1 and telling.lines[0].where else ""
    for text in (f"{telling.title.rstrip('.')}{where}{mark}", f"{telling.title.rstrip('.')}{mark}"):
        gsm = to_gsm(f"{text}{tail}")
        if gsm is not None and units(gsm) <= ONE_SMS:
            return gsm
    limit = ONE_SMS if to_gsm(telling.title) is not None else _TWO_UNICODE
    room = limit - len(mark) - len(tail)
    title = to_gsm(telling.title) or telling.title
    while room > 20:
        text = f"{cut(title, room).replace('…', '...') if limit == ONE_SMS else cut(title, room)}{mark}{tail}"
        if (units(text) if limit == ONE_SMS else len(text)) <= limit:
            return text
        room -= 1
    return cut(title, limit)


def fit_sms(text: str) -> str:
    """A text of somebody's template, as GSM characters where they suffice, no longer than Twilio takes."""
    return cut(to_gsm(text) or text, LONGEST_SMS)
