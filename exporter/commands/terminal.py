"""What the commands write for people: wrapped in a terminal, one line each where a program reads along."""

from __future__ import annotations

import os

from rich.console import Console
from rich.table import Table
from rich.text import Text

from exporter.parts import Level

STYLES = {Level.GOOD: "green", Level.UNKNOWN: "magenta", Level.WARNING: "yellow", Level.BAD: "bold red"}
UNWRAPPED = 200  # columns where nobody looks at them: enough for any table


def console(*, stderr: bool = False) -> Console:
    """For standard output or standard error."""
    out = Console(stderr=stderr, highlight=False)
    # A width that is set, by COLUMNS, is one that somebody wants.
    if not out.is_terminal and "COLUMNS" not in os.environ:
        out.width = UNWRAPPED
    return out


def tell(out: Console, lead: str, text: str, *, style: str = "", indent: int = 0) -> None:
    """`text` behind `lead`, which is styled; what wraps hangs under the text."""
    word = Text(" " * indent + lead + " " * bool(lead), style)
    if not out.is_terminal:
        out.print(word, Text(text), sep="", soft_wrap=True)
        return
    grid = Table.grid()
    grid.add_column(width=len(word), no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(word, Text(text))
    out.print(grid)


def tell_exactly(out: Console, text: str, *, indent: int = 0) -> None:
    """`text` to be copied: the terminal may break it, we do not."""
    out.print(Text(" " * indent + text), soft_wrap=True)
