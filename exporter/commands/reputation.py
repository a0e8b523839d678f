"""`reputation`: ask the lists once, for the configured addresses or for any, and show what each says."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from rich.table import Table
from rich.text import Text

from chassis import log
from chassis.board import Board
from chassis.clock import SystemClock
from chassis.settings import load, secrets_in
from exporter.app import Watch
from exporter.catalogue import CATALOGUE
from exporter.commands.terminal import STYLES, console, tell
from exporter.reputation.names import Ip
from exporter.reputation.options import AddressOptions
from exporter.reputation.part import NAME, Reputation
from exporter.reputation.tables import Row, rows
from exporter.sampling.sampler import Run
from exporter.settings import ExporterSettings

CLEAN, LISTED, NOT_CONFIGURED, UNKNOWN = 0, 1, 2, 3
HEADINGS = ("address", "list", "verdict", "code", "category", "reason", "since (UTC)", "delisting page")
LEAST = 5.0  # seconds for a look, however few questions it takes


def reputation(path: Path, ip: Ip | None) -> int:
    """Print a table; answers 1 if a list lists an address, 3 if no list truly answered. Raises SettingsError."""
    settings = load(path, ExporterSettings, os.environ)
    redactor = log.configure("error", "console", sys.stderr)
    redactor.learn(secret for _, secret in secrets_in(settings))
    given = settings.reputation
    if given is None or not given.blocklists:
        sys.stderr.write("postwatch-exporter: no list to ask: name some under `reputation.blocklists`\n")
        return NOT_CONFIGURED
    addresses = given.addresses
    if ip is not None:
        addresses = tuple(each for each in addresses if each.ip == ip) or (AddressOptions(ip=ip),)
    if not addresses:
        sys.stderr.write("postwatch-exporter: no address to ask for: give one, or some under `reputation.addresses`\n")
        return NOT_CONFIGURED
    # Nothing else is looked at, and nothing is written.
    chosen = given.model_copy(update={"addresses": addresses, "sent_today": None})
    clock = SystemClock()
    only = ExporterSettings(reputation=chosen, defaults=settings.defaults)
    watch = Watch(only, Board([metric.family for metric in CATALOGUE], clock), clock)
    (part,) = (part for part in watch.parts if isinstance(part, Reputation) and part.name == NAME)
    part.look(Run(clock, max(part.whole, LEAST)))
    found = rows(part.knowledge)
    _show(found)
    err = console(stderr=True)
    if not part.resolvers.servers or (part.resolvers.unanswered and not part.resolvers.alive(part.timeout)):
        named = ", ".join(map(str, part.resolvers.servers)) or "the system has none"
        tell(err, "failed", f"no resolver answers: {named}; check `resolvers`", style="red")
    watch.stop(1.0)
    if any(row.verdict == "listed" for row in found):
        return LISTED
    return CLEAN if any(row.verdict == "clean" for row in found) else UNKNOWN


def _show(found: list[Row]) -> None:
    out = console()
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in HEADINGS:
        table.add_column(heading, overflow="fold", no_wrap=heading in ("verdict", "address"))
    for row in found:
        *cells, level = row
        styled = [Text(cell) for cell in cells]
        styled[2].stylize(STYLES[level])
        table.add_row(*styled)
    out.print(table)
