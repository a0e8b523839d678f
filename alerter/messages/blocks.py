"""Slack's messages: blocks within its limits, and plain text for where blocks are refused and for notifications.

Limits: https://docs.slack.dev/reference/block-kit/blocks/section-block and chat.postMessage, as of 2026-11.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from alerter.messages.clean import cut
from alerter.messages.lines import Line, lasting
from alerter.messages.telling import Telling
from alerter.model import Action, Severity

BLOCKS = 50
SECTION = 3000  # characters
ALTOGETHER = 12_000  # characters; Slack refuses from about 13,000
PLAIN = 3000  # characters of a message without blocks; up to 40,000 are taken, but cut to pieces from 4,000
_NAMED = 15  # alerts with a section of their own
_SIGNS = {
    Severity.CRITICAL: ":red_circle:",
    Severity.WARNING: ":large_orange_circle:",
    Severity.INFO: ":large_blue_circle:",
    Severity.OTHER: ":white_circle:",
}
_OVER = ":large_green_circle:"


def escape(text: str) -> str:
    """`text` as Slack shows it literally: nothing in it mentions, links or formats by angle brackets."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def escaped(text: str, limit: int) -> str:
    """The same, of at most `limit` characters once escaped; never cut within an escape."""
    while len(escape(text)) > limit:
        text = cut(text, min(limit, len(text) - 1))
    return escape(text)


def plain(telling: Telling) -> str:
    """One line, for notifications and for where blocks are refused."""
    return escaped(f"{telling.title}{_remark_tail(telling)}", PLAIN)


def news(telling: Telling) -> str:
    """What has changed, for the thread: a line for each alert."""
    changed = [each for each in telling.lines if each.news]
    lines = [
        f"{_sign(each)} {'firing' if each.firing else 'resolved'}: {escaped(each.summary, 400)}" for each in changed
    ]
    if telling.action is Action.ACKNOWLEDGE and not telling.over:
        who = sorted({each.acknowledged_by for each in telling.lines if each.acknowledged_by})
        lines = [f":eyes: acknowledged by {escaped(', '.join(who) or 'somebody', 400)}"]
    lines += [escaped(remark, 400) for remark in telling.remarks]
    return _within(lines, PLAIN)


def blocks(telling: Telling) -> list[dict[str, Any]]:
    """The message, the worst first, within Slack's limits."""
    made = list(_blocks(telling))
    while len(made) > BLOCKS or _size(made) > ALTOGETHER:
        sections = [place for place, block in enumerate(made) if block["type"] == "section"]
        if len(sections) < 2:
            break
        made.pop(sections[-1])
    return made


def _blocks(telling: Telling) -> Iterator[dict[str, Any]]:
    first = telling.lines[0]
    sign = _OVER if telling.over else _SIGNS[telling.severity]
    yield _section(f"{sign} *{escaped(_unstarred(telling.title), 1000)}*")
    if telling.remarks:
        yield _context([escaped(remark, 600) for remark in telling.remarks])
    if telling.services:
        counts = ", ".join(f"{name or 'none'} {count}" for name, count in telling.services.items())
        yield _section(escaped(f"By service: {counts}", 1000))
    if telling.count == 1:
        yield _section(_within(list(_facts(first, telling)), SECTION))
    else:
        for each in telling.lines[:_NAMED]:
            yield _section(_within(list(_entry(each, telling)), SECTION))
        left = telling.count - min(len(telling.lines), _NAMED)
        if left > 0:
            yield _context([f"and {left} more"])
    if buttons := list(_buttons(telling)):
        yield {"type": "actions", "elements": buttons}
    foot = [f"<{_href(telling.home)}|all alerts>"] if telling.home else []
    yield _context([*foot, f"{telling.firing} of {telling.count} firing"])


def _facts(each: Line, telling: Telling) -> Iterator[str]:
    if each.name != each.summary:
        yield f"*What*  {escaped(each.name, 200)}"
    if each.where:
        yield f"*Where*  {escaped(each.where, 400)}"
    yield f"*When*  {lasting(each, telling.now)}"
    yield f"*How bad*  {each.severity}"
    if each.firing and each.impact:
        yield f"*For customers*  {escaped(each.impact, 400)}"
    if each.firing and each.description and each.description != each.summary:
        yield escaped(each.description, 1200)


def _entry(each: Line, telling: Telling) -> Iterator[str]:
    yield f"{_sign(each)} {escaped(each.summary, 400)}"
    facts = [escaped(each.where, 200)] if each.where else []
    facts.append(lasting(each, telling.now))
    if each.acknowledged_by:
        facts.append(f"acknowledged by {escaped(each.acknowledged_by, 100)}")
    if each.note:
        facts.append(escaped(each.note, 200))
    yield ", ".join(facts)


def _buttons(telling: Telling) -> Iterator[dict[str, Any]]:
    """Links of the worst alert; a button needs no answer from us."""
    first = telling.lines[0]
    targets = {
        "Runbook": first.runbook,
        "Dashboard": first.dashboard,
        "Silence": first.silence if first.firing else "",
        "Graph": first.graph,
    }
    for name, url in targets.items():
        if url:
            yield {
                "type": "button",
                "text": {"type": "plain_text", "text": name},
                "url": url,
                "action_id": name.lower(),
            }


def _sign(each: Line) -> str:
    return _SIGNS[each.severity] if each.firing else _OVER


def _section(text: str) -> dict[str, Any]:
    # Verbatim: a channel's or a person's name in a label becomes no link and no mention.
    return {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}


def _context(texts: list[str]) -> dict[str, Any]:
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": text, "verbatim": True} for text in texts[:10]]}


def _within(lines: list[str], limit: int) -> str:
    """As many lines as fit, whole ones."""
    text = ""
    for each in lines:
        if len(text) + len(each) + 1 > limit - 20:
            return f"{text}…"
        text += f"{each}\n"
    return text.rstrip("\n") or "…"


def _href(url: str) -> str:
    return escape(url).replace("|", "%7C")


def _unstarred(text: str) -> str:
    return text.replace("*", "\N{ASTERISK OPERATOR}")


def _remark_tail(telling: Telling) -> str:
    return f" ({' '.join(telling.remarks)})" if telling.remarks else ""


def _size(made: list[dict[str, Any]]) -> int:
    """Characters of all texts."""
    total = 0
    for block in made:
        texts = [block["text"]] if "text" in block else block["elements"]
        total += sum(len(each.get("url", "")) + len(str(each.get("text", ""))) for each in texts)
    return total
