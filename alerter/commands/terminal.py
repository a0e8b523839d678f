"""What the commands write for people: wrapped in a terminal, one line each where a program reads along."""

from __future__ import annotations

import os

from rich.console import Console
from rich.text import Text

UNWRAPPED = 200  # columns where nobody looks at them: enough for any table


def console(*, stderr: bool = False) -> Console:
    """For standard output or standard error."""
    out = Console(stderr=stderr, highlight=False, markup=False)
    if not out.is_terminal and "COLUMNS" not in os.environ:
        out.width = UNWRAPPED
    return out


def tell(out: Console, lead: str, text: str, *, style: str = "") -> None:
    """`text` behind `lead`, which is styled."""
    out.print(Text(lead, style), Text(text), soft_wrap=True)
