"""What is known of the addresses, for people."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from exporter.parts import Level, Line, Table
from exporter.reputation.blocklists import Blocklist, Finding
from exporter.reputation.knowledge import Knowledge
from exporter.reputation.names import Ip, family_of

COLUMNS = ("address", "provider", "listed by", "since", "#score", "#sent today")


class Row(NamedTuple):
    """One address in one list, as the command `reputation` shows it."""

    address: str
    blocklist: str
    verdict: str
    codes: str
    category: str
    reason: str
    since: str
    delisting: str
    level: Level


def overview(known: Knowledge) -> Table:
    """A line an address, and one for each list that cannot be believed."""
    lines = [_address(known, ip) for ip in known.addresses]
    for each in known.lists:
        unusable: dict[str, list[str]] = {}
        for family, standing in each.standings.items():
            if standing.usable is False:
                unusable.setdefault(standing.why, []).append(family)
        lines += [
            Line((f"list {each.label}", "", f"{', '.join(families)}: {why}", "", "", ""), "unusable", Level.WARNING)
            for why, families in unusable.items()
        ]
    return Table("Reputation", COLUMNS, tuple(lines)).worst_first()


def _address(known: Knowledge, ip: Ip) -> Line:
    found = list(known.listings(ip))
    listed = [(each, finding) for each, finding in found if finding.listed]
    true = [finding for _, finding in found if finding.listed is not None]
    since = min((finding.since for _, finding in listed if finding.since is not None), default=None)
    score = known.score(ip)
    sent = known.sent.counts.get(str(ip))
    cells = (
        str(ip),
        known.addresses[ip].provider,
        ", ".join(f"{each.label} ({_categories(each, finding)})" for each, finding in listed),
        _day(since),
        "–" if score is None else f"{score:g}",
        "–" if sent is None else f"{sent:,.0f}",
    )
    if listed:
        critical = any(each.tier == "critical" for each, _ in listed)
        return Line(cells, "listed", Level.BAD if critical else Level.WARNING)
    if not true:
        return Line(cells, "unknown", Level.UNKNOWN)
    word = "clean" if len(true) == len(found) else f"clean on {len(true)} of {len(found)}"
    return Line(cells, word, Level.GOOD)


def rows(known: Knowledge) -> list[Row]:
    """Every address in every list, listings first."""
    order = list(Level)
    found = [_row(each, finding, ip) for ip in known.addresses for each, finding in known.listings(ip)]
    return sorted(found, key=lambda row: -order.index(row.level))


def _row(blocklist: Blocklist, finding: Finding, ip: Ip) -> Row:
    if finding.listed is None:
        why = finding.why or blocklist.standings[family_of(ip)].why or "not asked in time"
        verdict = finding.result.value if finding.result and not finding.result.true else "unknown"
        return Row(str(ip), blocklist.label, verdict, "", "", why, "", "", Level.UNKNOWN)
    if not finding.listed:
        return Row(str(ip), blocklist.label, "clean", "", "", "", "", "", Level.GOOD)
    return Row(
        str(ip),
        blocklist.label,
        "listed",
        ", ".join(finding.codes),
        _categories(blocklist, finding),
        finding.reason,
        # What is seen for the first time here may be listed for long: that is known from the state file alone.
        "" if finding.since == finding.checked else _day(finding.since),
        blocklist.delisting,
        Level.BAD if blocklist.tier == "critical" else Level.WARNING,
    )


def _categories(blocklist: Blocklist, finding: Finding) -> str:
    return ", ".join(dict.fromkeys(blocklist.rules.category(code) for code in finding.codes))


def _day(moment: float | None) -> str:
    return "" if moment is None else f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M}"
