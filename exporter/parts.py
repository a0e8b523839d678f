"""What is watched beside queues: services, reputation, stores, the host. Each is a part, made by its section.

A section is a package or module with `Section` (its settings, a base of ExporterSettings) and
`build(section, context) -> list[Part]`; it may have `guide() -> Guide`, its chapters of the reference pages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from chassis.board import Board
from chassis.clock import Clock
from chassis.exposition import Reading
from chassis.secrets import SecretUrl
from exporter.clients.postgres import Database
from exporter.clients.redis import Store
from exporter.model import Level, Remark
from exporter.sampling.sampler import Run, Sampler

__all__ = ("Level", "Line", "Part", "PartContext", "Table")


@dataclass(frozen=True)
class Line:
    """One thing in a table for people: its cells, and in a word how it stands."""

    cells: tuple[str, ...]
    word: str
    level: Level


@dataclass(frozen=True)
class Table:
    """A part for people, on the landing page and in `sample`. `state` is a column of its own, the last."""

    title: str
    columns: tuple[str, ...]  # headings of the cells; those that start with `#` are numbers, set to the right
    lines: tuple[Line, ...]

    def worst_first(self) -> Table:
        """The same, what needs a person at the top; equals stay in order."""
        order = list(Level)
        lines = sorted(self.lines, key=lambda line: -order.index(line.level))
        return Table(self.title, self.columns, tuple(lines))


@dataclass(frozen=True)
class PartContext:
    """What parts are given: defaults, and ways to what they share with others."""

    clock: Clock
    board: Board
    interval: float  # seconds, as all times here
    timeout: float
    stale_after: float
    budget: float  # ratio of wall time that one database may spend on us
    labels: dict[str, str]  # constant ones of every series
    # The shared connections to a database, and the account that pays for their use. Given a budget of its own, the
    # smaller of all that were given for that database holds.
    database: Callable[[SecretUrl, float | None], tuple[Database, str]]
    store: Callable[[SecretUrl, float | None], tuple[Store, str]]
    # Jobs waiting in a source's queues whose full names match one of the patterns (`*`, `?`); None: not known now.
    depth: Callable[[str, Sequence[str]], int | None]
    # Tables in which the queues of configured sources live, of the database with that account; as SQL writes names.
    tables: Callable[[str], Sequence[str]] = lambda _account: ()


class Part(Protocol):
    """One part at work. Whatever it publishes by itself has an owner that starts with `<name>: `."""

    name: str  # its own among all parts, e.g. `services` or `postgres oltp`

    def samplers(self) -> list[Sampler]:
        """Its samplers. Before `start`, one run of each looks at everything, within the run's time limit."""

    def start(self) -> None:
        """Begin what goes on beside the samplers' runs, if anything does; returns at once."""

    def stop(self, timeout: float) -> None:
        """End that, within `timeout` seconds."""

    def continue_from(self, before: Part) -> None:
        """Go on from the part of the same name that was just stopped: counters never fall."""

    def settings(self) -> Iterator[Reading]:
        """Series that do not change while it runs."""

    def table(self) -> Table:
        """What was found last, worst first."""

    def check(self, run: Run) -> list[Remark]:
        """Look whether it can be watched; what is missing, and what that means."""


def tables(parts: Iterable[Part]) -> list[Table]:
    """The tables of all parts; those of one title and the same columns as one, worst first."""
    lines: dict[tuple[str, tuple[str, ...]], list[Line]] = {}
    for table in (part.table() for part in parts):
        lines.setdefault((table.title, table.columns), []).extend(table.lines)
    return [Table(title, columns, tuple(all_)).worst_first() for (title, columns), all_ in lines.items()]
