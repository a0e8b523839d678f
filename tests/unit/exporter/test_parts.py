"""Tables for people: what needs a person stands at the top, and equal tables are one."""

from typing import Any, cast

from exporter.parts import Level, Line, Part, Table, tables


class OnePart:
    def __init__(self, *lines: tuple[str, Level], title: str = "Redis") -> None:
        self.lines, self.title = lines, title

    def table(self) -> Table:
        return Table(self.title, ("redis",), tuple(Line((name,), level.value, level) for name, level in self.lines))


def told(*parts: Any) -> dict[str, list[str]]:
    return {table.title: [line.cells[0] for line in table.lines] for table in tables(cast("list[Part]", parts))}


def test_tables_of_one_kind_are_one_worst_first() -> None:
    parts = [
        OnePart(("a", Level.GOOD)),
        OnePart(("x", Level.WARNING), title="PostgreSQL"),
        OnePart(("b", Level.BAD)),
        OnePart(("c", Level.UNKNOWN), ("d", Level.WARNING), ("e", Level.GOOD)),
    ]
    assert told(*parts) == {"Redis": ["b", "d", "c", "a", "e"], "PostgreSQL": ["x"]}


def test_nothing_is_no_table() -> None:
    assert told() == {}
